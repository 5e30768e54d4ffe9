// In place of Kernels.cpp.in where there is no nvcc.
#include "Kernels.h"

uoe::rt::cuda::KernelImages uoe::rt::cuda::compiledKernels() {
  return {};
}
