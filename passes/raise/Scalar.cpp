#include "passes/raise/Scalar.h"
#include "dialects/uoe/Function.h"
#include "llvm/ADT/StringSwitch.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

static double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}
static double gelu(double x) {
  return 0.5 * x * (1.0 + std::erf(x * M_SQRT1_2));
}
static double geluTanh(double x) {
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double apply(Activation activation, double x) {
  switch (activation) {
  case Activation::identity:
    return x;
  case Activation::relu:
    return std::max(x, 0.0);
  case Activation::gelu:
    return gelu(x);
  case Activation::gelu_tanh:
    return geluTanh(x);
  case Activation::silu:
    return x * sigmoid(x);
  case Activation::quick_gelu:
    return x * sigmoid(1.702 * x);
  case Activation::relu_squared:
    return x > 0 ? x * x : 0.0;
  case Activation::tanh:
    return std::tanh(x);
  case Activation::sigmoid:
    return sigmoid(x);
  case Activation::custom:
    break;
  }
  return NAN;
}

//===----------------------------------------------------------------------===//
// Evaluation
//===----------------------------------------------------------------------===//

namespace {
enum class Fn {
  none,
  cast,
  identity,
  dequantise,
  add,
  sub,
  mul,
  div,
  pow,
  max,
  min,
  neg,
  abs,
  exp,
  log,
  sqrt,
  reciprocal,
  erf,
  tanh,
  sigmoid,
  relu,
  leaky,
  elu,
  selu,
  celu,
  softplus,
  softsign,
  hardSigmoid,
  hardSwish,
  mish,
  gelu,
  fastGelu,
  quickGelu,
  biasGelu,
  swish,
  clip,
  where,
  greater,
  less,
  greaterEqual,
  lessEqual,
  logicalNot,
  regroup,
  thresholded,
  prelu,
  floor
};
} // namespace

static Fn function(NodeOp node) {
  if (node.isContrib("Gelu"))
    return Fn::gelu;
  if (node.isContrib("FastGelu"))
    return Fn::fastGelu;
  if (node.isContrib("QuickGelu"))
    return Fn::quickGelu;
  if (node.isContrib("BiasGelu"))
    return Fn::biasGelu;
  if (node.isContrib("QuantizeLinear") || node.isContrib("DequantizeLinear"))
    return node.getOpType() == "QuantizeLinear" ? Fn::identity : Fn::dequantise;
  if (!node.getDomain().empty() && node.getDomain() != "ai.onnx")
    return Fn::none;
  return llvm::StringSwitch<Fn>(node.getOpType())
      .Case("Cast", Fn::cast)
      .Cases({"Identity", "Dropout", "QuantizeLinear", "CastLike"}, Fn::identity)
      .Case("DequantizeLinear", Fn::dequantise)
      .Cases({"Reshape", "Squeeze", "Unsqueeze", "Flatten"}, Fn::regroup)
      .Case("Add", Fn::add)
      .Case("Sub", Fn::sub)
      .Case("Mul", Fn::mul)
      .Case("Div", Fn::div)
      .Case("Pow", Fn::pow)
      .Case("Max", Fn::max)
      .Case("Min", Fn::min)
      .Case("Neg", Fn::neg)
      .Case("Abs", Fn::abs)
      .Case("Exp", Fn::exp)
      .Case("Log", Fn::log)
      .Case("Floor", Fn::floor)
      .Case("Sqrt", Fn::sqrt)
      .Case("Reciprocal", Fn::reciprocal)
      .Case("Erf", Fn::erf)
      .Case("Tanh", Fn::tanh)
      .Case("Sigmoid", Fn::sigmoid)
      .Case("Relu", Fn::relu)
      .Case("LeakyRelu", Fn::leaky)
      .Case("Elu", Fn::elu)
      .Case("Selu", Fn::selu)
      .Case("Celu", Fn::celu)
      .Case("ThresholdedRelu", Fn::thresholded)
      .Case("PRelu", Fn::prelu)
      .Case("Softplus", Fn::softplus)
      .Case("Softsign", Fn::softsign)
      .Case("HardSigmoid", Fn::hardSigmoid)
      .Case("HardSwish", Fn::hardSwish)
      .Case("Mish", Fn::mish)
      .Case("Gelu", Fn::gelu)
      .Case("Swish", Fn::swish)
      .Case("Clip", Fn::clip)
      .Case("Where", Fn::where)
      .Case("Greater", Fn::greater)
      .Case("Less", Fn::less)
      .Case("GreaterOrEqual", Fn::greaterEqual)
      .Case("LessOrEqual", Fn::lessEqual)
      .Case("Not", Fn::logicalNot)
      .Default(Fn::none);
}

bool raise::isElementwise(NodeOp node) {
  return function(node) != Fn::none;
}

SmallVector<Value> raise::elementwiseOperands(NodeOp node) {
  SmallVector<Value> operands;
  switch (function(node)) {
  case Fn::add:
  case Fn::sub:
  case Fn::mul:
  case Fn::div:
  case Fn::pow:
  case Fn::prelu:
  case Fn::max:
  case Fn::min:
  case Fn::where:
  case Fn::greater:
  case Fn::less:
  case Fn::greaterEqual:
  case Fn::lessEqual:
  case Fn::clip:
    for (unsigned i = 0; i < node.getInputs().size(); ++i)
      if (Value v = node.input(i))
        operands.push_back(v);
    return operands;
  default:
    if (Value v = node.input(0))
      operands.push_back(v);
    return operands;
  }
}

static std::optional<double> element(TypedAttr attr) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(attr);
  if (!dense || dense.getNumElements() == 0 || !dense.isSplat())
    return std::nullopt;
  Type type = dense.getElementType();
  if (isa<FloatType>(type))
    return dense.getSplatValue<APFloat>().convertToDouble();
  if (auto integer = dyn_cast<IntegerType>(type)) {
    APInt value = dense.getSplatValue<APInt>();
    return integer.isUnsigned() || integer.getWidth() == 1
               ? static_cast<double>(value.getZExtValue())
               : static_cast<double>(value.getSExtValue());
  }
  return std::nullopt;
}

