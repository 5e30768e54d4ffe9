// Weights of chosen experts, one column for each expert, zeros for those that were not chosen.
#include "passes/raise/Canonicalize.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

/// The indices of a TopK that `value` holds, perhaps as integers of another type; null otherwise.
static Value chosen(Value value) {
  while (value) {
    auto node = value.getDefiningOp<NodeOp>();
    if (!node)
      return {};
    if (node.is("TopK"))
      return value == node.getResult(1) ? value : Value();
    if (!node.is("Cast") && !node.is("Identity"))
      return {};
    value = node.input(0);
  }
  return {};
}

/// The indices behind rows of zeros with a one where each index says; null if it is not that.
static Value oneHotOf(Graph &graph, Value value) {
  NodeOp hot = producer(withoutCasts(graph, value), "OneHot");
  if (!hot || graph.rank(value) < 0)
    return {};
  int64_t axis = hot.integer("axis", -1);
  auto values = dyn_cast_or_null<DenseElementsAttr>(graph.facts.constant(hot.input(2)));
  if ((axis != -1 && axis != graph.rank(value) - 1) || !values || values.getNumElements() != 2)
    return {};
  auto number = [&](int64_t i) -> double {
    if (auto floats = dyn_cast<DenseFPElementsAttr>(values))
      return floats.getValues<APFloat>()[i].convertToDouble();
    return static_cast<double>(values.getValues<APInt>()[i].getSExtValue());
  };
  Value indices = number(0) == 0 && number(1) == 1 ? chosen(hot.input(0)) : Value();
  // As many columns as there is to choose from: no index is out of range.
  auto columns = graph.size(value, -1);
  auto all = indices ? graph.size(indices.getDefiningOp<NodeOp>().input(0), -1) : std::nullopt;
  return columns && all == columns ? indices : Value();
}

/// The sum over the choices of weights in one-hot rows, sum_k w[.., k] · onehot(i[.., k]), where
/// the choices differ from each other: the weights put into zeros at the indices.
Simplified raise::canonicalChoice(Graph &graph, NodeOp root) {
  NodeOp product = root.is("ReduceSum") ? producer(root.input(0), "Mul") : NodeOp();
  auto axes = product && root.input(1) ? graph.integersOf(root.input(1)) : std::nullopt;
  int64_t rank = product ? graph.rank(root.input(0)) : -1;
  if (!axes || axes->size() != 1 || rank < 2 || root.integer("keepdims", 1) != 0 ||
      ((*axes)[0] < 0 ? (*axes)[0] + rank : (*axes)[0]) != rank - 2)
    return Simplified::none();
  for (unsigned i : {0, 1}) {
    Value indices = oneHotOf(graph, product.input(i)), weights = product.input(1 - i);
    const Facts &each = indices ? graph.facts.facts(indices) : graph.facts.facts(weights);
    const Facts &wide = graph.facts.facts(weights), &sum = graph.facts.facts(root.getResult(0));
    if (!indices || !each.ranked || !wide.ranked || !sum.ranked || wide.rank() != rank ||
        !wide.dims.back().is(1) || !llvm::equal(ArrayRef(wide.dims).drop_back(), each.dims) ||
        !graph.isFloat(weights) || graph.element(weights) != graph.element(root.getResult(0)))
      continue;
    NodeOp insert = producer(weights, "Unsqueeze");
    weights = insert && graph.sameShape(insert.input(0), indices)
                  ? insert.input(0)
                  : graph.make(root, "Squeeze", {weights, graph.integers(root, {-1})});
    Value rows = graph.make(root, "Shape", {indices},
                            {graph.attribute("end", static_cast<int64_t>(rank - 2))});
    Value shape = graph.make(root, "Concat",
                             {rows, graph.integers(root, {*graph.size(root.getResult(0), -1)})},
                             {graph.attribute("axis", int64_t(0))});
    Value zeros =
        graph.make(root, "Expand", {graph.scalar(root, graph.element(weights), 0.0), shape});
    return Simplified::with(graph.make(root, "ScatterElements", {zeros, indices, weights},
                                       {graph.attribute("axis", int64_t(-1))}));
  }
  return Simplified::none();
}
