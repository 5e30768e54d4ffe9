// Masks that are spelled in arithmetic.
#include "passes/raise/Canonicalize.h"
#include "passes/raise/Scalar.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

static std::optional<std::vector<float>> elementsOf(Graph &graph, Value value,
                                                    WeightReader &weights) {
  TypedAttr constant = graph.facts.constant(value);
  if (!constant)
    return std::nullopt;
  auto elements = weights.floats(constant);
  if (!elements) {
    llvm::consumeError(elements.takeError());
    return std::nullopt;
  }
  return std::move(*elements);
}

/// True if all elements are 0 or 1: a constant of such, a bool as a number, or a rearrangement of
/// one.
static bool isBinary(Graph &graph, Value value, WeightReader &weights, int depth = 0) {
  if (!value || depth > 16)
    return false;
  if (auto elements = elementsOf(graph, value, weights))
    return llvm::all_of(*elements, [](float x) { return x == 0.0f || x == 1.0f; });
  Type element = graph.element(value);
  if (element && element.isInteger(1))
    return true;
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || node.getInputs().empty())
    return false;
  for (StringRef op : {"Slice", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Transpose",
                       "Identity", "Tile", "Split", "Gather", "Trilu"})
    if (node.is(op))
      return isBinary(graph, node.input(0), weights, depth + 1);
  return false;
}

namespace {
/// What a mask says: `value`, or its complement.
struct Literal {
  Value value;
  bool negated = false;
};
} // namespace

/// Through Not, 1 − m and changes of type, to the last value that is 0 or 1 everywhere; null if
/// there is none. None of these steps moves an element.
static Literal literalOf(Graph &graph, Value value, WeightReader &weights) {
  Literal literal{value}, binary;
  for (int steps = 0; literal.value && steps < 8; ++steps) {
    if (isBinary(graph, literal.value, weights))
      binary = literal;
    auto node = literal.value.getDefiningOp<NodeOp>();
    if (!node)
      break;
    if (node.is("Sub")) {
      auto one = graph.scalarOf(node.input(0));
      if (!one || *one != 1.0 || !graph.sameShape(node.getResult(0), node.input(1)))
        break;
      literal = {node.input(1), !literal.negated};
    } else if (node.is("Not") || node.is("Cast") || node.is("Identity")) {
      literal = {node.input(0), literal.negated != node.is("Not")};
    } else {
      break;
    }
  }
  return binary;
}

/// m·x + (1 − m)·y, as TensorFlow's Select is exported, chooses between x and y. Exact where both
/// are finite.
static Simplified recogniseSelect(Graph &graph, NodeOp root, WeightReader &weights) {
  NodeOp left = producer(root.input(0), "Mul"), right = producer(root.input(1), "Mul");
  if (!root.is("Add") || !left || !right)
    return Simplified::none();
  for (unsigned i : {0, 1}) {
    Literal kept = literalOf(graph, left.input(i), weights);
    for (unsigned j = 0; kept.value && j < 2; ++j) {
      Literal other = literalOf(graph, right.input(j), weights);
      if (other.value != kept.value || other.negated == kept.negated)
        continue;
      Value condition = kept.value, x = left.input(1 - i), y = right.input(1 - j);
      if (Type element = graph.element(condition); !element || !element.isInteger(1))
        condition = graph.make(root, "Cast", {condition}, {graph.attribute("to", int64_t(9))});
      if (kept.negated)
        std::swap(x, y);
      return Simplified::with(graph.make(root, "Where", {condition, x, y}));
    }
  }
  return Simplified::none();
}

/// m·x + f(m), where f(1) = 0 and m is 0 or 1, chooses between x and f(0); GPT's scores are
/// m·x − 1e4·(1 − m) with m a triangle of ones. Exact for finite x.
Simplified raise::recogniseMask(Graph &graph, NodeOp root, WeightReader &weights) {
  if (Simplified select = recogniseSelect(graph, root, weights); select.changed)
    return select;
  if (!(root.is("Add") || root.is("Sub")) || !graph.isFloat(root.getResult(0)))
    return Simplified::none();
  for (unsigned i : {0, 1}) {
    if (root.is("Sub") && i == 1)
      break;
    NodeOp product = producer(root.input(i), "Mul");
    Value other = root.input(1 - i);
    for (unsigned j = 0; product && j < 2; ++j) {
      Value mask = product.input(j), x = product.input(1 - j);
      auto kept = evaluate(other, Assignment{{mask, 1.0}}),
           fill = evaluate(other, Assignment{{mask, 0.0}});
      // A function of the mask: another value of the mask gives another value.
      if (!kept || !fill || *kept != 0.0 || *fill == 0.0 || !isBinary(graph, mask, weights))
        continue;
      Value condition = graph.make(root, "Cast", {mask}, {graph.attribute("to", int64_t(9))});
      Value fillValue =
          graph.scalar(root, graph.element(root.getResult(0)), root.is("Sub") ? -*fill : *fill);
      return Simplified::with(graph.make(root, "Where", {condition, x, fillValue}));
    }
  }
  return Simplified::none();
}

namespace {
/// Probabilities of which a mask leaves some. `softmax`, over the last axis, is null if they are
/// anything but p·m or Where(m, p, 0).
struct Kept {
  NodeOp softmax;
  Value mask, condition;
};
} // namespace

