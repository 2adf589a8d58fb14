// Operations with gradients of their own, as C functions for autograd.rs. What computes on the numbers is Rust (ffi.rs); here is what
// autograd wants around it.

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include "guarded.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

// As `Window` of window.rs.
struct Window {
  size_t level, n, c, h, w, out_h, out_w, k, stride, padding, dilation;
};

// The Rust half. Each computes a part, from `begin` to `end`, and gives 0, or another number where it could not. Parts of one tensor are
// computed by several threads at once.
extern "C" {
// Planes are counted over images and channels together.
int32_t lat_depthwise_forward(const Window*, const float* x, const float* weight, float* y, size_t begin, size_t end) noexcept;
int32_t lat_depthwise_input_gradient(const Window*, const float* dy, const float* weight, float* dx, size_t begin, size_t end) noexcept;
// Parts are channels.
int32_t lat_depthwise_weight_gradient(const Window*, const float* x, const float* dy, float* dw, size_t begin, size_t end) noexcept;
// `taps`: which of the window's k * k places the maximum has.
int32_t lat_maxima_forward(const Window*, const float* x, float* y, uint8_t* taps, size_t begin, size_t end) noexcept;
int32_t lat_maxima_gradient(const Window*, const float* dy, const uint8_t* taps, float* dx, size_t begin, size_t end) noexcept;
int32_t lat_means_forward(const Window*, const float* x, float* y, size_t begin, size_t end) noexcept;
int32_t lat_means_gradient(const Window*, const float* dy, float* dx, size_t begin, size_t end) noexcept;
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Multiply-adds below which a part is not worth a thread of its own; ATen's own measure is as many elements.
constexpr size_t GRAIN = 32768;

// Has 0 to `n` computed in parts by libtorch's threads, however many it was told to have, each part at least `grain` multiply-adds.
// A tensor iterator is how libtorch lends its threads: its `parallel_for` is a template, which would bring a second OpenMP.
template <typename Part>
void in_parts(size_t n, size_t work_per_item, Part part) {
  auto numbers = at::empty({static_cast<int64_t>(n)}, at::kByte);
  const auto* first = static_cast<const char*>(numbers.const_data_ptr());
  auto iterator = at::TensorIterator::nullary_op(numbers);
  const auto grain = static_cast<int64_t>(std::max<size_t>(1, GRAIN / std::max<size_t>(1, work_per_item)));
  iterator.for_each(
      [&](char** data, const int64_t*, int64_t size0, int64_t size1) {
        const auto begin = static_cast<size_t>(data[0] - first);
        const auto failed = part(begin, begin + static_cast<size_t>(size0 * size1));
        TORCH_CHECK(failed == 0, "a kernel of lat-kernels failed; LAT_KERNELS=off computes without them");
      },
      grain);
}

size_t planes(const Window& window) {
  return window.n * window.c;
}

// Of one plane.
size_t work(const Window& window) {
  return window.out_h * window.out_w * window.k * window.k;
}

std::vector<int64_t> sizes(size_t n, size_t c, size_t h, size_t w) {
  const auto wide = [](size_t size) { return static_cast<int64_t>(size); };
  return {wide(n), wide(c), wide(h), wide(w)};
}

std::vector<int64_t> in_sizes(const Window& window) {
  return sizes(window.n, window.c, window.h, window.w);
}

at::Tensor empty_input(const Window& window, const at::Tensor& like) {
  return at::empty(in_sizes(window), like.options(), at::MemoryFormat::Contiguous);
}

at::Tensor empty_output(const Window& window, const at::Tensor& like) {
  return at::empty(sizes(window.n, window.c, window.out_h, window.out_w), like.options(), at::MemoryFormat::Contiguous);
}

void save_window(AutogradContext* context, const Window& window) {
  context->saved_data["window"] = std::vector<int64_t>{
      static_cast<int64_t>(window.level), static_cast<int64_t>(window.n), static_cast<int64_t>(window.c),
      static_cast<int64_t>(window.h), static_cast<int64_t>(window.w), static_cast<int64_t>(window.out_h),
      static_cast<int64_t>(window.out_w), static_cast<int64_t>(window.k), static_cast<int64_t>(window.stride),
      static_cast<int64_t>(window.padding), static_cast<int64_t>(window.dilation)};
}

Window saved_window(AutogradContext* context) {
  const auto saved = context->saved_data["window"].toIntVector();
  const auto at = [&](size_t i) { return static_cast<size_t>(saved.at(i)); };
  return {at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7), at(8), at(9), at(10)};
}

