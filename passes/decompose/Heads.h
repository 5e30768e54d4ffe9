// Slicing a computation by heads: from a value that has heads on one axis back to the weights that
// give each head its part.
#pragma once
#include "mlir/IR/IRMapping.h"
#include "passes/raise/Match.h"
#include <map>

namespace uoe {

/// Where the groups of heads lie in a value: its `axis` holds, from index `offset` on, `before` x
/// groups x `each` elements, the last varying fastest. A value of one row per group has before =
/// each = 1; one of D channels per group and three packed projections 3 and D.
struct HeadSlice {
  int64_t axis = 0, offset = 0, before = 1, each = 1;
  auto key() const { return std::make_tuple(axis, offset, before, each); }
};

/// Builds the body of a uoe.experts over groups of heads: every value asked for by `slice` is there
/// restricted to the expert's groups, computed from sliced weights by copies of the nodes of the
/// whole model. Nodes must treat heads alike; the first that doesn't ends it.
class HeadSlicer {
public:
  /// `builder` stands where operands of the experts op (views of weights) are made.
  HeadSlicer(mlir::OpBuilder &builder, mlir::Location loc, int64_t groups,
             llvm::ArrayRef<int64_t> sizes, raise::Facts &facts);
  ~HeadSlicer();

  /// The value in the body, restricted to the expert's groups; null if it can't be, then `reason`
  /// says why.
  mlir::Value slice(mlir::Value value, HeadSlice where);
  /// A value that exists whole (not followed to weights), cut by groups.
  mlir::Value cut(mlir::Value value, HeadSlice where);
  /// The value in the body, whole.
  mlir::Value whole(mlir::Value value);
  /// As `slice` along the axis that the broadcast of `value` to `rank` dimensions puts at
  /// where.axis; whole if it has one element there.
  mlir::Value sliceBroadcast(mlir::Value value, HeadSlice where, int64_t rank);
  /// A copy of `node` in the body whose operand i is operands[i]; result types are those of the
  /// node with axis `where` restricted.
  mlir::Operation *copy(onnx::NodeOp node, mlir::ValueRange operands, HeadSlice where);
  /// `value` (in the body, restricted by `from`) regrouped as the Reshape `node` of the whole model
  /// does, to `to`.
  mlir::Value regroup(onnx::NodeOp node, mlir::Value value, HeadSlice to, int64_t common);
  /// For a Reshape: the other side's slice, given one side's; `common` is the number of leading
  /// dimensions that stay. None if heads are not contiguous there.
  std::optional<HeadSlice> across(onnx::NodeOp reshape, HeadSlice where, bool forward,
                                  int64_t &common);
  /// The type of a value restricted to the expert's groups.
  mlir::RankedTensorType restricted(mlir::Value value, HeadSlice where);

  mlir::OpBuilder &inside() { return inner; }
  mlir::Block *takeBody();
  llvm::ArrayRef<mlir::Value> sharedOperands() const { return shared; }
  llvm::ArrayRef<mlir::Value> slicedOperands() const { return sliced; }
  llvm::ArrayRef<int64_t> slicedAxes() const { return axes; }
  /// Removes what was made outside the body.
  void undo();
  mlir::Value stop(const llvm::Twine &text);
  std::string reason;

private:
  mlir::Value sliceNode(onnx::NodeOp node, mlir::Value value, HeadSlice where);
  mlir::Value addSliced(mlir::Value value, int64_t axis);
  mlir::Value made(mlir::Value value);

  mlir::OpBuilder &outer;
  mlir::OpBuilder inner;
  mlir::Location loc;
  int64_t groups;
  bool even;
  int64_t size; // groups per expert where even
  raise::Facts &facts;
  mlir::Block *body;
  llvm::SmallVector<mlir::Value> shared, sliced;
  llvm::SmallVector<int64_t> axes;
  llvm::DenseMap<mlir::Value, mlir::Value> wholes;
  std::map<std::pair<void *, std::tuple<int64_t, int64_t, int64_t, int64_t>>, mlir::Value> slices;
  llvm::SmallVector<mlir::Operation *> outside;
  int budget = 512;
};

} // namespace uoe