static Kept keptProbabilities(Graph &graph, Value value, NodeOp at, WeightReader &weights) {
  auto isSoftmax = [&](Value p) {
    NodeOp softmax = producer(p, "Softmax");
    int64_t axis = softmax ? softmax.integer("axis", -1) : 0;
    return softmax && (axis == -1 || axis == graph.rank(p) - 1) ? softmax : NodeOp();
  };
  if (NodeOp choice = producer(value, "Where"))
    if (auto zero = graph.scalarOf(choice.input(2)); zero && *zero == 0.0)
      return {isSoftmax(choice.input(1)), choice.input(0), choice.input(0)};
  NodeOp product = producer(value, "Mul");
  for (unsigned i = 0; product && i < 2; ++i) {
    Value mask = product.input(i);
    NodeOp softmax = isSoftmax(product.input(1 - i));
    if (!softmax || !isBinary(graph, mask, weights))
      continue;
    NodeOp cast = producer(mask, "Cast");
    if (cast && graph.element(cast.input(0)) && graph.element(cast.input(0)).isInteger(1))
      return {softmax, mask, cast.input(0)};
    return {softmax, mask, graph.make(at, "Cast", {mask}, {graph.attribute("to", int64_t(9))})};
  }
  return {};
}

/// The sum over the last axis, which stays: of what.
static Value rowSumOf(Graph &graph, Value value) {
  NodeOp sum = producer(value, "ReduceSum");
  if (!sum || sum.integer("keepdims", 1) == 0)
    return {};
  auto axes = graph.integersOf(sum.input(1));
  int64_t rank = graph.rank(sum.input(0));
  return axes && axes->size() == 1 && rank > 0 && ((*axes)[0] == -1 || (*axes)[0] == rank - 1)
             ? sum.input(0)
             : Value();
}

/// s > 0 for a sum over the last axis: what is summed.
static Value positiveSum(Graph &graph, Value condition) {
  NodeOp test = producer(condition, "Greater");
  auto bound = test ? graph.scalarOf(test.input(1)) : std::nullopt;
  return bound && *bound == 0.0 ? rowSumOf(graph, test.input(0)) : Value();
}

/// p·m / Σ(p·m), probabilities masked after the softmax and scaled to a sum of 1 again, is the
/// softmax of the scores that the mask leaves. A row without any is what the divisor makes of it: 0
/// where it is guarded (1 for a sum of 0, a small number added or as a bound), 0/0 elsewhere.
Simplified raise::recogniseLateMask(Graph &graph, NodeOp root, WeightReader &weights) {
  // 0 for rows without a key, where they are 0 already.
  if (root.is("Where")) {
    Value summed = positiveSum(graph, root.input(0));
    auto zero = graph.scalarOf(root.input(2));
    NodeOp choice = producer(root.input(1), "Where");
    auto inner = choice ? graph.scalarOf(choice.input(2)) : std::nullopt;
    if (!summed || !zero || *zero != 0.0 || !inner || *inner != 0.0 ||
        !producer(choice.input(1), "Softmax") || !graph.sameShape(root.getResult(0), root.input(1)))
      return Simplified::none();
    Kept kept = keptProbabilities(graph, summed, root, weights);
    NodeOp cast = producer(choice.input(0), "Cast");
    bool same =
        kept.softmax && (kept.condition == choice.input(0) || (cast && cast.input(0) == kept.mask));
    return same ? Simplified::with(root.input(1)) : Simplified::none();
  }
  if (!root.is("Div") || !graph.isFloat(root.getResult(0)))
    return Simplified::none();
  Value kept = root.input(0), sum = root.input(1);
  bool guarded = true;
  if (NodeOp choice = producer(sum, "Where"); choice && positiveSum(graph, choice.input(0)) == kept)
    sum = choice.input(1);
  else if (NodeOp bound = producer(sum, "Add") ? producer(sum, "Add") : producer(sum, "Max")) {
    bool small = false;
    for (unsigned i = 0; i < 2 && bound.getInputs().size() == 2 && !small; ++i) {
      auto c = graph.scalarOf(bound.input(i));
      small = c && *c > 0.0 && *c < 1e-6;
      sum = bound.input(1 - i);
    }
    if (!small)
      return Simplified::none();
  } else {
    guarded = false;
  }
  if (rowSumOf(graph, sum) != kept)
    return Simplified::none();
  Kept parts = keptProbabilities(graph, kept, root, weights);
  if (!parts.softmax || !graph.sameShape(kept, parts.softmax.getResult(0)))
    return Simplified::none();
  Value scores = parts.softmax.input(0);
  // Scores times the mask, of which the mask leaves the scores.
  if (NodeOp product = producer(scores, "Mul"))
    for (unsigned i : {0, 1})
      if (product.input(i) == parts.mask && graph.sameShape(scores, product.input(1 - i)))
        scores = product.input(1 - i);
  Type element = graph.element(scores);
  auto lowest = [&](bool infinite) {
    auto &semantics = cast<FloatType>(element).getFloatSemantics();
    return graph.scalar(
        root, element,
        (infinite ? APFloat::getInf(semantics, true) : APFloat::getLargest(semantics, true))
            .convertToDouble());
  };
  scores = graph.make(root, "Where", {parts.condition, scores, lowest(!guarded)});
  Value p = graph.make(root, "Softmax", {scores}, {graph.attribute("axis", int64_t(-1))});
  if (guarded)
    p = graph.make(root, "Where", {parts.condition, p, graph.scalar(root, element, 0.0)});
  return Simplified::with(p);
}
