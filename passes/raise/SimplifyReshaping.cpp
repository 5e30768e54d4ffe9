// Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Slice: no-ops, pairs, and one canonical
// spelling.
#include "passes/raise/Simplify.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

std::optional<SmallVector<int64_t>> raise::reshapeTarget(ArrayRef<Dim> from, ArrayRef<Dim> to) {
  SmallVector<int64_t> target;
  bool open = false;
  for (auto [axis, size] : llvm::enumerate(to)) {
    if (auto constant = size.constant()) {
      // 0 would copy.
      if (*constant <= 0)
        return std::nullopt;
      target.push_back(*constant);
    } else if (axis < from.size() && from[axis] == size) {
      target.push_back(0);
    } else if (!open) {
      target.push_back(-1);
      open = true;
    } else {
      return std::nullopt;
    }
  }
  return target;
}

static bool isReshaping(NodeOp node) {
  return node &&
         (node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze"));
}

static Simplified reshaping(Graph &graph, NodeOp node) {
  Value result = node.getResult(0), input = node.input(0);
  if (!input || !graph.facts.facts(result).ranked)
    return Simplified::none();
  // The nearest operand up the chain that has this shape already.
  Value source = input;
  for (int depth = 0; depth < 8; ++depth) {
    if (graph.sameShape(source, result))
      return Simplified::with(source);
    auto producer = source.getDefiningOp<NodeOp>();
    if (!isReshaping(producer) || !producer.input(0))
      break;
    source = producer.input(0);
  }
  // A Reshape that makes axes which are dropped.
  bool drops = node.is("Squeeze") && input.getDefiningOp<NodeOp>() &&
               input.getDefiningOp<NodeOp>().is("Reshape");
  if (node.is("Unsqueeze") || (node.is("Squeeze") && !drops)) {
    // Two in a row are one.
    auto producer = input.getDefiningOp<NodeOp>();
    auto outer = graph.integersOf(node.input(1));
    if (!producer || producer.getOpType() != node.getOpType() || !node.is("Unsqueeze") || !outer)
      return Simplified::none();
    auto inner = graph.integersOf(producer.input(1));
    int64_t rank = graph.rank(result), innerRank = graph.rank(input);
    if (!inner || rank < 0 || innerRank < 0)
      return Simplified::none();
    SmallVector<bool> made(rank, false);
    for (int64_t axis : *outer)
      made[axis < 0 ? axis + rank : axis] = true;
    SmallVector<bool> below(innerRank, false);
    for (int64_t axis : *inner)
      below[axis < 0 ? axis + innerRank : axis] = true;
    int64_t next = 0;
    SmallVector<int64_t> axes;
    for (int64_t axis = 0; axis < rank; ++axis)
      if (made[axis] || below[next++])
        axes.push_back(axis);
    return Simplified::with(
        graph.make(node, "Unsqueeze", {producer.input(0), graph.integers(node, axes)}));
  }
  // Reshape and Flatten: a Reshape to a constant, from the top of the chain.
  source = input;
  while (true) {
    auto producer = source.getDefiningOp<NodeOp>();
    if (!isReshaping(producer) || !producer.input(0) ||
        !graph.facts.facts(producer.input(0)).ranked)
      break;
    if (!reshapeTarget(graph.facts.facts(producer.input(0)).dims, graph.facts.facts(result).dims))
      break;
    source = producer.input(0);
  }
  const Facts &from = graph.facts.facts(source);
  if (!from.ranked || (drops && source == input))
    return Simplified::none();
  auto target = reshapeTarget(from.dims, graph.facts.facts(result).dims);
  if (!target)
    return Simplified::none();
  if (node.is("Reshape") && source == input) {
    auto dense = dyn_cast_or_null<DenseElementsAttr>(graph.facts.constant(node.input(1)));
    if (dense && graph.integersOf(node.input(1)) == target && !node.attribute("allowzero"))
      return Simplified::none();
  }
  return Simplified::with(graph.make(node, "Reshape", {source, graph.integers(node, *target)}));
}

static Simplified transpose(Graph &graph, NodeOp node) {
  Value input = node.input(0);
  auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
  if (!perm) {
    int64_t rank = graph.rank(input);
    if (rank < 0)
      return Simplified::none();
    SmallVector<int64_t> reverse = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, rank)));
    Graph::setAttribute(node, "perm", DenseI64ArrayAttr::get(node.getContext(), reverse));
    return Simplified::inPlace();
  }
  SmallVector<int64_t> order(perm.asArrayRef());
  for (int64_t &axis : order)
    axis = axis < 0 ? axis + static_cast<int64_t>(order.size()) : axis;
  if (llvm::equal(order, llvm::seq<int64_t>(0, order.size())))
    return Simplified::with(input);
  auto producer = input.getDefiningOp<NodeOp>();
  if (!producer || !producer.is("Transpose"))
    return Simplified::none();
  auto inner = dyn_cast_or_null<DenseI64ArrayAttr>(producer.attribute("perm"));
  if (!inner || static_cast<size_t>(inner.size()) != order.size())
    return Simplified::none();
  for (int64_t &axis : order)
    axis = inner[axis] < 0 ? inner[axis] + inner.size() : inner[axis];
  if (llvm::equal(order, llvm::seq<int64_t>(0, order.size())))
    return Simplified::with(producer.input(0));
  return Simplified::with(
      graph.make(node, "Transpose", {producer.input(0)}, {graph.attribute("perm", order)}));
}

