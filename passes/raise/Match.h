// What the matchers of the raise passes stand on: constants, values seen through operators that do
// not change them, and the outlining of matched nodes into the spelling of a raised block.
#pragma once
#include "dialects/onnx/Onnx.h"
#include "dialects/uoe/Uoe.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include <functional>
#include <optional>
#include <string>

namespace uoe::raise {

using Nodes = llvm::SetVector<mlir::Operation *>;

/// Answers about the values of one function, remembered. Valid until the function changes values
/// (moving nodes is fine).
class Constants {
public:
  /// True if the value depends on initializers and constants alone.
  bool isConstant(mlir::Value value);
  /// The value, if it is constant and has one element (or equal elements).
  std::optional<double> scalar(mlir::Value value);
  /// The elements of a small constant tensor of integers.
  std::optional<llvm::SmallVector<int64_t>> integers(mlir::Value value);

private:
  llvm::DenseMap<mlir::Value, bool> constant;
  llvm::DenseMap<mlir::Value, std::optional<double>> scalars;
};

/// Why a candidate is not a block, and the node at which that was seen.
struct Reason {
  std::string text;
  mlir::Operation *at = nullptr;
};

/// Name of a node for messages: its name in the model, else its first result's, else its operator.
std::string describe(mlir::Operation *op);

/// Rank of a tensor, -1 if unknown; size of dimension `axis` (negative counts from the end),
/// kDynamic if unknown.
int64_t rankOf(mlir::Value value);
int64_t sizeOf(mlir::Value value, int64_t axis);
/// Element type of a tensor, or null.
mlir::Type elementOf(mlir::Value value);
bool isFloat(mlir::Value value);
/// False if two tensors' shapes contradict each other in size or in dimension names on the first
/// `dims` axes.
bool mayAgree(mlir::Value a, mlir::Value b, int64_t dims);

/// True if `node` only regroups dimensions other than the last, or none at all (Reshape, Flatten,
/// Squeeze, Unsqueeze).
bool keepsLastDimension(onnx::NodeOp node);
/// The node that alone uses `value`, once; null if there is no such node.
onnx::NodeOp onlyUser(mlir::Value value);
/// The value that `value` equals up to rounding: through Identity, Dropout at inference, casts
/// between float types and QuantizeLinear/DequantizeLinear pairs; with `regroup`, also through
/// nodes that keep the last dimension. What is crossed is added to `trail`.
mlir::Value through(mlir::Value value, bool regroup, Nodes *trail = nullptr);
/// One step of `through`: the operand that `value` equals, or null.
mlir::Value throughOnce(mlir::Value value, bool regroup, Nodes *trail = nullptr);

/// The value that `value` holds, perhaps with rows repeated: through everything that only regroups,
/// repeats or reorders them.
mlir::Value regrouped(mlir::Value value, Nodes *trail = nullptr);

/// A product of two activations, in any spelling: alpha · lhs · rhs, rhs transposed in its last two
/// dimensions if `transposed`. Operands are float tensors (before dynamic quantisation, after
/// static dequantisation).
struct Product {
  mlir::Value lhs, rhs;
  bool transposed = false;
  double alpha = 1.0;
  mlir::Operation *core = nullptr;
  Nodes nodes;
};
std::optional<Product> matchProduct(mlir::Value value, Constants &facts);

/// y = input·W + bias with constant W [in, out], in any spelling.
struct Linear {
  /// Makes a constant, of the element type of the input, as nodes at the builder's position.
  using Maker = std::function<mlir::Value(mlir::OpBuilder &)>;
  mlir::Value input;
  mlir::Operation *core = nullptr;
  /// Makes W.
  Maker weight;
  /// Make the vectors that add up to the bias; each has `out` elements on the last dimension.
  llvm::SmallVector<Maker> biases;
  int64_t in = 0, out = 0;
  /// Nodes from the value down to the core.
  Nodes nodes;
};
/// Matches `value` as the result of a linear map, through regrouping, casts, quantisation, bias
/// additions and factors of its columns; or as the sum of several maps of one input, of which some
/// may be products of two (a low-rank map beside a matrix: LoRA).
std::optional<Linear> matchLinear(mlir::Value value, Constants &facts);
/// A sum of linear maps of one input, as one: its value and the map.
struct LinearSum {
  mlir::Value value;
  Linear map;
};
/// The last sum ahead of `from`, the value of `part` or of what was added to it, that is a map of
/// the part's input (low-rank maps beside a matrix, which may take its result again: LoRA, DoRA).
/// `adjust` may look further behind a map's input.
std::optional<LinearSum> sumAhead(mlir::Value from, const Linear &part, Constants &facts,
                                  llvm::function_ref<void(Linear &, Constants &)> adjust = nullptr);
/// Matches the node (or chain that ends in `value`) itself, without what follows it.
std::optional<Linear> matchLinearCore(mlir::Value value, Constants &facts);
/// If the node multiplies (or divides) its other operand by a constant vector along the last
/// dimension, of `size` elements: that vector, with the dimensions that it has.
mlir::Value factorsOf(onnx::NodeOp node, int64_t size, Constants &facts, mlir::Value &other);
/// If `value` is a sum of something and a vector along the last dimension (of `out` elements), that
/// vector.
mlir::Value biasOf(onnx::NodeOp node, int64_t out, Constants &facts, mlir::Value &other);

/// The bias of a linear map as one vector [size] at the builder's position (columns from `start`
/// on, each `step` after the one before), or null.
mlir::Value makeBias(mlir::OpBuilder &builder, mlir::Location loc, const Linear &linear,
                     mlir::ArrayRef<mlir::Value> more, int64_t start, int64_t size,
                     int64_t step = 1);

//===----------------------------------------------------------------------===//
// Making nodes
//===----------------------------------------------------------------------===//

/// Nodes that a raise pass makes for a block's operands carry this attribute; `inline-spelling`
/// removes those unused.
inline constexpr llvm::StringLiteral kMade = "uoe.operand";

/// The location of a block that ends in `op`, and of nodes made for it: refers to the node, without
/// being its name.
mlir::Location blockLoc(mlir::Operation *op);

mlir::Value makeNode(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef op,
                     mlir::ValueRange operands, mlir::Type result,
                     mlir::ArrayRef<mlir::NamedAttribute> attrs = {}, llvm::StringRef domain = "");
mlir::Value makeIntegers(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::ArrayRef<int64_t> values);
/// A tensor without dimensions of the given float or integer type.
mlir::Value makeScalar(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type element,
                       double value);
mlir::Value makeTranspose(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                          mlir::ArrayRef<int64_t> perm);
mlir::Value makeReshape(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                        mlir::ArrayRef<int64_t> shape);
mlir::Value makeUnsqueeze(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                          int64_t axis);
mlir::Value makeSlice(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, int64_t axis,
                      int64_t start, int64_t size, int64_t step = 1);
mlir::Value makeCast(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                     mlir::Type element);
/// value · factor, or value itself if the factor is 1.
mlir::Value makeScaled(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value,
                       double factor);
/// An elementwise node of two operands that broadcast.
mlir::Value makeBinary(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef op,
                       mlir::Value a, mlir::Value b);

//===----------------------------------------------------------------------===//
// Outlining
//===----------------------------------------------------------------------===//

/// The nodes of `matched` that can move into a block whose results are `roots`: those in the roots'
/// block all of whose uses are by such nodes. Side computations that only feed matched nodes (of
/// shapes, mostly) come along.
Nodes movable(const Nodes &matched, mlir::ValueRange roots);
/// Moves the nodes, in their order, into the (empty) region, which yields `roots`; other uses of
/// the roots become uses of `results`.
void outline(const Nodes &nodes, mlir::ValueRange roots, mlir::Region &region,
             mlir::ValueRange results);

/// Gives every raised block of the function its layer's index and a name, in order of appearance.
void numberLayers(mlir::Operation *function);

} // namespace uoe::raise