namespace {
// One evaluation; remembers shared subexpressions.
struct Evaluator {
  const Assignment &leaves;
  llvm::SmallDenseMap<Value, std::optional<double>, 16> known{};
  int budget = 128;

  std::optional<double> operator()(Value value) {
    if (!value)
      return std::nullopt;
    if (auto leaf = leaves.find(value); leaf != leaves.end())
      return leaf->second;
    auto [it, fresh] = known.try_emplace(value, std::nullopt);
    if (!fresh)
      return it->second;
    if (--budget < 0)
      return std::nullopt;
    std::optional<double> result = compute(value);
    known[value] = result;
    return result;
  }

  std::optional<double> compute(Value value) {
    if (TypedAttr attr = onnx::constantOf(value))
      return element(attr);
    auto node = value.getDefiningOp<NodeOp>();
    if (!node || node->getResult(0) != value)
      return std::nullopt;
    Fn fn = function(node);
    if (fn == Fn::none)
      return std::nullopt;
    auto a = (*this)(node.input(0));
    if (!a)
      return std::nullopt;
    double x = *a;
    auto second = [&]() { return (*this)(node.input(1)); };
    auto binary = [&](auto f) -> std::optional<double> {
      auto b = second();
      return b ? std::optional<double>(f(x, *b)) : std::nullopt;
    };
    switch (fn) {
    case Fn::cast: {
      if (isFloat(value))
        return x;
      Type to = elementOf(value);
      return to && to.isInteger(1) ? (x != 0.0 ? 1.0 : 0.0) : std::trunc(x);
    }
    case Fn::identity:
    case Fn::regroup:
      return x;
    case Fn::dequantise: {
      // What a QuantizeLinear gave is its operand, up to rounding; stored integers are scaled.
      auto quantise = node.input(0).getDefiningOp<NodeOp>();
      if (quantise && quantise.getOpType() == "QuantizeLinear")
        return x;
      auto scale = second();
      auto zero = node.input(2) ? (*this)(node.input(2)) : std::optional<double>(0.0);
      return scale && zero ? std::optional<double>((x - *zero) * *scale) : std::nullopt;
    }
    case Fn::add:
      return binary([](double p, double q) { return p + q; });
    case Fn::sub:
      return binary([](double p, double q) { return p - q; });
    case Fn::mul:
      return binary([](double p, double q) { return p * q; });
    case Fn::div: {
      bool integers = !isFloat(value);
      return binary([&](double p, double q) { return integers ? std::trunc(p / q) : p / q; });
    }
    case Fn::pow:
      return binary([](double p, double q) { return std::pow(p, q); });
    case Fn::max:
    case Fn::min:
      for (unsigned i = 1; i < node.getInputs().size(); ++i) {
        auto b = (*this)(node.input(i));
        if (!b)
          return std::nullopt;
        x = fn == Fn::max ? std::max(x, *b) : std::min(x, *b);
      }
      return x;
    case Fn::clip: {
      if (Value low = node.input(1)) {
        auto b = (*this)(low);
        if (!b)
          return std::nullopt;
        x = std::max(x, *b);
      }
      if (Value high = node.input(2)) {
        auto b = (*this)(high);
        if (!b)
          return std::nullopt;
        x = std::min(x, *b);
      }
      return std::min(std::max(x, node.real("min", -INFINITY)), node.real("max", INFINITY));
    }
    case Fn::greater:
      return binary([](double p, double q) { return p > q ? 1.0 : 0.0; });
    case Fn::less:
      return binary([](double p, double q) { return p < q ? 1.0 : 0.0; });
    case Fn::greaterEqual:
      return binary([](double p, double q) { return p >= q ? 1.0 : 0.0; });
    case Fn::lessEqual:
      return binary([](double p, double q) { return p <= q ? 1.0 : 0.0; });
    case Fn::where: {
      auto p = second(), q = (*this)(node.input(2));
      if (!p || !q)
        return std::nullopt;
      return x != 0.0 ? *p : *q;
    }
    case Fn::logicalNot:
      return x == 0.0 ? 1.0 : 0.0;
    case Fn::neg:
      return -x;
    case Fn::abs:
      return std::fabs(x);
    case Fn::exp:
      return std::exp(x);
    case Fn::log:
      return std::log(x);
    case Fn::floor:
      return std::floor(x);
    case Fn::sqrt:
      return std::sqrt(x);
    case Fn::reciprocal:
      return 1.0 / x;
    case Fn::erf:
      return std::erf(x);
    case Fn::tanh:
      return std::tanh(x);
    case Fn::sigmoid:
      return sigmoid(x);
    case Fn::relu:
      return std::max(x, 0.0);
    case Fn::prelu:
      return binary([](double p, double slope) { return p >= 0 ? p : slope * p; });
    case Fn::leaky:
      return x >= 0 ? x : node.real("alpha", 0.01) * x;
    case Fn::elu:
      return x >= 0 ? x : node.real("alpha", 1.0) * std::expm1(x);
    case Fn::celu:
      return x >= 0 ? x : node.real("alpha", 1.0) * std::expm1(x / node.real("alpha", 1.0));
    case Fn::selu:
      return node.real("gamma", 1.05070102214813232) *
             (x > 0 ? x : node.real("alpha", 1.67326319217681884) * std::expm1(x));
    case Fn::thresholded:
      return x > node.real("alpha", 1.0) ? x : 0.0;
    case Fn::softplus:
      return std::log1p(std::exp(x));
    case Fn::softsign:
      return x / (1.0 + std::fabs(x));
    case Fn::hardSigmoid:
      return std::min(std::max(node.real("alpha", 0.2) * x + node.real("beta", 0.5), 0.0), 1.0);
    case Fn::hardSwish:
      return x * std::min(std::max(x / 6.0 + 0.5, 0.0), 1.0);
    case Fn::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Fn::gelu:
      return node.string("approximate", "none") == "tanh" ? geluTanh(x) : gelu(x);
    case Fn::fastGelu:
      return geluTanh(x); // a bias operand belongs to the leaf
    case Fn::biasGelu:
      return gelu(x);
    case Fn::quickGelu:
      return x * sigmoid(node.real("alpha", 1.702) * x);
    case Fn::swish:
      return x * sigmoid(node.real("alpha", 1.0) * x);
    case Fn::none:
      break;
    }
    return std::nullopt;
  }
};
} // namespace

