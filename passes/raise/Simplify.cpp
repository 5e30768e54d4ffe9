// Arithmetic and logical identities, casts, and whatever an inference-time graph does not need.
#include "passes/raise/Simplify.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

/// The operand, if the node's result has its shape and element type, so that it can stand for the
/// result.
static Simplified keep(Graph &graph, NodeOp node, unsigned i) {
  Value operand = node.input(i), result = node.getResult(0);
  if (!operand || !graph.sameShape(operand, result) ||
      graph.element(operand) != graph.element(result))
    return Simplified::none();
  return Simplified::with(operand);
}

/// Constants stand right: matchers look there.
static bool constantRight(Graph &graph, NodeOp node) {
  if (node.getInputs().size() != 2)
    return false;
  Value left = node.getInputs()[0], right = node.getInputs()[1];
  if (!graph.facts.constant(left) || graph.facts.constant(right))
    return false;
  node->setOperands({right, left});
  return true;
}

/// The value of a constant of one element. A vector of ones is a weight that happens to be one: it
/// stays.
static std::optional<double> single(Graph &graph, Value value) {
  auto count = value ? graph.facts.facts(value).count() : std::nullopt;
  return count && *count == 1 ? graph.scalarOf(value) : std::nullopt;
}

/// What a value repeats: the operand of an Expand, the number that a ConstantOfShape of floats is
/// full of; null if it is no such node.
static Value repeated(Graph &graph, NodeOp user, Value value) {
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  if (node && node.is("Expand"))
    return graph.rank(node.input(0)) < 0 ? Value() : node.input(0);
  if (!node || !node.is("ConstantOfShape") || !graph.isFloat(value))
    return {};
  auto full = dyn_cast_or_null<DenseFPElementsAttr>(node.attribute("value"));
  double number = full ? full.getSplatValue<APFloat>().convertToDouble() : 0.0;
  return graph.scalar(user, graph.element(value), number);
}

/// An operand that is repeated to another's shape broadcasts to it as it was.
static bool broadcastAnyway(Graph &graph, NodeOp node) {
  for (auto [i, operand] : llvm::enumerate(node.getInputs())) {
    bool matched = false;
    for (auto [j, other] : llvm::enumerate(node.getInputs()))
      matched |= i != j && operand && other && graph.sameShape(operand, other);
    Value origin = matched ? repeated(graph, node, operand) : Value();
    if (!origin)
      continue;
    node->setOperand(static_cast<unsigned>(i), origin);
    return true;
  }
  return false;
}

/// Zeros that are chosen by a factor of 0 or 1, a condition as a number: zeros.
static Simplified chosenZeros(Graph &graph, NodeOp node) {
  for (unsigned i : {0, 1}) {
    auto zeros = node.input(i) ? node.input(i).getDefiningOp<NodeOp>() : NodeOp();
    auto choice = node.input(1 - i) ? node.input(1 - i).getDefiningOp<NodeOp>() : NodeOp();
    if (!zeros || !zeros.is("ConstantOfShape") || !choice || !choice.is("Cast") ||
        !graph.element(choice.input(0)) || !graph.element(choice.input(0)).isInteger(1) ||
        !graph.sameShape(node.input(i), node.getResult(0)))
      continue;
    if (Value number = repeated(graph, node, node.input(i)); number && graph.scalarOf(number) == 0)
      return Simplified::with(node.input(i));
  }
  return Simplified::none();
}

static Simplified arithmetic(Graph &graph, NodeOp node) {
  if (broadcastAnyway(graph, node))
    return Simplified::inPlace();
  if (node.is("Mul"))
    if (Simplified zeros = chosenZeros(graph, node); zeros.changed)
      return zeros;
  bool commutes = node.is("Add") || node.is("Mul");
  if (commutes && constantRight(graph, node))
    return Simplified::inPlace();
  Type element = graph.element(node.getResult(0));
  if (!element)
    return Simplified::none();
  auto right = single(graph, node.input(1));
  if (node.is("Div") && isa<FloatType>(element)) {
    if (auto left = single(graph, node.input(0)); left && *left == 1 && !right && node.input(1) &&
                                                  graph.sameShape(node.input(1), node.getResult(0)))
      return Simplified::with(graph.make(node, "Reciprocal", {node.input(1)}));
  }
  if (!right)
    return Simplified::none();
  if ((node.is("Mul") || node.is("Div") || node.is("Pow")) && *right == 1)
    return keep(graph, node, 0);
  if ((node.is("Add") || node.is("Sub")) && *right == 0)
    return keep(graph, node, 0);
  bool sameShape = node.input(0) && graph.sameShape(node.input(0), node.getResult(0));
  if (!isa<FloatType>(element) || !sameShape)
    return Simplified::none();
  if (node.is("Mul") && *right == -1)
    return Simplified::with(graph.make(node, "Neg", {node.input(0)}));
  if (node.is("Pow") && *right == 2)
    return Simplified::with(graph.make(node, "Mul", {node.input(0), node.input(0)}));
  if (node.is("Pow") && *right == 0.5)
    return Simplified::with(graph.make(node, "Sqrt", {node.input(0)}));
  return Simplified::none();
}

