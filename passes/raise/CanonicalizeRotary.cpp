// Rotary position embedding: x * cos + rotate_half(x) * sin (Su et al., RoFormer, 2021), as
// exporters spell it.
#include "passes/raise/Canonicalize.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {

/// Half of the last axis of `of`.
struct Half {
  Value of;
  int64_t size = 0; // of the whole axis
  bool second = false;
};

std::optional<Half> halfOf(Graph &graph, Value value) {
  auto result = dyn_cast_or_null<OpResult>(value);
  auto node = result ? dyn_cast<NodeOp>(result.getOwner()) : NodeOp();
  if (!node)
    return std::nullopt;
  Value x = node.input(0);
  auto size = x ? graph.size(x, -1) : std::nullopt;
  int64_t rank = x ? graph.rank(x) : -1;
  if (!size || *size % 2 || graph.size(value, -1) != *size / 2)
    return std::nullopt;
  if (node.is("Split") && node.getNumResults() == 2) {
    int64_t axis = node.integer("axis", 0);
    if (axis != -1 && axis != rank - 1)
      return std::nullopt;
    return Half{x, *size, result.getResultNumber() == 1};
  }
  if (!node.is("Slice"))
    return std::nullopt;
  auto starts = graph.integersOf(node.input(1)), ends = graph.integersOf(node.input(2)),
       axes = graph.integersOf(node.input(3));
  auto steps = node.input(4) ? graph.integersOf(node.input(4)) : SmallVector<int64_t>{1};
  if (!starts || !ends || !axes || !steps || starts->size() != 1 || axes->size() != 1 ||
      (*steps)[0] != 1 || ((*axes)[0] != -1 && (*axes)[0] != rank - 1))
    return std::nullopt;
  int64_t start = (*starts)[0] < 0 ? (*starts)[0] + *size : (*starts)[0];
  // The size is half, so that the start tells which.
  if (start != 0 && start != *size / 2)
    return std::nullopt;
  return Half{x, *size, start != 0};
}

/// x, if `value` is (-x2, x1) for the halves x1, x2 of its last axis.
Value rotatedHalf(Graph &graph, Value value) {
  NodeOp concat = producer(value, "Concat");
  int64_t rank = graph.rank(value);
  if (!concat || concat.getInputs().size() != 2 ||
      (concat.integer("axis", 0) != -1 && concat.integer("axis", 0) != rank - 1))
    return {};
  NodeOp negated = producer(concat.input(0), "Neg");
  if (!negated)
    return {};
  auto first = halfOf(graph, concat.input(1)), second = halfOf(graph, negated.input(0));
  if (!first || !second || first->of != second->of || first->second || !second->second)
    return {};
  return first->of;
}

/// Makes the first half of values whose last axis is the same half twice.
class Halver {
public:
  Halver(Graph &graph, NodeOp at, WeightReader &weights) : graph(graph), at(at), weights(weights) {}

  Value half(Value value, int depth = 0) {
    auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
    int64_t rank = graph.rank(value);
    if (depth > 10 || rank < 1)
      return {};
    if (TypedAttr constant = graph.facts.constant(value))
      return halfConstant(value, constant);
    if (!node || node.getNumResults() != 1)
      return {};
    if (node.is("Concat")) {
      int64_t axis = node.integer("axis", 0);
      bool last = axis == -1 || axis == rank - 1;
      return last && node.getInputs().size() == 2 && node.input(0) == node.input(1) ? node.input(0)
                                                                                    : Value();
    }
    SmallVector<NamedAttribute> attributes(node.getNodeAttrs().begin(), node.getNodeAttrs().end());
    auto again = [&](ValueRange operands) {
      return graph.make(at, node.getOpType(), operands, attributes);
    };
    if (node.is("Cos") || node.is("Sin") || node.is("Cast") || node.is("Neg")) {
      Value inner = half(node.input(0), depth + 1);
      return inner ? again({inner}) : Value();
    }
    if (node.is("Mul")) { // the scaling of long-context variants
      auto count = graph.facts.facts(node.input(1)).count();
      Value inner = count && *count == 1 ? half(node.input(0), depth + 1) : Value();
      return inner ? again({inner, node.input(1)}) : Value();
    }
    if (node.is("Unsqueeze")) {
      auto axes = graph.integersOf(node.input(1));
      if (!axes ||
          llvm::any_of(*axes, [&](int64_t axis) { return axis == -1 || axis == rank - 1; }))
        return {};
      // Negative axes count from the end of the same rank: unchanged.
      Value inner = half(node.input(0), depth + 1);
      return inner ? again({inner, node.input(1)}) : Value();
    }
    if (node.is("Gather")) {
      int64_t axis = node.integer("axis", 0), tableRank = graph.rank(node.input(0));
      if (tableRank < 2 || axis == -1 || axis == tableRank - 1)
        return {};
      Value inner = half(node.input(0), depth + 1);
      return inner ? again({inner, node.input(1)}) : Value();
    }
    if (node.is("Slice")) {
      auto axes = graph.integersOf(node.input(3));
      if (!axes ||
          llvm::any_of(*axes, [&](int64_t axis) { return axis == -1 || axis == rank - 1; }))
        return {};
      Value inner = half(node.input(0), depth + 1);
      SmallVector<Value> operands(node.getInputs());
      operands[0] = inner;
      return inner ? again(operands) : Value();
    }
    return {};
  }

private:
  /// A table whose rows repeat their first half: a Slice of it.
  Value halfConstant(Value value, TypedAttr constant) {
    auto size = graph.size(value, -1);
    auto type = dyn_cast<RankedTensorType>(constant.getType());
    if (!size || *size == 0 || *size % 2 || !type || !type.hasStaticShape() ||
        bitsOf(type.getElementType()) % 8)
      return {};
    auto data = weights.read(constant);
    if (!data) {
      llvm::consumeError(data.takeError());
      return {};
    }
    size_t row = *size * bitsOf(type.getElementType()) / 8;
    for (size_t offset = 0; offset + row <= data->bytes.size(); offset += row)
      if (std::memcmp(data->bytes.data() + offset, data->bytes.data() + offset + row / 2,
                      row / 2) != 0)
        return {};
    return graph.make(at, "Slice",
                      {value, graph.integers(at, {0}), graph.integers(at, {*size / 2}),
                       graph.integers(at, {-1})});
  }

