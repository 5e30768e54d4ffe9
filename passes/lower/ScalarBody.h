// One element of an elementwise ONNX operator in scalar ops of arith and math: what
// outline-elementwise puts into a group's body. Where ONNX leaves a choice (NaN, overflow of casts,
// wrapping integers), the scalar form computes what the operator's kernel in runtime/cpu does.
#pragma once
#include "dialects/onnx/Onnx.h"

namespace uoe::scalar {

/// The single element of a constant operand, else null.
mlir::TypedAttr constantElement(mlir::Value value);

/// True for a node with one ranked result that `emit` has a form for: its operators, element types,
/// attributes and constant parameters. Result elements depend on the operands' elements at the same
/// place (after broadcasting), or where readsRows says so in the same row, alone.
bool isSupported(onnx::NodeOp node);

/// True for a supported node that reads whole rows, the last dimension: Softmax, reductions that
/// keep it as 1, and normalisations.
bool readsRows(onnx::NodeOp node);
/// True for one whose result has one element a row.
bool reducesRows(onnx::NodeOp node);

/// The operands that are read element by element. Others are constant parameters (a Clip's bounds,
/// an exponent) that `emit` reads from the node.
llvm::SmallVector<mlir::Value> elementOperands(onnx::NodeOp node);

/// The result's element from the elements of `elementOperands`.
mlir::Value emit(mlir::OpBuilder &builder, onnx::NodeOp node, mlir::ValueRange elements);

} // namespace uoe::scalar