/// A Slice without the axes that it leaves whole, if there are any beside others.
static Simplified withoutWhole(Graph &graph, NodeOp node) {
  SmallVector<SmallVector<int64_t>, 4> bounds; // starts, ends, axes, steps
  for (unsigned i : {1, 2, 3, 4}) {
    auto values = node.input(i) ? graph.integersOf(node.input(i)) : std::nullopt;
    if (!values && i == 4 && !node.input(4) && !bounds.empty())
      values = SmallVector<int64_t>(bounds[0].size(), 1);
    if (!values || (!bounds.empty() && values->size() != bounds[0].size()))
      return Simplified::none();
    bounds.push_back(*values);
  }
  const Facts &from = graph.facts.facts(node.input(0)), &to = graph.facts.facts(node.getResult(0));
  if (!from.ranked || !to.ranked)
    return Simplified::none();
  SmallVector<SmallVector<int64_t>, 4> kept(4);
  for (size_t i = 0; i < bounds[0].size(); ++i) {
    int64_t axis = bounds[2][i] < 0 ? bounds[2][i] + from.rank() : bounds[2][i];
    if (axis < 0 || axis >= from.rank())
      return Simplified::none();
    if (bounds[3][i] != 1 || from.dims[axis] != to.dims[axis])
      for (size_t list = 0; list < 4; ++list)
        kept[list].push_back(bounds[list][i]);
  }
  if (kept[0].empty() || kept[0].size() == bounds[0].size())
    return Simplified::none();
  SmallVector<Value> operands{node.input(0)};
  for (ArrayRef<int64_t> list : kept)
    operands.push_back(graph.integers(node, list));
  return Simplified::with(graph.make(node, "Slice", operands));
}

static Simplified slice(Graph &graph, NodeOp node) {
  auto steps = node.input(4) ? graph.integersOf(node.input(4)) : std::nullopt;
  bool forward =
      !node.input(4) || (steps && llvm::all_of(*steps, [](int64_t step) { return step == 1; }));
  // Steps of 1 that keep every element keep their order.
  if (forward && node.input(0) && graph.sameShape(node.input(0), node.getResult(0)))
    return Simplified::with(node.input(0));
  return withoutWhole(graph, node);
}

