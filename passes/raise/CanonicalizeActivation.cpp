// GELU, SiLU and Softmax, spelled with arithmetic.
//
// An activation is a polynomial in x and S, where S is Erf, Tanh or Sigmoid of a polynomial in x:
// whatever the order of the products, equal polynomials are equal functions.
#include "passes/raise/Canonicalize.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {

/// Coefficients by (degree in x, degree in S).
using Polynomial = std::map<std::pair<int, int>, double>;

class Reader {
public:
  Reader(Graph &graph, Value x, Value s) : graph(graph), x(x), s(s) {}

  std::optional<Polynomial> read(Value value, int depth = 0) {
    value = withoutCasts(graph, value);
    if (value == x)
      return Polynomial{{{1, 0}, 1.0}};
    if (value == s)
      return Polynomial{{{0, 1}, 1.0}};
    if (auto scalar = graph.scalarOf(value)) {
      if (auto count = graph.facts.facts(value).count(); count && *count == 1)
        return Polynomial{{{0, 0}, *scalar}};
      return std::nullopt;
    }
    auto node = value.getDefiningOp<NodeOp>();
    if (!node || depth > 8 || node.getNumResults() != 1)
      return std::nullopt;
    if (node.is("Neg"))
      return scale(read(node.input(0), depth + 1), -1);
    if (node.getInputs().size() != 2)
      return std::nullopt;
    if (node.is("Pow")) {
      auto exponent = graph.scalarOf(node.input(1));
      auto base = read(node.input(0), depth + 1);
      if (!exponent || !base || (*exponent != 2 && *exponent != 3))
        return std::nullopt;
      auto square = multiply(*base, *base);
      return *exponent == 2 ? square : multiply(square, *base);
    }
    if (node.is("Div")) {
      auto divisor = graph.scalarOf(node.input(1));
      if (!divisor || *divisor == 0)
        return std::nullopt;
      return scale(read(node.input(0), depth + 1), 1 / *divisor);
    }
    bool add = node.is("Add"), subtract = node.is("Sub");
    if (!add && !subtract && !node.is("Mul"))
      return std::nullopt;
    auto a = read(node.input(0), depth + 1);
    auto b = a ? read(node.input(1), depth + 1) : std::nullopt;
    if (!b)
      return std::nullopt;
    if (!add && !subtract)
      return multiply(*a, *b);
    for (auto [degree, coefficient] : *b)
      (*a)[degree] += add ? coefficient : -coefficient;
    return a;
  }

private:
  static Polynomial multiply(const Polynomial &a, const Polynomial &b) {
    Polynomial product;
    for (auto [i, x] : a)
      for (auto [j, y] : b)
        product[{i.first + j.first, i.second + j.second}] += x * y;
    return product;
  }
  static std::optional<Polynomial> scale(std::optional<Polynomial> p, double by) {
    if (p)
      for (auto &[degree, coefficient] : *p)
        coefficient *= by;
    return p;
  }
  Graph &graph;
  Value x, s;
};

bool matches(const Polynomial &found, const Polynomial &wanted, double tolerance) {
  for (auto [degree, coefficient] : found) {
    auto it = wanted.find(degree);
    double expected = it == wanted.end() ? 0 : it->second;
    if (!(std::abs(coefficient - expected) <= tolerance * std::max(std::abs(expected), 1e-2)))
      return false;
  }
  for (auto [degree, coefficient] : wanted)
    if (!found.count(degree))
      return false;
  return true;
}

bool isArithmetic(NodeOp node) {
  return node && (node.is("Mul") || node.is("Add") || node.is("Sub") || node.is("Div") ||
                  node.is("Neg") || node.is("Pow") || node.is("Cast"));
}

/// The saturating function under arithmetic.
NodeOp findSaturating(Value value, int depth = 0) {
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  if (!node)
    return {};
  if (node.is("Erf") || node.is("Tanh") || node.is("Sigmoid"))
    return node;
  if (!isArithmetic(node) || depth > 4)
    return {};
  for (Value operand : node.getInputs())
    if (NodeOp found = findSaturating(operand, depth + 1))
      return found;
  return {};
}

