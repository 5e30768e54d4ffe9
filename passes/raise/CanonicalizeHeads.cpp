// Heads that are modules of their own, each with its projections and its attention, their results
// side by side: one projection and one attention of all heads, as most models spell it.
#include "passes/raise/Canonicalize.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {
/// Makes one value of what the heads have each: [B, S, D] of every head becomes [B, H, S, D], what
/// has fewer axes [H, ..] unless it is the same for all. Null where the heads are not alike.
class Stack {
public:
  Stack(Graph &graph, NodeOp at, WeightReader &weights)
      : graph(graph), at(at), weights(weights), heads(static_cast<int64_t>(at.getInputs().size())) {
  }

  Value of(ArrayRef<Value> values) {
    for (auto &[known, stacked] : made)
      if (llvm::equal(known, values))
        return stacked;
    Value stacked = make(values);
    made.push_back({llvm::to_vector(values), stacked});
    return stacked;
  }

  /// [B, S, H·D] of [B, H, S, D].
  Value sideBySide(Value value) {
    Value turned = graph.make(at, "Transpose", {value},
                              {graph.attribute("perm", ArrayRef<int64_t>{0, 2, 1, 3})});
    auto size = graph.size(value, -1);
    return size ? graph.make(at, "Reshape", {turned, graph.integers(at, {0, 0, heads * *size})})
                : Value();
  }

  /// Whether an attention was met: the heads' softmax.
  bool attends = false;

private:
  using Values = SmallVector<Value>;

  Value make(ArrayRef<Value> values) {
    int64_t rank = graph.rank(values.front());
    if (rank < 0 || rank > 3 || --budget < 0 ||
        !llvm::all_of(values, [&](Value v) { return graph.rank(v) == rank; }))
      return {};
    if (llvm::all_of(values, [&](Value v) { return same(values.front(), v); }))
      return rank < 3 ? values.front() : unsqueeze(values.front(), 1);
    if (rank < 3)
      return listed(values, rank);
    if (Value projected = projections(values))
      return projected;
    SmallVector<NodeOp> nodes;
    for (Value value : values) {
      auto node = value.getDefiningOp<NodeOp>();
      if (!node || node.getNumResults() != 1 || !node.getSubgraphs().empty() ||
          node->getBlock() != at->getBlock())
        return {};
      NodeOp first = nodes.empty() ? node : nodes.front();
      if (node.getOpType() != first.getOpType() || node.getDomain() != first.getDomain() ||
          node.getNodeAttrs() != first.getNodeAttrs() ||
          node.getInputs().size() != first.getInputs().size())
        return {};
      nodes.push_back(node);
    }
    return through(nodes);
  }

  /// The heads' nodes as one.
  Value through(ArrayRef<NodeOp> nodes) {
    NodeOp node = nodes.front();
    SmallVector<NamedAttribute> attributes(node.getNodeAttrs().begin(), node.getNodeAttrs().end());
    if (node.is("Transpose")) {
      auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
      if (!perm || perm.asArrayRef() != ArrayRef<int64_t>{0, 2, 1})
        return {};
      attributes = {graph.attribute("perm", ArrayRef<int64_t>{0, 1, 3, 2})};
    } else if (node.is("Softmax")) {
      if (int64_t axis = node.integer("axis", -1); axis != -1 && axis != 2)
        return {};
      attributes = {graph.attribute("axis", int64_t(-1))};
      attends = true;
    } else if (node.is("MatMul")) {
      if (graph.rank(node.input(0)) != 3 || graph.rank(node.input(1)) != 3)
        return {};
    } else if (node.is("Concat")) {
      if (int64_t axis = node.integer("axis", 0); axis != -1 && axis != 2)
        return {};
      attributes = {graph.attribute("axis", int64_t(-1))};
    } else if (node.is("Slice")) {
      return slice(nodes);
    } else if (!isElementwise(node)) {
      return {};
    }
    SmallVector<Value> operands;
    for (unsigned i = 0; i < node.getInputs().size(); ++i) {
      Values each;
      for (NodeOp other : nodes)
        each.push_back(other.input(i));
      if (!each.front() && llvm::all_equal(each)) {
        operands.push_back(graph.none(at));
        continue;
      }
      if (!llvm::all_of(each, [](Value v) { return bool(v); }))
        return {};
      Value stacked = of(each);
      if (!stacked)
        return {};
      operands.push_back(stacked);
    }
    return graph.make(at, node.getOpType(), operands, attributes);
  }

  /// Slices of the last axis, as rotary embeddings take halves.
  Value slice(ArrayRef<NodeOp> nodes) {
    NodeOp node = nodes.front();
    auto axes = node.input(3) ? graph.integersOf(node.input(3)) : std::nullopt;
    if (!axes || axes->size() != 1 || ((*axes)[0] != -1 && (*axes)[0] != 2))
      return {};
    Values data;
    for (NodeOp other : nodes) {
      for (unsigned i = 1; i < node.getInputs().size(); ++i)
        if (!same(node.input(i), other.input(i)))
          return {};
      data.push_back(other.input(0));
    }
    Value stacked = of(data);
    if (!stacked)
      return {};
    SmallVector<Value> operands{stacked, node.input(1), node.input(2), graph.integers(at, {-1})};
    if (Value steps = node.input(4))
      operands.push_back(steps);
    return graph.make(at, "Slice", operands);
  }