/// Entry `index` of an axis of `value`, where a Reshape cut the last axis of something into the
/// last two of `value`: columns of what was cut.
static Simplified columns(Graph &graph, NodeOp node, Value value, int64_t axis, int64_t index) {
  auto cut = value.getDefiningOp<NodeOp>();
  // The axis may have been brought to another place, if the others stayed in order.
  auto perm = cut && cut.is("Transpose")
                  ? dyn_cast_or_null<DenseI64ArrayAttr>(cut.attribute("perm"))
                  : DenseI64ArrayAttr();
  if (perm) {
    axis += axis < 0 ? perm.size() : 0;
    SmallVector<int64_t> others(perm.asArrayRef());
    if (axis < 0 || axis >= perm.size() || graph.rank(cut.input(0)) != perm.size())
      return Simplified::none();
    others.erase(others.begin() + axis);
    if (!llvm::is_sorted(others))
      return Simplified::none();
    axis = perm[axis];
    value = cut.input(0);
    cut = value.getDefiningOp<NodeOp>();
  }
  if (!cut || !cut.is("Reshape"))
    return Simplified::none();
  Value whole = cut.input(0);
  const auto &from = graph.facts.facts(whole), &to = graph.facts.facts(value);
  if (!from.ranked || !to.ranked || from.rank() < 1 || to.rank() != from.rank() + 1 ||
      !llvm::equal(ArrayRef(from.dims).drop_back(), ArrayRef(to.dims).drop_back(2)))
    return Simplified::none();
  int64_t rank = to.rank();
  axis += axis < 0 ? rank : 0;
  auto rows = graph.size(value, rank - 2), each = graph.size(value, rank - 1);
  if (axis < rank - 2 || !rows || !each)
    return Simplified::none();
  bool row = axis == rank - 2;
  index += index < 0 ? (row ? *rows : *each) : 0;
  auto slice = [&](int64_t start, int64_t end, int64_t step) {
    SmallVector<Value> operands{whole};
    for (int64_t bound : {start, end, rank - 2, step})
      operands.push_back(graph.integers(node, {bound}));
    return Simplified::with(graph.make(node, "Slice", operands));
  };
  return row ? slice(index * *each, (index + 1) * *each, 1) : slice(index, *rows * *each, *each);
}

/// One entry of an axis: by a Gather, or as a part of size 1 whose axis goes.
static Simplified entry(Graph &graph, NodeOp node) {
  if (node.is("Gather")) {
    auto index = node.input(1) ? graph.integersOf(node.input(1)) : std::nullopt;
    if (!index || index->size() != 1 || graph.rank(node.input(1)) != 0)
      return Simplified::none();
    return columns(graph, node, node.input(0), node.integer("axis", 0), (*index)[0]);
  }
  auto split = node.input(0).getDefiningOp<NodeOp>();
  auto axes = node.input(1) ? graph.integersOf(node.input(1)) : std::nullopt;
  if (!node.is("Squeeze") || !split || !split.is("Split") || !axes || axes->size() != 1)
    return Simplified::none();
  int64_t rank = graph.rank(split.input(0)), axis = split.integer("axis", 0), squeezed = (*axes)[0];
  if (rank < 0 || (axis < 0 ? axis + rank : axis) != (squeezed < 0 ? squeezed + rank : squeezed))
    return Simplified::none();
  for (auto [i, part] : llvm::enumerate(split.getResults())) {
    if (graph.size(part, axis) != 1)
      return Simplified::none();
    if (part == node.input(0))
      return columns(graph, node, split.input(0), axis, static_cast<int64_t>(i));
  }
  return Simplified::none();
}

static Simplified concat(Graph &graph, NodeOp node) {
  if (node.getInputs().size() == 1)
    return Simplified::with(node.input(0));
  int64_t axis = node.integer("axis", 1);
  SmallVector<Value> kept;
  for (Value operand : node.getInputs()) {
    auto size = graph.size(operand, axis);
    if (!size || *size != 0)
      kept.push_back(operand);
  }
  if (kept.empty() || kept.size() == node.getInputs().size())
    return Simplified::none();
  if (kept.size() == 1)
    return Simplified::with(kept[0]);
  node->setOperands(kept);
  return Simplified::inPlace();
}

Simplified raise::simplifyReshaping(Graph &graph, NodeOp node) {
  if (Simplified part = entry(graph, node); part.changed)
    return part;
  if (isReshaping(node))
    return reshaping(graph, node);
  if (node.is("Transpose"))
    return transpose(graph, node);
  if (node.is("Slice"))
    return slice(graph, node);
  if (node.is("Concat"))
    return concat(graph, node);
  if (node.is("Expand") || node.is("Tile") || node.is("Pad")) {
    // A Tile or Pad that keeps the shape may still move elements only with repeats or pads that
    // cancel.
    if (node.is("Pad")) {
      auto pads = graph.integersOf(node.input(1));
      if (!pads || llvm::any_of(*pads, [](int64_t pad) { return pad != 0; }))
        return Simplified::none();
    }
    if (node.input(0) && graph.sameShape(node.input(0), node.getResult(0)))
      return Simplified::with(node.input(0));
  }
  if (node.is("Split") && node.getNumResults() == 1)
    return Simplified::with(node.input(0));
  return Simplified::none();
}