/// Values that may be the x of a function's argument, outermost first.
void collect(Graph &graph, Value value, SmallVectorImpl<Value> &out, int depth = 0) {
  value = withoutCasts(graph, value);
  if (depth > 5 || out.size() > 24 || graph.facts.constant(value) || llvm::is_contained(out, value))
    return;
  out.push_back(value);
  auto node = value.getDefiningOp<NodeOp>();
  if (isArithmetic(node))
    for (Value operand : node.getInputs())
      collect(graph, operand, out, depth + 1);
}

double toleranceOf(Type element) {
  return element.isF16() ? 2e-3 : element.isBF16() ? 1e-2 : 1e-5;
}

} // namespace

Simplified raise::recogniseActivation(Graph &graph, NodeOp root) {
  Type element = graph.element(root.getResult(0));
  // ONNX Runtime's own names.
  if (root.isContrib("FastGelu") && !root.input(1))
    return Simplified::with(graph.make(root, "Gelu", {root.input(0)},
                                       {graph.attribute("approximate", StringRef("tanh"))}));
  if (root.isContrib("Gelu"))
    return Simplified::with(graph.make(root, "Gelu", {root.input(0)}));
  if (root.isContrib("QuickGelu") && graph.opset(root) >= 24)
    return Simplified::with(graph.make(root, "Swish", {root.input(0)},
                                       {graph.attribute("alpha", root.real("alpha", 1.702f))}));
  if (!root.is("Mul") || !isa_and_nonnull<FloatType>(element))
    return Simplified::none();
  NodeOp saturating = findSaturating(root.getResult(0));
  if (!saturating)
    return Simplified::none();
  double tolerance = toleranceOf(element);
  SmallVector<Value> candidates;
  collect(graph, saturating.input(0), candidates);
  Value s = saturating.getResult(0);
  for (Value x : candidates) {
    auto argument = Reader(graph, x, Value()).read(saturating.input(0));
    if (!argument)
      continue;
    std::string op;
    double alpha = 0;
    const double root2 = std::sqrt(0.5), c = std::sqrt(2 / M_PI);
    Polynomial halves = {{{1, 0}, 0.5}, {{1, 1}, 0.5}}, product = {{{1, 1}, 1.0}}, *wanted;
    if (saturating.is("Erf") && matches(*argument, {{{1, 0}, root2}}, tolerance)) {
      op = "Gelu";
      wanted = &halves;
    } else if (saturating.is("Tanh") &&
               matches(*argument, {{{1, 0}, c}, {{3, 0}, c * 0.044715}}, tolerance)) {
      op = "GeluTanh";
      wanted = &halves;
    } else if (saturating.is("Sigmoid") && argument->size() == 1 &&
               argument->begin()->first == std::pair(1, 0)) {
      op = "Swish";
      alpha = argument->begin()->second;
      wanted = &product;
    } else {
      continue;
    }
    auto function = Reader(graph, x, s).read(root.getResult(0));
    if (!function || !matches(*function, *wanted, tolerance))
      continue;
    if (graph.opset(root) < (op == "Swish" ? 24 : 20))
      return Simplified::none();
    // The argument may stand before casts; the result's type is the root's.
    if (graph.element(x) != element || !graph.sameShape(x, root.getResult(0)))
      continue;
    if (op == "Swish")
      return Simplified::with(graph.make(root, "Swish", {x}, {graph.attribute("alpha", alpha)}));
    if (op == "Gelu")
      return Simplified::with(graph.make(root, "Gelu", {x}));
    return Simplified::with(
        graph.make(root, "Gelu", {x}, {graph.attribute("approximate", StringRef("tanh"))}));
  }
  return Simplified::none();
}

