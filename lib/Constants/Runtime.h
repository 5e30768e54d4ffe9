// What the IR holds, in the runtime's own form: types, tensors, attributes, and one node at a time.
#pragma once
#include "lib/Weights/Weights.h"
#include "runtime/core/Kernel.h"
#include <optional>

namespace uoe {

/// The runtime's element type for an MLIR one; None if it has none.
rt::DType dtypeOf(mlir::Type elementType);
/// A tensor's type in MLIR; null if there is none for its elements.
mlir::RankedTensorType tensorTypeOf(const rt::Tensor &tensor, mlir::MLIRContext *context);

/// A constant attribute's elements, mapped where they lie in a file: when the last tensor over them
/// goes, say after packing, so do their pages.
llvm::Expected<rt::Tensor> readTensor(mlir::TypedAttr value, WeightReader &weights);

/// An attribute of an operator; nothing for what no kernel reads (types, sparse tensors).
llvm::Expected<std::optional<rt::Attribute>> readAttribute(mlir::Attribute value,
                                                           WeightReader &weights);

/// Runs one node without subgraphs on the given inputs (None for absent ones) by its kernel.
llvm::Expected<std::vector<rt::Value>> runNode(onnx::NodeOp node, llvm::ArrayRef<rt::Value> inputs,
                                               WeightReader &weights);

} // namespace uoe
