// Constant matrices in 4 or 8 bits, in the one spelling that passes keep them in.
#pragma once
#include "dialects/onnx/Onnx.h"
#include <optional>

namespace uoe {

/// A constant matrix [k, n] with codes, scales and zero points as com.microsoft.MatMulNBits has
/// them: some columns of a stored matrix. k is a multiple of `block`. The value is
/// Transpose(GatherBlockQuantized(codes, order, scales, zeros)), exact in float32.
struct PackedMatrix {
  mlir::Value codes, scales, zeros; // [N, k·bits/8], [N, k/block], [N, bytes] or null
  llvm::SmallVector<int64_t> order; // for each of the n columns its place among the N
  int64_t k = 0, block = 0, bits = 0;

  int64_t n() const { return static_cast<int64_t>(order.size()); }
  int64_t blocks() const { return k / block; }
};

/// The matrix that `value` spells; nothing for other values.
std::optional<PackedMatrix> matchPacked(mlir::Value value);
mlir::Value makePacked(mlir::OpBuilder &builder, mlir::Location loc, const PackedMatrix &matrix);

/// Columns `places` of the matrix.
PackedMatrix takeColumns(PackedMatrix matrix, llvm::ArrayRef<int64_t> places);
/// Rows begin..end; nothing unless these are whole blocks, whose zero points are whole bytes.
std::optional<PackedMatrix> takeRows(mlir::OpBuilder &builder, mlir::Location loc,
                                     PackedMatrix matrix, int64_t begin, int64_t end);

/// Codes [n, k·bits/8], scales [n, k/block] and zero points (null if there are none) of its own
/// columns.
struct PackedParts {
  mlir::Value codes, scales, zeros;
};
PackedParts partsOf(mlir::OpBuilder &builder, mlir::Location loc, const PackedMatrix &matrix);

} // namespace uoe
