// Axes of a value under rewriting: permuted, split, merged.
#pragma once
#include "passes/raise/Canonicalize.h"

namespace uoe::raise {

using Permutation = llvm::SmallVector<int64_t>;

Permutation inverse(llvm::ArrayRef<int64_t> perm);
/// The permutation of a Transpose; none for other nodes.
std::optional<Permutation> permutationOf(onnx::NodeOp node);
/// Transpose(value, perm); with a Transpose that made `value`, one node or none.
mlir::Value transposed(Graph &graph, onnx::NodeOp at, mlir::Value value, Permutation perm);

/// Whether the node does the same to each element, or to those of several operands that broadcast
/// meet.
bool isElementByElement(onnx::NodeOp node);

/// Sizes of which two shapes of one tensor are both regroupings, and how many of them make each
/// axis.
struct Refinement {
  llvm::SmallVector<onnx::Dim> sizes;
  llvm::SmallVector<int64_t> a, b;
  bool splits() const { return sizes.size() > a.size(); } // axes of the first shape
  bool merges() const { return sizes.size() > b.size(); } // into axes of the second

  /// Where the first size that is not one of an axis of the first shape ended up.
  struct Place {
    size_t part;       // among `sizes`
    int64_t axis;      // of the second shape
    size_t begin, end; // the sizes that make that axis
  };
  Place placeOf(int64_t axisOfFirst) const;
};

/// The refinement with the fewest sizes, from the left; none where a size does not divide another.
std::optional<Refinement> refine(Graph &graph, llvm::ArrayRef<onnx::Dim> a,
                                 llvm::ArrayRef<onnx::Dim> b);
/// A permutation of axes as one of their parts, `parts[i]` of axis i of what is permuted.
Permutation refined(llvm::ArrayRef<int64_t> perm, llvm::ArrayRef<int64_t> parts);
llvm::SmallVector<onnx::Dim> permuted(llvm::ArrayRef<onnx::Dim> sizes,
                                      llvm::ArrayRef<int64_t> perm);
/// `value` in the shape `to`; sizes that a constant shape cannot say are read from the value. Null
/// if that is not possible either.
mlir::Value reshaped(Graph &graph, onnx::NodeOp at, mlir::Value value,
                     llvm::ArrayRef<onnx::Dim> to);

} // namespace uoe::raise