  /// Projections of one input by matrices of the heads' own: a product with all columns.
  Value projections(ArrayRef<Value> values) {
    Values matrices, biases;
    Value input;
    auto width = graph.size(values.front(), -1);
    for (Value value : values) {
      NodeOp product = producer(value, "MatMul");
      Value bias;
      if (NodeOp sum = producer(value, "Add"))
        for (unsigned i : {0, 1})
          if (NodeOp inner = producer(sum.input(i), "MatMul");
              inner && !product && graph.rank(sum.input(1 - i)) == 1 &&
              isConstantExpression(graph, sum.input(1 - i))) {
            product = inner;
            bias = sum.input(1 - i);
          }
      if (!product || !width || graph.size(value, -1) != width ||
          graph.rank(product.input(1)) != 2 || !isConstantExpression(graph, product.input(1)) ||
          (input && product.input(0) != input))
        return {};
      input = product.input(0);
      matrices.push_back(product.input(1));
      if (bias && graph.size(bias, 0) == width)
        biases.push_back(bias);
      else if (bias)
        return {};
    }
    if (graph.rank(input) != 3 || (!biases.empty() && biases.size() != values.size()))
      return {};
    Value result = graph.make(at, "MatMul", {input, concat(matrices, 1)});
    if (!biases.empty())
      result = graph.make(at, "Add", {result, concat(biases, 0)});
    result = graph.make(at, "Reshape", {result, graph.integers(at, {0, 0, heads, *width})});
    return graph.make(at, "Transpose", {result},
                      {graph.attribute("perm", ArrayRef<int64_t>{0, 2, 1, 3})});
  }

  /// What has fewer axes than the tokens and differs between the heads: [H, .., ..].
  Value listed(ArrayRef<Value> values, int64_t rank) {
    Values each;
    for (Value value : values) {
      for (int64_t axis = rank; axis < 3; ++axis)
        value = unsqueeze(value, 0);
      each.push_back(value);
    }
    return concat(each, 0);
  }

  Value concat(ArrayRef<Value> values, int64_t axis) {
    return graph.make(at, "Concat", values, {graph.attribute("axis", axis)});
  }

  Value unsqueeze(Value value, int64_t axis) {
    if (graph.opset(at) >= 13)
      return graph.make(at, "Unsqueeze", {value, graph.integers(at, {axis})});
    return graph.make(at, "Unsqueeze", {value}, {graph.attribute("axes", ArrayRef<int64_t>{axis})});
  }

  /// Equal by what they are computed from: modules of one class have a mask each.
  bool same(Value a, Value b, int depth = 0) {
    if (a == b)
      return true;
    if (!a || !b || depth > 8 || a.getType() != b.getType())
      return false;
    TypedAttr x = graph.facts.constant(a), y = graph.facts.constant(b);
    if (x || y) {
      if (!x || !y || x.getType() != y.getType())
        return false;
      auto left = weights.read(x), right = weights.read(y);
      bool equal = left && right && left->bytes == right->bytes;
      llvm::consumeError(left.takeError());
      llvm::consumeError(right.takeError());
      return equal;
    }
    auto one = a.getDefiningOp<NodeOp>(), other = b.getDefiningOp<NodeOp>();
    return one && other && one.getOpType() == other.getOpType() &&
           one.getDomain() == other.getDomain() && one.getNodeAttrs() == other.getNodeAttrs() &&
           isRepeatable(one) && isRepeatable(other) &&
           one.getInputs().size() == other.getInputs().size() && !one.getInputs().empty() &&
           cast<OpResult>(a).getResultNumber() == cast<OpResult>(b).getResultNumber() &&
           llvm::all_of(llvm::zip(one.getInputs(), other.getInputs()), [&](auto pair) {
             return same(std::get<0>(pair), std::get<1>(pair), depth + 1);
           });
  }

  Graph &graph;
  NodeOp at;
  WeightReader &weights;
  int64_t heads;
  int budget = 64;
  std::vector<std::pair<Values, Value>> made;
};
} // namespace

Simplified raise::canonicalHeads(Graph &graph, NodeOp root, WeightReader &weights) {
  if (!root.is("Concat") || root.getInputs().size() < 2 || graph.rank(root.getResult(0)) != 3 ||
      !graph.isFloat(root.getResult(0)))
    return Simplified::none();
  if (int64_t axis = root.integer("axis", 0); axis != -1 && axis != 2)
    return Simplified::none();
  for (Value head : root.getInputs())
    if (!producer(head, "MatMul") || !head.hasOneUse())
      return Simplified::none();
  Stack stack(graph, root, weights);
  Value all = stack.of(llvm::to_vector(root.getInputs()));
  return all && stack.attends ? Simplified::with(stack.sideBySide(all)) : Simplified::none();
}