/// True if `to` holds every value of `from` exactly.
static bool widens(Type from, Type to) {
  if (!from || !to)
    return false;
  if (from == to || from.isInteger(1))
    return !isa<StringType>(to);
  if (auto a = dyn_cast<FloatType>(from)) {
    auto b = dyn_cast<FloatType>(to);
    return b && (b.isF64() || (b.isF32() && (a.isF16() || a.isBF16())));
  }
  auto a = dyn_cast<IntegerType>(from), b = dyn_cast<IntegerType>(to);
  return a && b && a.isUnsigned() == b.isUnsigned() && a.getWidth() <= b.getWidth() &&
         !b.isInteger(1);
}

static Simplified cast(Graph &graph, NodeOp node) {
  Value input = node.input(0);
  Type from = graph.element(input), to = graph.element(node.getResult(0));
  if (!from || !to)
    return Simplified::none();
  if (from == to)
    return Simplified::with(input);
  auto inner = input.getDefiningOp<NodeOp>();
  if (!inner || !inner.is("Cast"))
    return Simplified::none();
  // There and back through a wider type, or widening in two steps.
  Type origin = graph.element(inner.input(0));
  if (!widens(origin, from))
    return Simplified::none();
  if (origin == to)
    return Simplified::with(inner.input(0));
  if (widens(from, to))
    return Simplified::with(
        graph.make(node, "Cast", {inner.input(0)}, {graph.attribute("to", node.integer("to", 0))}));
  return Simplified::none();
}

static Simplified logical(Graph &graph, NodeOp node) {
  if (constantRight(graph, node))
    return Simplified::inPlace();
  auto right = graph.scalarOf(node.input(1));
  if (right && ((node.is("And") && *right != 0) || (node.is("Or") && *right == 0)))
    return keep(graph, node, 0);
  if (node.input(0) && node.input(0) == node.input(1))
    return keep(graph, node, 0);
  return Simplified::none();
}

static Simplified where(Graph &graph, NodeOp node) {
  if (broadcastAnyway(graph, node))
    return Simplified::inPlace();
  auto condition = graph.scalarOf(node.input(0));
  if (condition)
    return keep(graph, node, *condition != 0 ? 1 : 2);
  if (node.input(1) && node.input(1) == node.input(2))
    return keep(graph, node, 1);
  return Simplified::none();
}

static Simplified dropout(Graph &graph, NodeOp node) {
  if (node.getNumResults() > 1 && !node.getResult(1).use_empty())
    return Simplified::none();
  if (node.input(2)) {
    auto training = graph.scalarOf(node.input(2));
    if (!training || *training != 0)
      return Simplified::none();
  }
  return Simplified::with(node.input(0));
}

Simplified raise::simplify(Graph &graph, NodeOp node) {
  if (node.getNumResults() == 0 || !node.input(0) ||
      (!node.getDomain().empty() && node.getDomain() != "ai.onnx"))
    return Simplified::none();
  StringRef op = node.getOpType();
  if (op == "Identity")
    return Simplified::with(node.input(0));
  if (op == "Add" || op == "Sub" || op == "Mul" || op == "Div" || op == "Pow")
    return arithmetic(graph, node);
  if (op == "Cast" || op == "CastLike")
    return cast(graph, node);
  if (op == "And" || op == "Or")
    return logical(graph, node);
  if (op == "Not" || op == "Neg") {
    auto inner = node.input(0) ? node.input(0).getDefiningOp<NodeOp>() : NodeOp();
    return inner && inner.is(op) ? Simplified::with(inner.input(0)) : Simplified::none();
  }
  if (op == "Where")
    return where(graph, node);
  if (op == "Dropout")
    return dropout(graph, node);
  if (op == "Max" || op == "Min" || op == "Sum" || op == "Mean")
    return node.getInputs().size() == 1   ? Simplified::with(node.input(0))
           : broadcastAnyway(graph, node) ? Simplified::inPlace()
                                          : Simplified::none();
  if (op == "Clip")
    return !node.input(1) && !node.input(2) && !node.attribute("min") && !node.attribute("max")
               ? Simplified::with(node.input(0))
               : Simplified::none();
  return simplifyReshaping(graph, node);
}
