// Memory figures of libtorch's CUDA allocator, as C functions for allocator.rs. The allocator is looked up at run time, because
// the program is linked only to libtorch's CPU half. If no allocator is registered for CUDA, or it keeps no figures, the result
// is -1.

#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>

namespace {

constexpr int64_t kNone = -1;

c10::DeviceAllocator* cuda_allocator() {
  return dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::DeviceType::CUDA));
}

// Bytes allocated on a device, all pools together; the figures of torch.cuda.memory_allocated and max_memory_allocated.
c10::CachingAllocator::Stat allocated(c10::DeviceAllocator& allocator, int8_t device) {
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return allocator.getDeviceStats(device).allocated_bytes[kAll];
}

// No exception may leave a C function. The allocator throws if it does not know the device.
template <typename Read>
int64_t guarded(Read read) noexcept {
  try {
    auto* allocator = cuda_allocator();
    return allocator != nullptr && allocator->initialized() ? read(*allocator) : kNone;
  } catch (...) {
    return kNone;
  }
}

} // namespace

extern "C" {

// Whether an allocator that keeps figures is registered for CUDA: 1 or 0.
int32_t lat_cuda_allocator_is_registered() noexcept {
  try {
    return cuda_allocator() != nullptr ? 1 : 0;
  } catch (...) {
    return 0;
  }
}

// Bytes allocated now on a device, or -1.
int64_t lat_cuda_allocated_bytes(int8_t device) noexcept {
  return guarded([=](c10::DeviceAllocator& allocator) { return allocated(allocator, device).current; });
}

// Resets the peak to what is allocated now and returns that, or -1.
int64_t lat_cuda_reset_peak_bytes(int8_t device) noexcept {
  return guarded([=](c10::DeviceAllocator& allocator) {
    allocator.resetPeakStats(device);
    return allocated(allocator, device).current;
  });
}

// The most bytes allocated on a device since the last reset, or -1.
int64_t lat_cuda_peak_bytes(int8_t device) noexcept {
  return guarded([=](c10::DeviceAllocator& allocator) { return allocated(allocator, device).peak; });
}

} // extern "C"
