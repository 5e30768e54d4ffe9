// cuBLASLt as the dense baseline, loaded when asked for: the benchmark neither needs its headers
// nor links with it.
#pragma once
#include "runtime/cuda/Device.h"
#include <memory>
#include <string>

namespace uoe::bench {

class CublasLt {
public:
  /// Null, and why, if there is no library or it cannot be used.
  static std::unique_ptr<CublasLt> load(rt::cuda::Device &device, std::string &why);
  ~CublasLt();

  /// y [rows, columns] = x [rows, depth] w [columns, depth]ᵀ in bf16 with sums in f32, all in
  /// device memory, row-major. The first call of a shape asks the library for its best method.
  /// Raises rt::Error with the library's status.
  void product(rt::cuda::Pointer x, rt::cuda::Pointer w, rt::cuda::Pointer y, int64_t rows,
               int64_t columns, int64_t depth);

private:
  struct Api;
  explicit CublasLt(rt::cuda::Device &device);
  rt::cuda::Device &device;
  std::unique_ptr<Api> api;
  rt::cuda::Buffer workspace;
};

} // namespace uoe::bench
