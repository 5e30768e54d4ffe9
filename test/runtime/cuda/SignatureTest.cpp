// Compiled where cuda.h is at hand: the table of runtime/cuda/Driver.h has the driver's signatures.
// Handles and enumerations have other names there, so it is number and passing of parameters that
// is compared: each integer by size, each pointer as a pointer.
#include "runtime/cuda/Driver.h"
// Declares every name as exported, the older ones of functions with several versions too.
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <gtest/gtest.h>
#include <type_traits>

namespace {

template <typename A, typename B> constexpr bool passedAlike() {
  return sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
}

template <typename... A, typename... B>
constexpr bool alike(CUresult (*)(A...), uoe::rt::cuda::Status (*)(B...)) {
  if constexpr (sizeof...(A) == sizeof...(B))
    return (passedAlike<A, B>() && ...);
  return false;
}

using uoe::rt::cuda::Symbols;
#define UOE_STRING(name) #name
#define UOE_CUDA_SYMBOL(name, parameters)                                                          \
  static_assert(alike(static_cast<decltype(&::name)>(nullptr),                                     \
                      static_cast<decltype(Symbols::name)>(nullptr)),                              \
                UOE_STRING(name));
UOE_CUDA_SYMBOLS(UOE_CUDA_SYMBOL)

TEST(Signatures, Statuses) {
  using namespace uoe::rt::cuda;
  EXPECT_EQ(kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(kStubLibrary, CUDA_ERROR_STUB_LIBRARY);
  EXPECT_EQ(kDeviceUnavailable, CUDA_ERROR_DEVICE_UNAVAILABLE);
  EXPECT_EQ(kNoDevice, CUDA_ERROR_NO_DEVICE);
  EXPECT_EQ(kNoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(kEccUncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_EQ(kInvalidPtx, CUDA_ERROR_INVALID_PTX);
  EXPECT_EQ(kUnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(kIllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(kLaunchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  EXPECT_EQ(kLaunchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT);
  EXPECT_EQ(kLaunchFailed, CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(kSystemNotReady, CUDA_ERROR_SYSTEM_NOT_READY);
  EXPECT_EQ(kDriverMismatch, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH);
}

} // namespace
