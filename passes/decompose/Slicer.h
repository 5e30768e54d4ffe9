// Slicing a computation: from a value whose axis is partitioned (heads, neurons) back to the
// weights that give each expert its part.
#pragma once
#include "mlir/IR/IRMapping.h"
#include "passes/decompose/Partition.h"
#include "passes/raise/Match.h"
#include <map>

namespace uoe {

/// Where the groups lie in a value: its `axis` holds, from index `offset` on, `before` x groups x
/// `each` elements, the last varying fastest. A value of one row per group has before = each = 1;
/// one of D channels per group and three packed projections 3 and D.
struct AxisSlice {
  int64_t axis = 0, offset = 0, before = 1, each = 1;
  auto key() const { return std::make_tuple(axis, offset, before, each); }
};

/// Builds the body of a uoe.experts over groups: every value asked for by `slice` is there
/// restricted to the expert's groups, computed from sliced weights by copies of the nodes of the
/// whole model. Nodes must treat groups alike. One that needs all of them (a norm over all heads, a
/// scale for all neurons) is computed whole, on the results of experts of its own that are set side
/// by side; what comes out of it is cut. Any other node ends it.
class Slicer {
public:
  /// `builder` stands where operands of the experts op (views of weights) are made.
  Slicer(mlir::OpBuilder &builder, mlir::Location loc, int64_t groups, const Partition &partition,
         raise::Constants &facts);
  ~Slicer();

  /// The value in the body, restricted to the expert's groups; null if it can't be, then `reason`
  /// says why.
  mlir::Value slice(mlir::Value value, AxisSlice where);
  /// A value that exists whole (not followed to weights), cut by groups.
  mlir::Value cut(mlir::Value value, AxisSlice where);
  /// The value in the body, whole.
  mlir::Value whole(mlir::Value value);
  /// As `slice` along the axis that the broadcast of `value` to `rank` dimensions puts at
  /// where.axis; whole if it has one element there.
  mlir::Value sliceBroadcast(mlir::Value value, AxisSlice where, int64_t rank);
  /// From now on `by` stands for `value`.
  void alias(mlir::Value value, mlir::Value by) { aliases[value] = by; }
  /// How results of a raised block are sliced: gives the part in the slicer's body, or null after
  /// `stop`.
  using Resolve = std::function<mlir::Value(Slicer &, mlir::Value, AxisSlice)>;
  void resolveBlocksBy(Resolve how) { resolve = std::move(how); }

  /// A copy of `node` in the body whose operand i is operands[i]; result types are those of the
  /// node with axis `where` restricted.
  mlir::Operation *copy(onnx::NodeOp node, mlir::ValueRange operands, AxisSlice where);
  /// For a Reshape: the other side's slice, given one side's; `common` is the number of leading
  /// dimensions that stay. None if groups are not contiguous there.
  std::optional<AxisSlice> across(onnx::NodeOp reshape, AxisSlice where, bool forward,
                                  int64_t &common);
  /// For a Reshape that flattens rows to [rows, channels] with all groups side by side there: the
  /// slice of the other side. The axis from which on dimensions become channels is `from`.
  std::optional<AxisSlice> flattened(onnx::NodeOp reshape, AxisSlice where, bool forward,
                                     int64_t &from);
  /// The axis that becomes `axis` of the result of an Unsqueeze or Squeeze; none for other nodes,
  /// or where it is made there.
  std::optional<int64_t> axisBehind(onnx::NodeOp node, int64_t axis);
  /// For a Gather that puts the indices of the groups' axis in another order: the slice of what it
  /// takes, given that of what it gives. None if groups do not stay together, or if it does more
  /// than exchange what varies faster, groups or what is in them.
  std::optional<AxisSlice> behindOrder(onnx::NodeOp gather, AxisSlice where);
  /// The type of a value restricted to the expert's groups.
  mlir::RankedTensorType restricted(mlir::Value value, AxisSlice where);

