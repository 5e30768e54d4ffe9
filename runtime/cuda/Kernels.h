// The compiled kernels.
#pragma once

namespace uoe::rt::cuda {

/// Images for Device::load; null where there is none.
struct KernelImages {
  const void *dispatch = nullptr, *experts = nullptr, *model = nullptr;
};

/// Fat binaries with code for each of UOE_CUDA_ARCHITECTURES; nulls in a build without nvcc.
KernelImages compiledKernels();

} // namespace uoe::rt::cuda
