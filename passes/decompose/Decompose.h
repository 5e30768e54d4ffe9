// What the decomposing and routing passes share.
#pragma once
#include "dialects/uoe/Uoe.h"
#include "passes/decompose/Partition.h"

namespace uoe {

/// True for spellings whose activations are quantised at run time: no sum of parts equals them.
bool quantisesActivations(mlir::Region &spelling);

/// Feed-forward blocks that nothing has split: none of an expert's body, no always-on core.
llvm::SmallVector<FfnOp> denseBlocks(mlir::ModuleOp module);

/// Leaves a block dense: says why in a remark, and in the attribute `uoe.dense` for reports.
inline constexpr llvm::StringLiteral kLeftDense = "uoe.dense";
void leaveDense(mlir::Operation *block, llvm::StringRef name, const llvm::Twine &why);

/// Copies what names a block from it to the experts that stand for it; where their body does not
/// tell, `uoe.block` says whether it was "ffn" or "attention".
inline constexpr llvm::StringLiteral kBlockKind = "uoe.block";
void copyName(mlir::Operation *block, mlir::Operation *experts);

/// The block's name in reports and profiles: its attribute `name`, or "layer.N.KIND" by `layer`.
std::string blockName(mlir::Operation *op, llvm::StringRef kind);

/// The experts op for a split of `ffn`'s neurons: `order` (empty: as they are) gives the neuron at
/// each place, `sizes` cuts the places into experts. `down`, if given, replaces the down matrix and
/// is in the new order already. The bias of the down matrix is not included. Weights are reordered
/// by ONNX Gather nodes, evaluated when the model is loaded or exported.
mlir::FailureOr<ExpertsOp> splitFfn(mlir::OpBuilder &builder, FfnOp ffn,
                                    llvm::ArrayRef<int64_t> order, llvm::ArrayRef<int64_t> sizes,
                                    mlir::Value routing, mlir::Value skip, mlir::Value down);

/// Rows or columns `order` of a weight, by an ONNX Gather that is evaluated when the model is
/// loaded or exported. Null for null.
mlir::Value reorder(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value weight,
                    llvm::ArrayRef<int64_t> order, int64_t axis);

/// value + bias, or value if there is none.
mlir::Value addBias(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                    mlir::Value bias);

/// Erases an op that nothing uses, and what only it used, back through nodes and raised blocks.
void eraseUnused(mlir::Operation *op);

} // namespace uoe