// Two numbers alike, as ATen wants them.
std::vector<int64_t> both(size_t size) {
  return {static_cast<int64_t>(size), static_cast<int64_t>(size)};
}

struct Depthwise : torch::autograd::Function<Depthwise> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const Window& window) {
    // As in libtorch's own convolution, the input is kept where the weight learns. Its sizes are in the window.
    context->save_for_backward({weight.requires_grad() ? x : at::Tensor(), weight});
    save_window(context, window);
    const auto xs = x.contiguous();
    const auto ws = weight.contiguous();
    auto y = empty_output(window, xs);
    const auto *from = xs.const_data_ptr<float>(), *by = ws.const_data_ptr<float>();
    auto* to = y.mutable_data_ptr<float>();
    in_parts(planes(window), work(window), [&](size_t begin, size_t end) {
      return lat_depthwise_forward(&window, from, by, to, begin, end);
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto window = saved_window(context);
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &dy = gradients[0];
    const bool wants_dx = context->needs_input_grad(0), wants_dw = context->needs_input_grad(1);
    // Gradients of gradients: what is computed here must itself be differentiable.
    if (at::GradMode::is_enabled()) {
      const auto known = x.defined() ? x : empty_input(window, dy);
      auto [dx, dw, none] = at::convolution_backward(
          dy, known, weight, at::OptionalIntArrayRef(), both(window.stride), both(window.padding), both(window.dilation), false,
          both(0), static_cast<int64_t>(window.c), {wants_dx, wants_dw, false});
      return {dx, dw, at::Tensor()};
    }
    const auto dys = dy.contiguous();
    return {
        wants_dx ? input_gradient(window, dys, weight) : at::Tensor(),
        wants_dw ? weight_gradient(window, x, dys, weight) : at::Tensor(), at::Tensor()};
  }

  static at::Tensor input_gradient(const Window& window, const at::Tensor& dy, const at::Tensor& weight) {
    const auto ws = weight.contiguous();
    auto dx = empty_input(window, dy);
    const auto *from = dy.const_data_ptr<float>(), *by = ws.const_data_ptr<float>();
    auto* to = dx.mutable_data_ptr<float>();
    in_parts(planes(window), work(window), [&](size_t begin, size_t end) {
      return lat_depthwise_input_gradient(&window, from, by, to, begin, end);
    });
    return dx;
  }

  static at::Tensor weight_gradient(const Window& window, const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight) {
    const auto xs = x.contiguous();
    auto dw = at::empty(weight.sizes(), weight.options(), at::MemoryFormat::Contiguous);
    const auto *from = xs.const_data_ptr<float>(), *by = dy.const_data_ptr<float>();
    auto* to = dw.mutable_data_ptr<float>();
    in_parts(window.c, work(window) * window.n, [&](size_t begin, size_t end) {
      return lat_depthwise_weight_gradient(&window, from, by, to, begin, end);
    });
    return dw;
  }
};

struct MaxPool : torch::autograd::Function<MaxPool> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Window& window) {
    const auto xs = x.contiguous();
    auto y = empty_output(window, xs);
    auto taps = at::empty(y.sizes(), y.options().dtype(at::kByte));
    const auto* from = xs.const_data_ptr<float>();
    auto* to = y.mutable_data_ptr<float>();
    auto* which = taps.mutable_data_ptr<uint8_t>();
    in_parts(planes(window), work(window), [&](size_t begin, size_t end) {
      return lat_maxima_forward(&window, from, to, which, begin, end);
    });
    context->save_for_backward({taps});
    save_window(context, window);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto window = saved_window(context);
    const auto taps = context->get_saved_variables()[0];
    const auto& dy = gradients[0];
    if (!context->needs_input_grad(0)) {
      return {at::Tensor(), at::Tensor()};
    }
    if (at::GradMode::is_enabled()) {
      return {scattered(window, taps, dy), at::Tensor()};
    }
    const auto dys = dy.contiguous();
    auto dx = empty_input(window, dys);
    const auto* from = dys.const_data_ptr<float>();
    const auto* which = taps.const_data_ptr<uint8_t>();
    auto* to = dx.mutable_data_ptr<float>();
    in_parts(planes(window), work(window), [&](size_t begin, size_t end) {
      return lat_maxima_gradient(&window, from, which, to, begin, end);
    });
    return {dx, at::Tensor()};
  }

  // The same by operations that are differentiable.
  static at::Tensor scattered(const Window& window, const at::Tensor& taps, const at::Tensor& dy) {
    const auto wide = [](size_t size) { return static_cast<int64_t>(size); };
    const auto k = wide(window.k), w = wide(window.w);
    const auto of = taps.to(at::kLong);
    const auto starts = [&](size_t n) { return at::arange(wide(n), of.options()) * wide(window.stride) - wide(window.padding); };
    const auto rows = of.div(k, "floor") + starts(window.out_h).view({-1, 1});
    const auto columns = of.remainder(k) + starts(window.out_w);
    const auto places = (rows * w + columns).flatten(2);
    const auto zeros = at::zeros({wide(window.n), wide(window.c), wide(window.h) * w}, dy.options());
    return zeros.scatter_add(2, places, dy.flatten(2)).view(in_sizes(window));
  }
};

