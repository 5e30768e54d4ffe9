// The dispatch kernels of runtime/cuda/dispatch/Kernels.h.
#include "runtime/cuda/dispatch/Kernels.h"

using namespace uoe::rt::cuda;

#define UOE_KERNEL(name, function, threads)                                                        \
  extern "C" __global__ void __launch_bounds__(threads) uoe_##name(Dispatch dispatch) {            \
    function(DeviceGrid(), dispatch);                                                              \
  }
UOE_DISPATCH_KERNELS(UOE_KERNEL)
