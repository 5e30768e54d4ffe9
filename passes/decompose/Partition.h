// Partitions of a block: which parts go to which expert.
#pragma once
#include "mlir/IR/Operation.h"
#include "runtime/core/Tensor.h"
#include "llvm/ADT/SmallVector.h"
#include <map>
#include <optional>
#include <string>

namespace uoe {

/// `order` gives the part at each place (empty: as they are), `sizes` cuts the places into experts.
struct Partition {
  llvm::SmallVector<int64_t> order, sizes;
  bool isPermuted() const { return !order.empty(); }
};

/// The permutations of a file: .npy with one for all blocks or a row per block, in the order of
/// their appearance, or .npz with one by each block's name.
class PermutationFile {
public:
  /// Raises rt::Error for what is no such file.
  explicit PermutationFile(const std::string &path);
  /// That of a block; none if the file has none for it.
  std::optional<llvm::SmallVector<int64_t>> find(const std::string &block, size_t index) const;

private:
  llvm::SmallVector<llvm::SmallVector<int64_t>> rows;
  std::map<std::string, llvm::SmallVector<int64_t>> named;
};

/// What the passes' options ask for. A block's own attributes `uoe.sizes` and `uoe.permutation`
/// (arrays of i64) go before.
struct PartitionOptions {
  const char *unit;  // "neurons", for messages
  int64_t parts = 1; // of even sizes, where no sizes are given
  llvm::ArrayRef<int64_t> sizes;
  const PermutationFile *permutations = nullptr;
};

/// `total` as `parts` sizes that differ by one at most, larger ones first.
llvm::SmallVector<int64_t> evenSizes(int64_t total, int64_t parts);

/// The partition of a block of `width` units, the `index`th of its kind. Fails with a diagnostic
/// unless it is one: sizes positive and adding up to the width, a permutation of all units.
mlir::FailureOr<Partition> partitionOf(mlir::Operation *block, const std::string &name,
                                       size_t index, int64_t width,
                                       const PartitionOptions &options);

} // namespace uoe
