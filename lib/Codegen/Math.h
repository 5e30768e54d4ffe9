// Elementary functions of f32 in arithmetic alone: no library is called, and every step has a
// vector form. The polynomials and their errors are those of runtime/cpu/ops/real/RealMath.inc; the
// bound that tests hold is 4 ulps against double.
#pragma once
#include "mlir/IR/Builders.h"

namespace uoe::codegen {

/// y = f(x) for x of type f32 or a vector of it.
mlir::Value expandExp(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);
mlir::Value expandLog(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);
mlir::Value expandTanh(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);
mlir::Value expandErf(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// Bits of IEEE half or bfloat16 (i16 or a vector of it) to f32 and back, rounded to nearest even;
/// the same bits as runtime/core/DType.h gives.
mlir::Value expandHalfToFloat(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value bits);
mlir::Value expandFloatToHalf(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);
mlir::Value expandBfloatToFloat(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value bits);
mlir::Value expandFloatToBfloat(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

} // namespace uoe::codegen
