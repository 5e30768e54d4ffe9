// Matrix products on a device, as the operators that contain one need them.
#pragma once
#include "Call.h"
#include "runtime/cuda/ops/Product.h"

namespace uoe::rt::cuda {

/// No dimension of a product is greater.
constexpr int64_t kMost = int64_t(1) << 30;

/// One product as the operators need it: x [.., m, k] in rows, w [.., n, k].
struct Product {
  Tensor a, b, bias, residual, y;
  Tensor rowBias; // [rowBatches, m]
  int32_t rowBatches = 1;
  int64_t m = 0, n = 0, k = 0;
  bool gated = false;
  Activation act = Activation::Identity;
  Cut cut;
  float scale = 1;
  StridedLoops<2> batches;

  Product() { batches.count = batches.dims[0] = 1; }
};

/// y = act(scale a bᵀ + bias) + residual, or act(gate) * up of pairs of columns, in a's type.
void launch(Call &call, const Product &product);

/// The constant matrix of input i [k, n], or [n, k] where it is `transposed`, as rows [n, k] on the
/// device: kept in the call's state.
Tensor weightRows(Call &call, size_t i, bool transposed);

} // namespace uoe::rt::cuda