struct AvgPool : torch::autograd::Function<AvgPool> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Window& window) {
    save_window(context, window);
    const auto xs = x.contiguous();
    auto y = empty_output(window, xs);
    const auto* from = xs.const_data_ptr<float>();
    auto* to = y.mutable_data_ptr<float>();
    in_parts(planes(window), work(window), [&](size_t begin, size_t end) {
      return lat_means_forward(&window, from, to, begin, end);
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto window = saved_window(context);
    const auto& dy = gradients[0];
    if (!context->needs_input_grad(0)) {
      return {at::Tensor(), at::Tensor()};
    }
    if (at::GradMode::is_enabled()) {
      const auto dx = at::avg_pool2d_backward(
          dy, empty_input(window, dy), both(window.k), both(window.stride), both(window.padding), false, false, std::nullopt);
      return {dx, at::Tensor()};
    }
    const auto dys = dy.contiguous();
    auto dx = empty_input(window, dys);
    const auto* from = dys.const_data_ptr<float>();
    auto* to = dx.mutable_data_ptr<float>();
    in_parts(planes(window), work(window), [&](size_t begin, size_t end) {
      return lat_means_gradient(&window, from, to, begin, end);
    });
    return {dx, at::Tensor()};
  }
};

// A new tensor, which the caller owns; null where that failed, with the reason in `error`.
template <typename Operation>
at::Tensor* made(char* error, size_t length, Operation operation) noexcept {
  at::Tensor* found = nullptr;
  guarded(error, length, [&] { found = new at::Tensor(operation()); });
  return found;
}

} // namespace

extern "C" {

at::Tensor* lat_depthwise(const at::Tensor* x, const at::Tensor* weight, const Window* window, char* error, size_t length) noexcept {
  return made(error, length, [&] { return Depthwise::apply(*x, *weight, *window); });
}

at::Tensor* lat_max_pool(const at::Tensor* x, const Window* window, char* error, size_t length) noexcept {
  return made(error, length, [&] { return MaxPool::apply(*x, *window); });
}

at::Tensor* lat_avg_pool(const at::Tensor* x, const Window* window, char* error, size_t length) noexcept {
  return made(error, length, [&] { return AvgPool::apply(*x, *window); });
}

// Whether a tensor's numbers lie in memory as plain strided 32-bit floats that may be read by address, and no trace is being written: a
// trace knows libtorch's own operations alone.
bool lat_is_plain(const at::Tensor* tensor) noexcept {
  return tensor->defined() && tensor->device().is_cpu() && tensor->scalar_type() == at::kFloat && tensor->layout() == at::kStrided &&
      !tensor->is_neg() && !tensor->is_conj() && !torch::jit::tracer::isTracing();
}

} // extern "C"
