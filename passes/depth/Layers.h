// Layers that are alike, found along the stream of a model: what roll-layers makes loops of, and
// tie-layers makes equal.
#pragma once
#include "mlir/IR/Block.h"
#include "mlir/IR/Operation.h"
#include <optional>
#include <vector>

namespace uoe::depth {

/// Consecutive groups of like ops: groups[t][i] is op i of iteration t.
using Groups = std::vector<llvm::SmallVector<mlir::Operation *>>;

/// Result `result` of op `op` of a group.
struct Place {
  unsigned op = 0, result = 0;
  bool operator==(const Place &other) const { return op == other.op && result == other.result; }
};

/// What an operand is, seen from its group.
struct Role {
  enum Kind {
    internal, ///< made in the same group, at `from`
    carried,  ///< made in the group before, at `from`; `slot` of Plan::carried
    each,     ///< a value from outside for each group; `slot` of Plan::each
    same      ///< one value from outside, or equal ones
  } kind = same;
  Place from;
  unsigned slot = 0;
};

/// Groups, and the roles of all their operands.
struct Plan {
  Groups groups;
  struct Carried {
    mlir::Value init; // what the first group reads
    Place from;
  };
  llvm::SmallVector<Carried> carried;
  llvm::SmallVector<llvm::SmallVector<mlir::Value>> each; // by iteration
  std::vector<llvm::SmallVector<Role>> roles;             // by op, and by input as in `inputsOf`
  llvm::SmallVector<Place> stacked;                       // what others read of each iteration

  size_t removed() const { return (groups.size() - 1) * groups.front().size(); }
};

/// The operands of an op and of what lies in its regions that come from outside, in a fixed order.
llvm::SmallVector<mlir::OpOperand *> inputsOf(mlir::Operation *op);

struct SearchOptions {
  int64_t minTimes = 2;
  double maxUntied = 0.5;  // largest share of a group's weights that may be its own
  bool tied = true;        // a matrix has to be shared
  int64_t groupLayers = 1; // of the layers that are found, so many make a group
};

/// The repetition in a block that covers the most ops; none if there is none.
std::optional<Plan> findLayers(mlir::Block &block, const SearchOptions &options);

} // namespace uoe::depth