  Graph &graph;
  NodeOp at;
  WeightReader &weights;
};

/// cos or sin for every position: (1 or batch, 1, seq, size), (1, seq, size) or (seq, size).
bool isTable(Graph &graph, Value table, Value x) {
  const Facts &t = graph.facts.facts(table), &data = graph.facts.facts(x);
  int64_t rank = t.rank();
  if (!t.ranked || rank < 2 || rank > 4 || t.dims[rank - 1] != data.dims[3] ||
      t.dims[rank - 2] != data.dims[2])
    return false;
  if (rank > 2 && !t.dims[rank - 3].is(1))
    return false;
  return rank < 4 || t.dims[0].is(1) || t.dims[0] == data.dims[0];
}

/// A cache (1 or batch, seq, size / 2) for every batch row of x.
Value forBatch(Graph &graph, NodeOp root, Value cache, Value x) {
  if (graph.facts.facts(cache).dims[0] == graph.facts.facts(x).dims[0])
    return cache;
  Value batch = graph.make(root, "Shape", {x}, {graph.attribute("end", int64_t(1))});
  Value shape = graph.make(root, "Concat", {batch, graph.integers(root, {1, 1})},
                           {graph.attribute("axis", int64_t(0))});
  return graph.make(root, "Expand", {cache, shape});
}

/// The operator's cache: (batch, seq, size / 2).
Value cacheOf(Graph &graph, NodeOp root, Value table, Value x, WeightReader &weights) {
  Value half = Halver(graph, root, weights).half(table);
  if (!half)
    return {};
  int64_t rank = graph.rank(half);
  if (rank == 4)
    half = graph.make(root, "Squeeze", {half, graph.integers(root, {1})});
  else if (rank == 2)
    half = graph.make(root, "Unsqueeze", {half, graph.integers(root, {0})});
  return forBatch(graph, root, half, x);
}

} // namespace

Simplified raise::recogniseRotary(Graph &graph, NodeOp root, WeightReader &weights) {
  if (!root.is("Add") || graph.opset(root) < 23 || graph.rank(root.getResult(0)) != 4)
    return Simplified::none();
  for (unsigned i : {0, 1}) {
    NodeOp straight = producer(root.input(i), "Mul"), turned = producer(root.input(1 - i), "Mul");
    if (!straight || !turned)
      continue;
    for (unsigned j : {0, 1}) {
      Value x = rotatedHalf(graph, turned.input(j)), sine = turned.input(1 - j);
      Value cosine = x ? otherOperand(straight, x) : Value();
      if (!cosine || !sine || !graph.size(x, -1) || !graph.sameShape(x, root.getResult(0)) ||
          !isTable(graph, cosine, x) || !isTable(graph, sine, x) ||
          graph.element(sine) != graph.element(x))
        continue;
      Value cosCache = cacheOf(graph, root, cosine, x, weights);
      Value sinCache = cosCache ? cacheOf(graph, root, sine, x, weights) : Value();
      if (!sinCache)
        continue;
      return Simplified::with(graph.make(root, "RotaryEmbedding", {x, cosCache, sinCache}));
    }
  }
  return Simplified::none();
}