/// What is added to the sum of exponentials in exp(x - m) / (exp(c - m) + sum(exp(x - m))), as one
/// more number beside the x: c, as [.., 1]. Null if it is something else.
static Value oneMore(Graph &graph, NodeOp root, Value addend, Value shifted) {
  int64_t rank = graph.rank(shifted);
  Type element = graph.element(shifted);
  NodeOp shift = producer(shifted, "Sub");
  Value m = shift ? shift.input(1) : Value();
  bool isShift = m && graph.rank(m) == rank && graph.size(m, -1) == 1;
  double c = 0;
  if (NodeOp exponential = producer(addend, "Exp")) {
    // exp(-m), exp(c - m)
    NodeOp negative = producer(exponential.input(0), "Neg"),
           difference = producer(exponential.input(0), "Sub");
    auto scalar = difference ? graph.scalarOf(difference.input(0)) : std::optional<double>(0.0);
    Value shiftedBy = negative               ? negative.input(0)
                      : difference && scalar ? difference.input(1)
                                             : Value();
    if (!isShift || shiftedBy != m)
      return {};
    c = *scalar;
  } else if (auto scalar = graph.scalarOf(addend); scalar && *scalar > 0) {
    if (isShift && *scalar == 1)
      return llvm::equal(ArrayRef<Dim>(graph.facts.facts(m).dims).drop_back(),
                         ArrayRef<Dim>(graph.facts.facts(shifted).dims).drop_back())
                 ? m
                 : Value();
    c = std::log(*scalar);
  } else {
    return {};
  }
  auto type = RankedTensorType::get(SmallVector<int64_t>(rank, 1), element);
  APFloat number(c);
  bool lost;
  number.convert(cast<FloatType>(element).getFloatSemantics(), APFloat::rmNearestTiesToEven, &lost);
  Value rows = graph.make(root, "Shape", {shifted},
                          {graph.attribute("start", int64_t(0)), graph.attribute("end", rank - 1)});
  Value shape = graph.make(root, "Concat", {rows, graph.integers(root, {1})},
                           {graph.attribute("axis", int64_t(0))});
  return graph.make(root, "Expand",
                    {graph.constant(root, DenseElementsAttr::get(type, number)), shape});
}

/// exp(x - max(x)) / sum(exp(x - max(x))), with or without the maximum, which only guards against
/// overflow. One more exponential in the sum (softmax plus one) is that of a sink: a number beside
/// the others, whose share is dropped.
Simplified raise::recogniseSoftmax(Graph &graph, NodeOp root) {
  if (!root.is("Div") || graph.opset(root) < 13)
    return Simplified::none();
  NodeOp exponential = producer(root.input(0), "Exp");
  NodeOp sum = producer(root.input(1), "ReduceSum"), more = producer(root.input(1), "Add");
  Value addend;
  for (unsigned i : {0, 1})
    if (NodeOp inner = more ? producer(more.input(i), "ReduceSum") : NodeOp(); inner && !sum) {
      sum = inner;
      addend = more.input(1 - i);
    }
  if (!exponential || !sum || sum.input(0) != exponential.getResult(0) ||
      sum.integer("keepdims", 1) == 0)
    return Simplified::none();
  auto axes = graph.integersOf(sum.input(1));
  int64_t rank = graph.rank(root.input(0));
  if (!axes || axes->size() != 1 || rank < 0)
    return Simplified::none();
  int64_t axis = (*axes)[0] < 0 ? (*axes)[0] + rank : (*axes)[0];
  Value x = exponential.input(0);
  if (NodeOp shifted = producer(x, "Sub"))
    if (NodeOp maximum = producer(shifted.input(1), "ReduceMax");
        maximum && maximum.input(0) == shifted.input(0) && maximum.integer("keepdims", 1) != 0) {
      auto over = graph.integersOf(maximum.input(1));
      if (over && over->size() == 1 && ((*over)[0] < 0 ? (*over)[0] + rank : (*over)[0]) == axis)
        x = shifted.input(0);
    }
  if (addend) {
    Value sink = axis == rank - 1 ? oneMore(graph, root, addend, exponential.input(0)) : Value();
    if (!sink)
      return Simplified::none();
    if (NodeOp shifted = producer(exponential.input(0), "Sub");
        shifted && graph.rank(shifted.input(1)) == rank && graph.size(shifted.input(1), -1) == 1)
      x = shifted.input(0);
    x = graph.make(root, "Concat", {x, sink}, {graph.attribute("axis", int64_t(-1))});
    x = graph.make(root, "Softmax", {x}, {graph.attribute("axis", int64_t(-1))});
    auto at = [&](int64_t i) { return graph.integers(root, {i}); };
    return Simplified::with(graph.make(root, "Slice", {x, at(0), at(-1), at(-1)}));
  }
  return Simplified::with(graph.make(root, "Softmax", {x}, {graph.attribute("axis", axis - rank)}));
}