std::optional<double> raise::evaluate(Value value, const Assignment &leaves) {
  Evaluator evaluator{leaves};
  return evaluator(value);
}

//===----------------------------------------------------------------------===//
// Recognition
//===----------------------------------------------------------------------===//

static constexpr Activation kKnown[] = {
    Activation::relu, Activation::gelu,       Activation::gelu_tanh,
    Activation::silu, Activation::quick_gelu, Activation::relu_squared,
    Activation::tanh, Activation::sigmoid,    Activation::identity};

// erf-GELU and its tanh approximation are 5e-4 apart, constants stored in half precision give 1e-4:
// the nearest function within 1e-3 is meant.
static constexpr double kTolerance = 1e-3;

static llvm::ArrayRef<double> samples() {
  static const double points[] = {-7.3, -4.1, -3.0, -2.2, -1.6, -1.1, -0.7, -0.35, -0.1, 0.0,
                                  0.15, 0.4,  0.8,  1.25, 1.7,  2.3,  3.1,  4.4,   6.0,  7.7};
  return points;
}

// The factor with which `meant` is nearest to `spelled`, and the largest difference then, relative
// to values above 1 and to the factor; infinity if it cannot be evaluated or is no multiple.
static std::pair<double, double> compare(ArrayRef<std::optional<double>> spelled,
                                         ArrayRef<double> meant) {
  double product = 0.0, square = 0.0;
  for (auto [y, z] : llvm::zip(spelled, meant)) {
    if (!y || !std::isfinite(*y))
      return {1.0, INFINITY};
    product += *y * z;
    square += z * z;
  }
  double factor = product / square;
  if (!std::isfinite(factor) || std::fabs(factor) < 1e-6)
    return {1.0, INFINITY};
  if (std::fabs(factor - 1.0) < kTolerance)
    factor = 1.0;
  double worst = 0.0;
  for (auto [y, z] : llvm::zip(spelled, meant))
    worst = std::max(worst, std::fabs(*y / factor - z) / std::max(1.0, std::fabs(z)));
  return {factor, worst};
}

