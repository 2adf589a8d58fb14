// The ranks of a job and their collective operations, as C functions for process_group.rs. They use libtorch's own c10d with its
// TCP store and its Gloo. libtorch's packages lack the Gloo headers that c10d's headers include; the declarations in ../gloo
// replace them.

#define USE_C10D_GLOO

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "guarded.h"

#include <c10/util/Flags.h>
#include <c10/util/Logging.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

C10_DECLARE_int(caffe2_log_level);

namespace {

// A rank's view of its job. Autograd graphs hold it too, because their backward passes are collective.
struct Group : torch::CustomClassHolder {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  int64_t size = 1;
  // Message of the first exchange that failed; empty if none did.
  std::string lost;
};

template <typename Exchange>
void watched(Group& group, Exchange exchange) {
  try {
    exchange();
  } catch (const std::exception& found) {
    if (group.lost.empty()) {
      group.lost = found.what();
    }
    throw;
  }
}

// Replaces a tensor by its mean over all ranks.
void mean(Group& group, at::Tensor& tensor) {
  std::vector<at::Tensor> one{tensor};
  watched(group, [&] { group.gloo->allreduce(one)->wait(); });
  tensor.div_(group.size);
}

// The mean over ranks of a tensor that each rank has, with its gradient. Each rank's loss is computed on its own images, and
// gradients are averaged afterwards. So the gradient of a rank's tensor is the average of the gradients that all ranks have for
// the common mean.
struct Mean : torch::autograd::Function<Mean> {
  static at::Tensor forward(
      torch::autograd::AutogradContext* context,
      const at::Tensor& xs,
      const c10::intrusive_ptr<Group>& group) {
    context->saved_data["group"] = c10::IValue::make_capsule(group);
    auto ys = xs.detach().clone(at::MemoryFormat::Contiguous);
    mean(*group, ys);
    return ys;
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& gradients) {
    auto holder = context->saved_data["group"].toCapsule();
    auto gradient = gradients[0].detach().clone(at::MemoryFormat::Contiguous);
    mean(static_cast<Group&>(*holder), gradient);
    return {gradient, at::Tensor()};
  }
};

c10::intrusive_ptr<c10d::Store> store(
    const char* host,
    uint16_t port,
    bool serves,
    int size,
    const char* prefix,
    std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = serves;
  options.numWorkers = size;
  options.timeout = timeout;
  auto tcp = c10::make_intrusive<c10d::TCPStore>(host, options);
  return c10::make_intrusive<c10d::PrefixStore>(prefix, tcp);
}

} // namespace

extern "C" {

// Joins the job; null if that failed. `serves` says whether this rank runs the store, at host and port, by which the ranks find
// each other.
Group* lat_group_join(
    const char* host,
    uint16_t port,
    bool serves,
    const char* prefix,
    int32_t rank,
    int32_t size,
    int64_t timeout_ms,
    char* error,
    size_t length) noexcept {
  // libtorch would print a stack for each error, which lat reports in a sentence. Users who set this variable want the stacks.
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  }
  auto group = c10::make_intrusive<Group>();
  const auto failed = guarded(error, length, [&] {
    const auto timeout = std::chrono::milliseconds(timeout_ms);
    auto found = store(host, port, serves, size, prefix, timeout);
    auto options = c10d::ProcessGroupGloo::Options::create_default(timeout);
    group->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(found, rank, size, options);
    group->size = size;
  });
  return failed != 0 ? nullptr : group.release();
}

// Leaves the job.
void lat_group_leave(Group* group) noexcept {
  c10::intrusive_ptr<Group>::reclaim(group);
}

// Copies the message of the first exchange that failed (backward passes included). Returns 0 if none did.
int32_t lat_group_lost(const Group* group, char* text, size_t length) noexcept {
  say(group->lost, text, length);
  return group->lost.empty() ? 0 : 1;
}

// Replaces a contiguous CPU tensor of floating point numbers by its mean over all ranks.
int32_t lat_group_mean(Group* group, at::Tensor* tensor, char* error, size_t length) noexcept {
  return guarded(error, length, [&] {
    at::NoGradGuard no_grad;
    mean(*group, *tensor);
  });
}

// Replaces a contiguous CPU tensor by that of rank 0.
int32_t lat_group_broadcast(Group* group, at::Tensor* tensor, char* error, size_t length) noexcept {
  return guarded(error, length, [&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> one{*tensor};
    watched(*group, [&] { group->gloo->broadcast(one)->wait(); });
  });
}

// The mean over all ranks as a new tensor with a gradient; null if that failed. The caller owns it.
at::Tensor* lat_group_differentiable_mean(Group* group, const at::Tensor* tensor, char* error, size_t length) noexcept {
  at::Tensor* found = nullptr;
  guarded(error, length, [&] {
    auto shared = c10::intrusive_ptr<Group>::reclaim_copy(group);
    found = new at::Tensor(Mean::apply(*tensor, shared));
  });
  return found;
}

} // extern "C"
