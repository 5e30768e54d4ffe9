// The kernels of whole models (runtime/cuda/ops/Kernels.h).
#include "runtime/cuda/ops/Kernels.h"

using namespace uoe::rt::cuda;

#define UOE_KERNEL(name, function, Argument, threads)                                              \
  extern "C" __global__ void __launch_bounds__(threads) uoe_##name(Argument call) {                \
    function(DeviceGrid(), call);                                                                  \
  }
UOE_MODEL_KERNELS(UOE_KERNEL)
