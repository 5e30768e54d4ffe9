// The weights of a dense block, as the graph itself says.
#pragma once
#include "dialects/uoe/Uoe.h"
#include "lib/Proof/Provenance.h"

namespace uoe {

using SeeNumbers = llvm::function_ref<void(const rt::Tensor &numbers)>;

/// Every matrix that the block's products multiply by, with the vectors that are added to those
/// products: for attention the projections of queries, keys and values and that of the result. Each
/// as often as it is used.
mlir::LogicalResult denseWeights(mlir::Operation *block, Provenance &provenance, SeeNumbers see);

/// The matrices of the products that values come from, with the vectors added to them; each once.
mlir::LogicalResult weightsBehind(llvm::ArrayRef<mlir::Value> values, Provenance &provenance,
                                  SeeNumbers see);

/// The constant vectors that are added to a value on its way to where it is used otherwise.
mlir::LogicalResult addedVectors(mlir::Value value, Provenance &provenance, SeeNumbers see);

} // namespace uoe