  mlir::OpBuilder &inside() { return inner; }
  /// Where views are made, and what is made there since: removed again by `undo`.
  mlir::OpBuilder &outside() { return outer; }
  mlir::Value made(mlir::Value value);
  /// The matrix of a linear map as a view there.
  mlir::Value matrixOf(const raise::Linear &linear);
  void undo();

  /// The experts op with the body as it is, which yields `result`; `type` is what they make
  /// together.
  ExpertsOp finish(mlir::Value result, mlir::RankedTensorType type, Combine combine);
  /// Experts whose results nodes that need all groups stand on, first ones first.
  llvm::ArrayRef<ExpertsOp> stages() const { return stageExperts; }
  /// Makes the nodes that need all groups read the experts' results everywhere, and erases what
  /// then is unused.
  void replaceMixed();

  mlir::Value stop(const llvm::Twine &text);
  std::string reason;

private:
  mlir::Value sliceNode(onnx::NodeOp node, mlir::Value value, AxisSlice where);
  mlir::Value sliceProduct(onnx::NodeOp node, mlir::Value value, AxisSlice where);
  mlir::Value sliceEinsum(onnx::NodeOp node, AxisSlice where);
  mlir::Value sliceRegrouping(onnx::NodeOp node, mlir::Value value, AxisSlice where);
  bool turn(AxisSlice &where, mlir::Value value, int64_t axis);
  mlir::Value slicePicked(onnx::NodeOp node, AxisSlice where);
  mlir::Value sliceReordered(onnx::NodeOp node, AxisSlice in, AxisSlice where);
  mlir::Value slicePart(onnx::NodeOp node, mlir::Value value, AxisSlice where);
  mlir::Value regroup(onnx::NodeOp node, mlir::Value value, AxisSlice to, int64_t common);
  mlir::Value follow(onnx::NodeOp node, mlir::Value value, AxisSlice in, AxisSlice out);
  mlir::Value stopAt(onnx::NodeOp node, const llvm::Twine &why);
  mlir::Value mix(onnx::NodeOp node, mlir::Value value, AxisSlice where);
  onnx::NodeOp copyOnStages(onnx::NodeOp node, AxisSlice where);
  mlir::Value cutLast(mlir::Value value, AxisSlice where);
  mlir::Value inOldOrder(mlir::OpBuilder &builder, mlir::Value value, int64_t each);
  mlir::Value addSliced(mlir::Value value, int64_t axis);

  mlir::OpBuilder &outer;
  mlir::OpBuilder inner;
  mlir::Location loc;
  int64_t groups;
  Partition partition;
  bool even;
  int64_t size; // groups per expert where even
  raise::Constants &facts;
  mlir::Block *body;
  llvm::SmallVector<mlir::Value> shared, sliced;
  llvm::SmallVector<int64_t> axes;
  llvm::DenseMap<mlir::Value, mlir::Value> wholes, aliases;
  Resolve resolve;
  std::map<std::pair<void *, std::tuple<int64_t, int64_t, int64_t, int64_t>>, mlir::Value> slices;
  llvm::MapVector<mlir::Operation *, onnx::NodeOp> mixed; // node to its copy on experts' results
  llvm::SmallVector<ExpertsOp> stageExperts;
  llvm::SmallVector<mlir::Operation *> madeOutside;
  int budget = 512;
};

/// The product `projection` over a partitioned axis of its first operand, at `where`, as
/// the sum of experts: each multiplies its part of that operand, computed from weights of its own,
/// by its rows of the matrix. Null if that can't be, then the slicer says why. The result stands
/// for the projection's; a bias of it is added once.
struct SplitProduct {
  ExpertsOp experts;
  mlir::Value result;
  explicit operator bool() const { return static_cast<bool>(result); }
};
SplitProduct splitProduct(onnx::NodeOp projection, AxisSlice where, Slicer &slicer,
                          raise::Constants &facts);
/// True for an operator of one operand that works element by element.
bool isUnaryElementwise(onnx::NodeOp node);
/// True for a node that `splitProduct` may split.
bool isProjection(onnx::NodeOp node, raise::Constants &facts);

} // namespace uoe
