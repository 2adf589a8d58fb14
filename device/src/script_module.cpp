// A TorchScript module that is run again and again on the same arguments, as C functions for script_module.rs. tch's own binding
// also casts integer buffers and accepts only some forms of output. Here only floating point numbers are cast, and the output is
// dropped.

#include "guarded.h"

#include <torch/csrc/jit/serialization/import.h>
#include <torch/script.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Module {
  torch::jit::Module module;
  std::vector<c10::IValue> arguments;
};

const c10::FunctionSchema& schema(const Module& module) {
  return module.module.get_method("forward").function().getSchema();
}

// Whether the next argument of forward is a tuple, optional or not.
bool takes_tuple(const Module& module) {
  const auto& arguments = schema(module).arguments();
  const auto place = module.arguments.size() + 1; // The first is the module itself.
  if (place >= arguments.size()) {
    return false;
  }
  auto type = arguments[place].type();
  if (auto optional = type->cast<c10::OptionalType>()) {
    type = optional->getElementType();
  }
  return type->kind() == c10::TypeKind::TupleType;
}

// Casts floating point tensors only: indices and masks stay as they are.
void cast(at::Tensor tensor, at::ScalarType kind) {
  if (tensor.is_floating_point()) {
    tensor.set_data(tensor.detach().to(kind));
  }
}

} // namespace

extern "C" {

// Loads a module onto the CPU (`cuda` below 0) or a GPU, in evaluation mode; null if that failed.
Module* lat_module_load(const char* file, int8_t cuda, char* error, size_t length) noexcept {
  Module* loaded = nullptr;
  guarded(error, length, [&] {
    const auto device = cuda < 0 ? c10::Device(c10::kCPU) : c10::Device(c10::kCUDA, cuda);
    auto module = torch::jit::load(file, device);
    module.eval();
    loaded = new Module{std::move(module), {}};
  });
  return loaded;
}

void lat_module_free(Module* module) noexcept {
  delete module;
}

// Casts all floating point parameters and buffers to a kind, given as a number of c10::ScalarType.
int32_t lat_module_cast(Module* module, int8_t kind, char* error, size_t length) noexcept {
  return guarded(error, length, [&] {
    at::NoGradGuard no_grad;
    const auto to = static_cast<at::ScalarType>(kind);
    for (auto tensor : module->module.parameters()) {
      cast(tensor, to);
    }
    for (auto tensor : module->module.buffers()) {
      cast(tensor, to);
    }
  });
}

// The arguments of forward, as "x: Tensor, n: int".
int32_t lat_module_takes(const Module* module, char* text, size_t length) noexcept {
  std::ostringstream takes;
  const auto failed = guarded(text, length, [&] {
    const auto& arguments = schema(*module).arguments();
    for (size_t i = 1; i < arguments.size(); ++i) {
      takes << (i > 1 ? ", " : "") << arguments[i].name() << ": " << arguments[i].type()->annotation_str();
    }
  });
  if (failed == 0) {
    say(takes.str(), text, length);
  }
  return failed;
}

void lat_module_push_none(Module* module) noexcept {
  module->arguments.emplace_back();
}

void lat_module_push_int(Module* module, int64_t value) noexcept {
  module->arguments.emplace_back(value);
}

void lat_module_push_double(Module* module, double value) noexcept {
  module->arguments.emplace_back(value);
}

void lat_module_push_bool(Module* module, bool value) noexcept {
  module->arguments.emplace_back(value);
}

void lat_module_push_tensor(Module* module, const at::Tensor* tensor) noexcept {
  module->arguments.emplace_back(*tensor);
}

// Adds several tensors as one argument: a tuple if forward takes one, else a list.
int32_t lat_module_push_tensors(
    Module* module,
    const at::Tensor* const* tensors,
    size_t n,
    char* error,
    size_t length) noexcept {
  return guarded(error, length, [&] {
    if (takes_tuple(*module)) {
      std::vector<c10::IValue> elements;
      for (size_t i = 0; i < n; ++i) {
        elements.emplace_back(*tensors[i]);
      }
      module->arguments.emplace_back(c10::ivalue::Tuple::create(std::move(elements)));
      return;
    }
    c10::List<at::Tensor> list;
    for (size_t i = 0; i < n; ++i) {
      list.push_back(*tensors[i]);
    }
    module->arguments.emplace_back(std::move(list));
  });
}

// Runs forward on the arguments and drops its result, whatever it is.
int32_t lat_module_run(Module* module, char* error, size_t length) noexcept {
  return guarded(error, length, [&] {
    at::NoGradGuard no_grad;
    module->module.forward(module->arguments);
  });
}

} // extern "C"
