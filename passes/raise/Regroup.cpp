#include "passes/raise/Regroup.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

Permutation raise::inverse(ArrayRef<int64_t> perm) {
  Permutation result(perm.size());
  for (auto [to, from] : llvm::enumerate(perm))
    result[from] = static_cast<int64_t>(to);
  return result;
}

std::optional<Permutation> raise::permutationOf(NodeOp node) {
  auto perm = node && node.is("Transpose")
                  ? dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"))
                  : DenseI64ArrayAttr();
  if (!perm)
    return std::nullopt;
  Permutation result(perm.asArrayRef());
  for (int64_t &axis : result)
    axis = axis < 0 ? axis + perm.size() : axis;
  return result;
}

Value raise::transposed(Graph &graph, NodeOp at, Value value, Permutation perm) {
  if (auto inner = permutationOf(value.getDefiningOp<NodeOp>())) {
    for (int64_t &axis : perm)
      axis = (*inner)[axis];
    value = value.getDefiningOp<NodeOp>().input(0);
  }
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size())))
    return value;
  return graph.make(at, "Transpose", {value}, {graph.attribute("perm", ArrayRef<int64_t>(perm))});
}

bool raise::isElementByElement(NodeOp node) {
  static const llvm::StringSet<> names{
      "Abs",        "Add",        "And",         "Cast",      "Celu",
      "Clip",       "Div",        "Elu",         "Equal",     "Erf",
      "Exp",        "Gelu",       "Greater",     "Identity",  "IsNaN",
      "LeakyRelu",  "Less",       "Log",         "Max",       "Min",
      "Mish",       "Mul",        "Neg",         "Not",       "Or",
      "Pow",        "Reciprocal", "Relu",        "Selu",      "Sigmoid",
      "Softplus",   "Softsign",   "Sqrt",        "Sub",       "Swish",
      "Tanh",       "Where",      "HardSigmoid", "HardSwish", "GreaterOrEqual",
      "LessOrEqual"};
  return node.getNumResults() == 1 && names.contains(node.getOpType()) &&
         (node.getDomain().empty() || node.getDomain() == "ai.onnx");
}

std::optional<Refinement> raise::refine(Graph &graph, ArrayRef<Dim> a, ArrayRef<Dim> b) {
  DimTable &dims = graph.facts.dims;
  Refinement result;
  result.a.assign(a.size(), 0);
  result.b.assign(b.size(), 0);
  size_t i = 0, j = 0;
  Dim one = dims.constant(1), left = one, right = one;
  auto emit = [&](Dim size) {
    result.sizes.push_back(size);
    ++result.a[i];
    ++result.b[j];
  };
  while (i < a.size() && j < b.size()) {
    Dim x = left.is(1) ? a[i] : left, y = right.is(1) ? b[j] : right;
    // An axis of one element that the other shape does not have belongs to its neighbour.
    bool moreA = i + 1 < a.size(), moreB = j + 1 < b.size();
    if (x == y) {
      emit(x);
      left = right = one;
      ++i, ++j;
    } else if (x.is(1) && moreA) {
      emit(x);
      ++i;
    } else if (y.is(1) && moreB) {
      emit(y);
      ++j;
    } else if (Dim rest = dims.exactDiv(y, x); rest && !x.is(0) && !rest.is(1) && moreA) {
      emit(x);
      left = one;
      right = rest;
      ++i;
    } else if (Dim rest = dims.exactDiv(x, y); rest && !y.is(0) && !rest.is(1) && moreB) {
      emit(y);
      right = one;
      left = rest;
      ++j;
    } else {
      return std::nullopt;
    }
  }
  // What is left are axes of one element at an end.
  if (!left.is(1) || !right.is(1))
    return std::nullopt;
  auto finish = [&](ArrayRef<Dim> sizes, size_t from, SmallVector<int64_t> &own,
                    SmallVector<int64_t> &other) {
    for (size_t axis = from; axis < sizes.size(); ++axis) {
      if (!sizes[axis].is(1) || other.empty())
        return false;
      result.sizes.push_back(one);
      ++own[axis];
      ++other.back();
    }
    return true;
  };
  if (!finish(a, i, result.a, result.b) || !finish(b, j, result.b, result.a))
    return std::nullopt;
  return result;
}

Refinement::Place Refinement::placeOf(int64_t axisOfFirst) const {
  Place result{0, 0, 0, 0};
  for (int64_t i = 0; i < axisOfFirst; ++i)
    result.part += a[i];
  while (result.part + 1 < sizes.size() && sizes[result.part].is(1))
    ++result.part;
  while (result.begin + b[result.axis] <= result.part)
    result.begin += b[result.axis++];
  result.end = result.begin + b[result.axis];
  return result;
}

Permutation raise::refined(ArrayRef<int64_t> perm, ArrayRef<int64_t> parts) {
  SmallVector<int64_t> start;
  int64_t at = 0;
  for (int64_t count : parts) {
    start.push_back(at);
    at += count;
  }
  Permutation result;
  for (int64_t axis : perm)
    for (int64_t i = 0; i < parts[axis]; ++i)
      result.push_back(start[axis] + i);
  return result;
}

SmallVector<Dim> raise::permuted(ArrayRef<Dim> sizes, ArrayRef<int64_t> perm) {
  SmallVector<Dim> result;
  for (int64_t axis : perm)
    result.push_back(sizes[axis]);
  return result;
}

Value raise::reshaped(Graph &graph, NodeOp at, Value value, ArrayRef<Dim> to) {
  SmallVector<Dim> from(graph.facts.facts(value).dims);
  if (llvm::equal(from, to))
    return value;
  if (auto target = reshapeTarget(from, to))
    return graph.make(at, "Reshape", {value, graph.integers(at, *target)});
  SmallVector<Value> parts;
  SmallVector<std::pair<int64_t, int64_t>> sources; // axis of the value (-1: none), size
  bool open = false;
  for (Dim size : to) {
    auto constant = size.constant();
    auto found = llvm::find(from, size);
    if (constant && *constant > 0) {
      sources.push_back({-1, *constant});
    } else if (found != from.end()) {
      sources.push_back({found - from.begin(), 0});
    } else if (!open) {
      open = true;
      sources.push_back({-1, -1});
    } else {
      return {};
    }
  }
  for (auto [axis, size] : sources)
    parts.push_back(
        axis < 0 ? graph.integers(at, {size})
                 : graph.make(at, "Shape", {value},
                              {graph.attribute("start", axis), graph.attribute("end", axis + 1)}));
  Value shape = graph.make(at, "Concat", parts, {graph.attribute("axis", int64_t(0))});
  return graph.make(at, "Reshape", {value, shape});
}
