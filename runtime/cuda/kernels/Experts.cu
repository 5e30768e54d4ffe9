// The expert layer's kernels of runtime/cuda/dispatch/Kernels.h, for each element type.
#include "runtime/cuda/dispatch/Kernels.h"

using namespace uoe::rt::cuda;

#define UOE_KERNEL(name, function, threads)                                                        \
  extern "C" __global__ void __launch_bounds__(threads) uoe_##name##_f32(ExpertCall<float> call) { \
    function<float>(DeviceGrid(), call);                                                           \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(threads) uoe_##name##_bf16(ExpertCall<BF16> call) { \
    function<BF16>(DeviceGrid(), call);                                                            \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(threads) uoe_##name##_f16(ExpertCall<F16> call) {   \
    function<F16>(DeviceGrid(), call);                                                             \
  }
UOE_EXPERT_KERNELS(UOE_KERNEL)