// Keeps the better of `best` and the activation whose values are `meant`.
static void consider(std::optional<Recognised> &best, double &least, Recognised candidate,
                     ArrayRef<std::optional<double>> spelled, ArrayRef<double> meant) {
  auto [factor, distance] = compare(spelled, meant);
  if (!(distance < least))
    return;
  candidate.factor = factor;
  best = candidate;
  least = distance;
}

std::optional<Recognised> raise::recogniseActivation(Value value, Value leaf) {
  SmallVector<std::optional<double>> computed;
  for (double x : samples())
    computed.push_back(evaluate(value, Assignment{{leaf, x}}));
  std::optional<Recognised> best;
  double least = kTolerance;
  for (Activation activation : kKnown) {
    SmallVector<double> meant;
    for (double x : samples())
      meant.push_back(apply(activation, x));
    consider(best, least, Recognised{activation}, computed, meant);
  }
  return best;
}

std::optional<Recognised> raise::recogniseGated(Value value, Value first, Value second) {
  std::optional<Recognised> best;
  double least = kTolerance;
  for (bool firstIsGate : {true, false}) {
    SmallVector<std::optional<double>> computed;
    auto other = [](size_t i) { return 0.37 * static_cast<double>(i % 7) - 1.2; };
    for (auto [i, x] : llvm::enumerate(samples()))
      computed.push_back(evaluate(value, Assignment{{firstIsGate ? first : second, x},
                                                    {firstIsGate ? second : first, other(i)}}));
    for (Activation activation : kKnown) {
      SmallVector<double> meant;
      for (auto [i, x] : llvm::enumerate(samples()))
        meant.push_back(apply(activation, x) * other(i));
      consider(best, least, Recognised{activation, 1.0, firstIsGate}, computed, meant);
    }
  }
  return best;
}

