// The expert layer's kernels of runtime/cuda/dispatch/Kernels.h, for each element type.
#include "runtime/cuda/dispatch/Kernels.h"

using namespace uoe::rt::cuda;

#define UOE_KERNEL(full, function, threads, Call)                                                  \
  extern "C" __global__ void __launch_bounds__(threads) uoe_##full(Call call) {                    \
    function(DeviceGrid(), call);                                                                  \
  }
#define UOE_SAME(name, function, threads)                                                          \
  UOE_KERNEL(name##_f32, function, threads, ExpertCall<float>)                                     \
  UOE_KERNEL(name##_bf16, function, threads, ExpertCall<BF16>)                                     \
  UOE_KERNEL(name##_f16, function, threads, ExpertCall<F16>)
#define UOE_ALL(name, function, threads)                                                           \
  UOE_SAME(name, function, threads)                                                                \
  UOE_KERNEL(name##_f32_bf16, function, threads, ExpertsWithBF16)                                  \
  UOE_KERNEL(name##_f32_f16, function, threads, ExpertsWithF16)
UOE_ROUTER_KERNELS(UOE_SAME)
UOE_EXPERT_KERNELS(UOE_ALL)