std::optional<Recognised> raise::recogniseCutGated(Value value, Value first, Value second) {
  auto nearest = [](double x) { return static_cast<double>(static_cast<float>(x)); };
  for (bool firstIsGate : {true, false}) {
    auto at = [&](double gate, double up) {
      return evaluate(value, Assignment{{firstIsGate ? first : second, gate},
                                        {firstIsGate ? second : first, up}});
    };
    // Between the limits it is a line in `up`; far out it shows where the limit is.
    auto zero = at(0.5, 0.0), next = at(0.5, 0.25), far = at(0.5, 1e6);
    if (!zero || !next || !far)
      return std::nullopt;
    double slope = (*next - *zero) * 4.0;
    if (!std::isfinite(slope) || std::fabs(slope) < 1e-6)
      continue;
    Recognised candidate{Activation::identity, 1.0, firstIsGate};
    double offset = nearest(*zero / slope), most = *far / slope - offset;
    candidate.upOffset = std::fabs(offset) < 1e-6 ? 0.0 : offset;
    if (most < 1e5)
      candidate.limit = nearest(most);
    if (candidate.limit && !(*candidate.limit > 0.25))
      continue;
    double limit = candidate.limit.value_or(INFINITY), edge = std::isfinite(limit) ? limit : 10.0;
    SmallVector<double> points(samples());
    points.append({-1.5 * edge, -0.9 * edge, 0.9 * edge, 1.5 * edge});
    for (Activation activation : kKnown) {
      bool same = true;
      for (double gate : points)
        for (double up : {-1.5 * edge, -0.4, 0.7, 1.5 * edge}) {
          double meant = apply(activation, std::min(gate, limit)) *
                         (std::clamp(up, -limit, limit) + candidate.upOffset);
          auto spelled = at(gate, up);
          same &= spelled &&
                  std::fabs(*spelled - meant) <= kTolerance * std::max(1.0, std::fabs(meant));
        }
      if (same) {
        candidate.activation = activation;
        return candidate;
      }
    }
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Functions without a name
//===----------------------------------------------------------------------===//

namespace {
// Writes a function of one leaf as uoe.ffn spells it.
struct Speller {
  static constexpr size_t kMostSteps = 96;
  Value leaf;
  SmallVector<Attribute> steps{};
  Builder builder{leaf.getContext()};

  bool op(StringRef name) {
    steps.push_back(builder.getStringAttr(name));
    return steps.size() <= kMostSteps;
  }
  bool number(double value) {
    steps.push_back(builder.getF32FloatAttr(static_cast<float>(value)));
    return std::isfinite(value);
  }
  // The value of `v` and a constant, joined by the operator.
  bool with(Value v, double constant, StringRef name) {
    return spell(v) && number(constant) && op(name);
  }
  bool fill(StringRef name, std::initializer_list<Value> operands) {
    return llvm::all_of(operands, [&](Value v) { return spell(v); }) && op(name);
  }
  // max(v, 0) · scale + slope · (what `below` makes of min(v, 0)).
  bool split(Value v, double scale, double slope, llvm::function_ref<bool()> below) {
    return with(v, 0.0, "Max") && number(scale) && op("Mul") && with(v, 0.0, "Min") && below() &&
           number(slope) && op("Mul") && op("Add");
  }
  bool clip(double low, double high) {
    return (!std::isfinite(low) || (number(low) && op("Max"))) &&
           (!std::isfinite(high) || (number(high) && op("Min")));
  }

  bool spell(Value value) {
    if (!value)
      return false;
    if (value == leaf)
      return op("x");
    if (TypedAttr attr = onnx::constantOf(value)) {
      auto constant = element(attr);
      return isFloat(value) && constant && number(*constant);
    }
    auto node = value.getDefiningOp<NodeOp>();
    if (!node || node->getResult(0) != value)
      return false;
    Value a = node.input(0), b = node.getInputs().size() > 1 ? node.input(1) : Value();
    Type type = elementOf(value);
    auto isCondition = [](Value v) {
      Type of = elementOf(v);
      return of && of.isInteger(1);
    };
    auto expMinusOne = [&]() { return op("Exp") && number(1.0) && op("Sub"); };
    bool condition = type && type.isInteger(1);
    switch (function(node)) {
    case Fn::none:
      return false;
    case Fn::cast:
      if (isFloat(value) && isCondition(a))
        return spell(a) && number(1.0) && number(0.0) && op("Where");
      return (isFloat(value) && isFloat(a)) || (condition && isCondition(a)) ? spell(a) : false;
    case Fn::identity:
    case Fn::regroup:
      return spell(a);
    case Fn::dequantise: {
      auto quantise = a.getDefiningOp<NodeOp>();
      return quantise && quantise.getOpType() == "QuantizeLinear" && spell(quantise.input(0));
    }
    case Fn::max:
    case Fn::min:
      if (!spell(a))
        return false;
      for (Value other : node.getInputs().drop_front())
        if (!spell(other) || !op(node.getOpType()))
          return false;
      return true;
    case Fn::clip: {
      Value high = node.getInputs().size() > 2 ? node.input(2) : Value();
      return spell(a) && (!b || (spell(b) && op("Max"))) && (!high || (spell(high) && op("Min"))) &&
             clip(node.real("min", -INFINITY), node.real("max", INFINITY));
    }
    case Fn::greaterEqual:
      return fill("Less", {a, b}) && op("Not");
    case Fn::lessEqual:
      return fill("Greater", {a, b}) && op("Not");
    case Fn::where:
      return fill("Where", {a, b, node.input(2)});
    case Fn::prelu:
      return with(a, 0.0, "Max") && with(a, 0.0, "Min") && spell(b) && op("Mul") && op("Add");
    case Fn::leaky:
      return split(a, 1.0, node.real("alpha", 0.01), []() { return true; });
    case Fn::elu:
      return split(a, 1.0, node.real("alpha", 1.0), expMinusOne);
    case Fn::celu: {
      double alpha = node.real("alpha", 1.0);
      return split(a, 1.0, alpha, [&]() { return number(alpha) && op("Div") && expMinusOne(); });
    }
    case Fn::selu: {
      double gamma = node.real("gamma", 1.05070102214813232);
      return split(a, gamma, gamma * node.real("alpha", 1.67326319217681884), expMinusOne);
    }
    case Fn::thresholded:
      return with(a, node.real("alpha", 1.0), "Greater") && spell(a) && number(0.0) && op("Where");
    case Fn::softsign:
      return spell(a) && spell(a) && op("Abs") && number(1.0) && op("Add") && op("Div");
    case Fn::hardSigmoid:
      return with(a, node.real("alpha", 0.2), "Mul") && number(node.real("beta", 0.5)) &&
             op("Add") && clip(0.0, 1.0);
    case Fn::hardSwish:
      return spell(a) && with(a, 6.0, "Div") && number(0.5) && op("Add") && clip(0.0, 1.0) &&
             op("Mul");
    case Fn::mish:
      return spell(a) && spell(a) && op("Softplus") && op("Tanh") && op("Mul");
    case Fn::swish:
    case Fn::quickGelu:
      return spell(a) && with(a, node.real("alpha", node.is("Swish") ? 1.0 : 1.702), "Mul") &&
             op("Sigmoid") && op("Mul");
    default: {
      // Operators that mean the same on both sides.
      const ScalarOperator *same = scalarOperator(node.getOpType());
      if (!same || (!isFloat(value) && !condition) || node.getInputs().size() != same->operands)
        return false;
      return llvm::all_of(node.getInputs(), [&](Value v) { return spell(v); }) &&
             op(node.getOpType());
    }
    }
  }
};
} // namespace

std::optional<Recognised> raise::spellActivation(Value value, Value leaf) {
  Speller speller{leaf};
  if (!speller.spell(value))
    return std::nullopt;
  std::string error;
  ArrayAttr function = speller.builder.getArrayAttr(speller.steps);
  auto spelled = ScalarFunction::parse(function, error);
  if (!spelled)
    return std::nullopt;
  // It is what the graph computes, defined everywhere, and no line.
  ArrayRef<double> points = samples();
  double first = (*spelled)(points.front()), last = (*spelled)(points.back());
  bool line = true;
  for (double x : points) {
    double y = (*spelled)(x);
    auto meant = evaluate(value, Assignment{{leaf, x}});
    if (!meant || !std::isfinite(y) || std::fabs(y - *meant) > 1e-5 * std::max(1.0, std::fabs(y)))
      return std::nullopt;
    double chord = first + (last - first) * (x - points.front()) / (points.back() - points.front());
    line &= std::fabs(y - chord) <= 1e-5 * std::max(1.0, std::fabs(y));
  }
  if (line)
    return std::nullopt;
  Recognised result{Activation::custom};
  result.function = function;
  return result;
}

std::optional<Recognised> raise::spellGated(Value value, Value first, Value second) {
  auto product = value.getDefiningOp<NodeOp>();
  while (product && (function(product) == Fn::cast || function(product) == Fn::regroup ||
                     function(product) == Fn::identity))
    product = product.input(0).getDefiningOp<NodeOp>();
  if (!product || !product.is("Mul"))
    return std::nullopt;
  auto isLeaf = [](Value v, Value leaf) {
    return llvm::all_of(samples(), [&](double x) {
      auto y = evaluate(v, Assignment{{leaf, x}});
      return y && *y == x;
    });
  };
  for (bool firstIsGate : {true, false})
    for (unsigned i : {0, 1}) {
      Value gate = firstIsGate ? first : second, up = firstIsGate ? second : first;
      if (!isLeaf(product.input(1 - i), up))
        continue;
      if (auto result = spellActivation(product.input(i), gate)) {
        result->firstIsGate = firstIsGate;
        return result;
      }
    }
  return std::nullopt;
}
