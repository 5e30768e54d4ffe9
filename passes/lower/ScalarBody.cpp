#include "passes/lower/ScalarBody.h"
#include "dialects/rt/Rt.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "passes/raise/Match.h"

using namespace mlir;
using namespace uoe;

namespace {

using arith::CmpFPredicate;
using arith::CmpIPredicate;
using raise::rankOf;

/// What an operator is given: its node, and one element of each operand.
struct Element {
  ImplicitLocOpBuilder &b;
  onnx::NodeOp node;
  ValueRange in;

  Type type() const { return in[0].getType(); }
  bool isFloat() const { return isa<FloatType>(type()); }
};
using Emit = Value (*)(Element);

/// Which element types an operator's form serves. f16 and bf16 are storage: casts alone.
enum Kinds : unsigned {
  F32 = 1,
  F64 = 2,
  Int = 4, // i32 and i64
  Bool = 8,
  Storage = 16,
  Real = F32 | F64,
  Number = Real | Int,
  Any = Number | Bool,
};

unsigned kindOf(Type element) {
  if (element.isF32())
    return F32;
  if (element.isF64())
    return F64;
  if (element.isSignlessInteger(32) || element.isSignlessInteger(64))
    return Int;
  if (element.isSignlessInteger(1))
    return Bool;
  if (element.isF16() || element.isBF16())
    return Storage;
  return 0;
}

Type elementOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getElementType() : Type();
}

Value constant(ImplicitLocOpBuilder &b, Type type, double value) {
  if (auto real = dyn_cast<FloatType>(type))
    return arith::ConstantOp::create(b, b.getFloatAttr(real, value));
  return arith::ConstantOp::create(b, b.getIntegerAttr(type, static_cast<int64_t>(value)));
}

Value compare(ImplicitLocOpBuilder &b, CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, predicate, x, y);
}
Value choose(ImplicitLocOpBuilder &b, Value condition, Value x, Value y) {
  return arith::SelectOp::create(b, condition, x, y);
}

// Arithmetic. Integers wrap around, as arith's do.

template <typename F, typename I> Value arithmetic(Element e) {
  if (e.isFloat())
    return F::create(e.b, e.in[0], e.in[1]);
  return I::create(e.b, e.in[0], e.in[1]);
}

template <typename F, typename I> Value accumulated(Element e) {
  Value result = e.in[0];
  for (Value next : e.in.drop_front())
    result =
        e.isFloat() ? Value(F::create(e.b, result, next)) : Value(I::create(e.b, result, next));
  return result;
}

/// The first where it is NaN, else the one that a comparison prefers: NaN if either is, and of two
/// zeros the second, as the operators' kernels have it.
Value preferred(ImplicitLocOpBuilder &b, CmpFPredicate predicate, Value x, Value y) {
  Value first =
      arith::OrIOp::create(b, compare(b, predicate, x, y), compare(b, CmpFPredicate::UNO, x, x));
  return choose(b, first, x, y);
}
Value realMin(ImplicitLocOpBuilder &b, Value x, Value y) {
  return preferred(b, CmpFPredicate::OLT, x, y);
}
Value realMax(ImplicitLocOpBuilder &b, Value x, Value y) {
  return preferred(b, CmpFPredicate::OGT, x, y);
}
/// Between the bounds; NaN stays.
Value raised(ImplicitLocOpBuilder &b, Value x, Value low) {
  return choose(b, compare(b, CmpFPredicate::OLT, x, low), low, x);
}
Value lowered(ImplicitLocOpBuilder &b, Value x, Value high) {
  return choose(b, compare(b, CmpFPredicate::OGT, x, high), high, x);
}
Value least(Element e) {
  Value result = e.in[0];
  for (Value next : e.in.drop_front())
    result =
        e.isFloat() ? realMin(e.b, result, next) : Value(arith::MinSIOp::create(e.b, result, next));
  return result;
}
Value greatest(Element e) {
  Value result = e.in[0];
  for (Value next : e.in.drop_front())
    result =
        e.isFloat() ? realMax(e.b, result, next) : Value(arith::MaxSIOp::create(e.b, result, next));
  return result;
}

Value negate(Element e) {
  if (e.isFloat())
    return arith::NegFOp::create(e.b, e.in[0]);
  return arith::SubIOp::create(e.b, constant(e.b, e.type(), 0), e.in[0]);
}
Value absolute(Element e) {
  if (e.isFloat())
    return math::AbsFOp::create(e.b, e.in[0]);
  Value negative =
      arith::CmpIOp::create(e.b, CmpIPredicate::slt, e.in[0], constant(e.b, e.type(), 0));
  return choose(e.b, negative, negate(e), e.in[0]);
}
Value sign(Element e) {
  if (e.isFloat()) {
    Value zero = constant(e.b, e.type(), 0);
    Value below = choose(e.b, compare(e.b, CmpFPredicate::OLT, e.in[0], zero),
                         constant(e.b, e.type(), -1), e.in[0]);
    return choose(e.b, compare(e.b, CmpFPredicate::OGT, e.in[0], zero), constant(e.b, e.type(), 1),
                  below);
  }
  Value one = constant(e.b, e.type(), 1), minus = constant(e.b, e.type(), -1);
  return arith::MinSIOp::create(e.b, arith::MaxSIOp::create(e.b, e.in[0], minus), one);
}

/// A positive constant power, as products or roots.
Value power(Element e) {
  Value x = e.in[0];
  Attribute given = scalar::constantElement(e.node.getInputs()[1]);
  double exponent = isa<FloatAttr>(given) ? cast<FloatAttr>(given).getValueAsDouble()
                                          : static_cast<double>(cast<IntegerAttr>(given).getInt());
  auto times = [&](Value a, Value c) -> Value {
    return e.isFloat() ? Value(arith::MulFOp::create(e.b, a, c))
                       : Value(arith::MulIOp::create(e.b, a, c));
  };
  if (exponent == 2)
    return times(x, x);
  if (exponent == 3)
    return times(times(x, x), x);
  if (exponent == 0.5)
    return math::SqrtOp::create(e.b, x);
  Value one = constant(e.b, e.type(), 1);
  if (exponent == -0.5)
    return arith::DivFOp::create(e.b, one, math::SqrtOp::create(e.b, x));
  return arith::DivFOp::create(e.b, one, x); // -1
}

// Functions of one real number.

template <typename Op> Value function(Element e) {
  return Op::create(e.b, e.in[0]);
}
Value reciprocal(Element e) {
  return arith::DivFOp::create(e.b, constant(e.b, e.type(), 1), e.in[0]);
}
Value sigmoidOf(ImplicitLocOpBuilder &b, Value x) {
  Value one = constant(b, x.getType(), 1);
  Value power = math::ExpOp::create(b, arith::NegFOp::create(b, x));
  return arith::DivFOp::create(b, one, arith::AddFOp::create(b, one, power));
}
Value sigmoid(Element e) {
  return sigmoidOf(e.b, e.in[0]);
}
Value swishOf(ImplicitLocOpBuilder &b, Value x, double alpha) {
  Value scaled =
      alpha == 1 ? x : Value(arith::MulFOp::create(b, constant(b, x.getType(), alpha), x));
  return arith::MulFOp::create(b, x, sigmoidOf(b, scaled));
}
Value swish(Element e) {
  return swishOf(e.b, e.in[0], e.node.real("alpha", 1));
}
Value quickGelu(Element e) {
  return swishOf(e.b, e.in[0], e.node.real("alpha", 1.702f));
}
Value relu(Element e) {
  Value zero = constant(e.b, e.type(), 0);
  return e.isFloat() ? realMax(e.b, e.in[0], zero)
                     : Value(arith::MaxSIOp::create(e.b, e.in[0], zero));
}
Value leakyRelu(Element e) {
  Value slope = constant(e.b, e.type(), e.node.real("alpha", 0.01f));
  return choose(e.b, compare(e.b, CmpFPredicate::OLT, e.in[0], constant(e.b, e.type(), 0)),
                arith::MulFOp::create(e.b, slope, e.in[0]), e.in[0]);
}
/// min(max(alpha·x + beta, 0), 1).
Value hardSigmoidOf(ImplicitLocOpBuilder &b, Value x, double alpha, double beta) {
  Type type = x.getType();
  Value line = arith::AddFOp::create(b, arith::MulFOp::create(b, constant(b, type, alpha), x),
                                     constant(b, type, beta));
  return lowered(b, raised(b, line, constant(b, type, 0)), constant(b, type, 1));
}
Value hardSigmoid(Element e) {
  return hardSigmoidOf(e.b, e.in[0], e.node.real("alpha", 0.2f), e.node.real("beta", 0.5f));
}
Value hardSwish(Element e) {
  return arith::MulFOp::create(e.b, e.in[0], hardSigmoidOf(e.b, e.in[0], 1.0 / 6, 0.5));
}
Value softsign(Element e) {
  Value size = math::AbsFOp::create(e.b, e.in[0]);
  return arith::DivFOp::create(e.b, e.in[0],
                               arith::AddFOp::create(e.b, constant(e.b, e.type(), 1), size));
}
Value geluErfOf(ImplicitLocOpBuilder &b, Value x) {
  auto c = [&](double value) { return constant(b, x.getType(), value); };
  Value inner = math::ErfOp::create(b, arith::MulFOp::create(b, x, c(0.70710678118654752)));
  return arith::MulFOp::create(b, arith::MulFOp::create(b, c(0.5), x),
                               arith::AddFOp::create(b, c(1), inner));
}
/// 0.5·x·(1 + tanh(√(2/π)·x·(1 + 0.044715·x²))).
Value geluTanhOf(ImplicitLocOpBuilder &b, Value x) {
  auto c = [&](double value) { return constant(b, x.getType(), value); };
  auto times = [&](Value a, Value d) -> Value { return arith::MulFOp::create(b, a, d); };
  Value cubic = arith::AddFOp::create(b, c(1), times(times(c(0.044715), x), x));
  Value inner = math::TanhOp::create(b, times(times(c(0.79788456080286536), x), cubic));
  return times(times(c(0.5), x), arith::AddFOp::create(b, c(1), inner));
}
Value gelu(Element e) {
  return e.node.string("approximate", "none") == "tanh" ? geluTanhOf(e.b, e.in[0])
                                                        : geluErfOf(e.b, e.in[0]);
}
/// com.microsoft's forms take an optional bias.
Value biased(Element e) {
  return e.in.size() > 1 ? Value(arith::AddFOp::create(e.b, e.in[0], e.in[1])) : e.in[0];
}
Value biasGelu(Element e) {
  return geluErfOf(e.b, biased(e));
}
Value fastGelu(Element e) {
  return geluTanhOf(e.b, biased(e));
}

Value clip(Element e) {
  Value result = e.in[0];
  for (unsigned i : {1u, 2u}) {
    if (i >= e.node.getInputs().size() || isa<NoneType>(e.node.getInputs()[i].getType()))
      continue;
    Value bound = arith::ConstantOp::create(e.b, scalar::constantElement(e.node.getInputs()[i]));
    if (e.isFloat())
      result = i == 1 ? raised(e.b, result, bound) : lowered(e.b, result, bound);
    else
      result = i == 1 ? Value(arith::MaxSIOp::create(e.b, result, bound))
                      : Value(arith::MinSIOp::create(e.b, result, bound));
  }
  return result;
}

// Comparison and logic.

template <CmpFPredicate real, CmpIPredicate integer> Value comparison(Element e) {
  if (e.isFloat())
    return compare(e.b, real, e.in[0], e.in[1]);
  return arith::CmpIOp::create(e.b, integer, e.in[0], e.in[1]);
}
template <typename Op> Value logic(Element e) {
  return Op::create(e.b, e.in[0], e.in[1]);
}
Value invert(Element e) {
  return arith::XOrIOp::create(e.b, e.in[0], constant(e.b, e.type(), 1));
}
Value isNaN(Element e) {
  return compare(e.b, CmpFPredicate::UNO, e.in[0], e.in[0]);
}
Value where(Element e) {
  return choose(e.b, e.in[0], e.in[1], e.in[2]);
}

// Casts.

Value widened(ImplicitLocOpBuilder &b, Value x, Type type) {
  return x.getType() == type ? x : Value(arith::ExtFOp::create(b, type, x));
}

/// Truncates; what does not fit becomes the least integer, as on x86.
Value toInteger(ImplicitLocOpBuilder &b, Value x, IntegerType type) {
  double limit = std::ldexp(1.0, static_cast<int>(type.getWidth()) - 1);
  auto real = cast<FloatType>(x.getType());
  // The last number above -limit - 1 and the first that is too large; of i32 in f32, and of i64,
  // -limit itself is the lower end.
  bool finer = real.isF64() && type.getWidth() == 32;
  Value above = finer ? compare(b, CmpFPredicate::OGT, x, constant(b, real, -limit - 1))
                      : compare(b, CmpFPredicate::OGE, x, constant(b, real, -limit));
  Value below = compare(b, CmpFPredicate::OLT, x, constant(b, real, limit));
  Value fits = arith::AndIOp::create(b, above, below);
  Value safe = choose(b, fits, x, constant(b, real, 0));
  Value smallest = arith::ConstantOp::create(
      b, b.getIntegerAttr(type, APInt::getSignedMinValue(type.getWidth())));
  return choose(b, fits, arith::FPToSIOp::create(b, type, safe), smallest);
}

Value castElement(Element e) {
  ImplicitLocOpBuilder &b = e.b;
  Value x = e.in[0];
  Type to = cast<RankedTensorType>(e.node.getResult(0).getType()).getElementType();
  if (x.getType() == to)
    return x;
  bool fromStorage = kindOf(x.getType()) == Storage;
  if (fromStorage)
    x = widened(b, x, b.getF32Type());
  if (to.isInteger(1)) {
    Value zero = constant(b, x.getType(), 0);
    return isa<FloatType>(x.getType())
               ? compare(b, CmpFPredicate::UNE, x, zero)
               : Value(arith::CmpIOp::create(b, CmpIPredicate::ne, x, zero));
  }
  if (auto integer = dyn_cast<IntegerType>(to)) {
    if (isa<FloatType>(x.getType()))
      return toInteger(b, x, integer);
    unsigned from = x.getType().getIntOrFloatBitWidth();
    if (from == 1)
      return arith::ExtUIOp::create(b, to, x);
    if (from < integer.getWidth())
      return arith::ExtSIOp::create(b, to, x);
    return arith::TruncIOp::create(b, to, x);
  }
  // To a float: 16-bit types through f32.
  Type wide = kindOf(to) == Storage ? b.getF32Type() : to;
  if (x.getType().isInteger(1))
    x = arith::UIToFPOp::create(b, wide, x);
  else if (isa<IntegerType>(x.getType()))
    x = arith::SIToFPOp::create(b, wide, x);
  else if (x.getType().getIntOrFloatBitWidth() < wide.getIntOrFloatBitWidth())
    x = arith::ExtFOp::create(b, wide, x);
  else if (x.getType() != wide)
    x = arith::TruncFOp::create(b, wide, x);
  return x.getType() == to ? x : Value(arith::TruncFOp::create(b, to, x));
}

// Rows.

Value reduced(ImplicitLocOpBuilder &b, rtir::Reduction kind, Value x) {
  return rtir::ReduceOp::create(b, x.getType(), kind, x);
}
Value meanOf(ImplicitLocOpBuilder &b, Value x) {
  Value sum = reduced(b, rtir::Reduction::Add, x);
  return arith::DivFOp::create(b, sum, rtir::RowLengthOp::create(b, x.getType()));
}
template <rtir::Reduction kind> Value reduction(Element e) {
  return reduced(e.b, kind, e.in[0]);
}
Value mean(Element e) {
  return meanOf(e.b, e.in[0]);
}
Value softmax(Element e) {
  Value top = reduced(e.b, rtir::Reduction::Max, e.in[0]);
  Value power = math::ExpOp::create(e.b, arith::SubFOp::create(e.b, e.in[0], top));
  Value total = reduced(e.b, rtir::Reduction::Add, power);
  Value share = arith::DivFOp::create(e.b, constant(e.b, e.type(), 1), total);
  return arith::MulFOp::create(e.b, power, share);
}
/// x over the root of its mean square, scaled, and shifted if there is a bias.
Value normalised(Element e, Value x) {
  Value squares = meanOf(e.b, arith::MulFOp::create(e.b, x, x));
  Value epsilon = constant(e.b, e.type(), e.node.real("epsilon", 1e-5f));
  Value root = math::SqrtOp::create(e.b, arith::AddFOp::create(e.b, squares, epsilon));
  Value inverse = arith::DivFOp::create(e.b, constant(e.b, e.type(), 1), root);
  Value y = arith::MulFOp::create(e.b, arith::MulFOp::create(e.b, x, inverse), e.in[1]);
  return e.in.size() > 2 ? Value(arith::AddFOp::create(e.b, y, e.in[2])) : y;
}
Value layerNorm(Element e) {
  return normalised(e, arith::SubFOp::create(e.b, e.in[0], meanOf(e.b, e.in[0])));
}
Value rmsNorm(Element e) {
  return normalised(e, e.in[0]);
}

struct Form {
  Form(Emit emit = nullptr, unsigned kinds = 0, unsigned least = 1, unsigned most = 1,
       StringRef attributes = "")
      : emit(emit), kinds(kinds), least(least), most(most), attributes(attributes) {}
  Emit emit;
  unsigned kinds;       // element types of the operands
  unsigned least, most; // operands
  StringRef attributes; // those that are read
};

Form formOf(onnx::NodeOp node) {
  constexpr unsigned kMany = 8;
  constexpr StringLiteral kReduction = "axes keepdims noop_with_empty_axes";
  StringRef domain = node.getDomain();
  if (domain == "com.microsoft")
    return llvm::StringSwitch<Form>(node.getOpType())
        .Case("Gelu", {biasGelu, F32})
        .Case("BiasGelu", {biasGelu, F32, 2, 2})
        .Case("FastGelu", {fastGelu, F32, 1, 2})
        .Case("QuickGelu", {quickGelu, F32, 1, 1, "alpha"})
        .Default({});
  if (!domain.empty() && domain != "ai.onnx")
    return {};
  return llvm::StringSwitch<Form>(node.getOpType())
      .Case("Add", {arithmetic<arith::AddFOp, arith::AddIOp>, Number, 2, 2})
      .Case("Sub", {arithmetic<arith::SubFOp, arith::SubIOp>, Number, 2, 2})
      .Case("Mul", {arithmetic<arith::MulFOp, arith::MulIOp>, Number, 2, 2})
      .Case("Div", {arithmetic<arith::DivFOp, arith::DivSIOp>, Number, 2, 2})
      .Case("Sum", {accumulated<arith::AddFOp, arith::AddIOp>, Number, 1, kMany})
      .Case("Min", {least, Number, 1, kMany})
      .Case("Max", {greatest, Number, 1, kMany})
      .Case("Pow", {power, Number, 2, 2})
      .Case("Neg", {negate, Number})
      .Case("Abs", {absolute, Number})
      .Case("Sign", {sign, Number})
      .Case("Relu", {relu, Number})
      .Case("Clip", {clip, Number, 1, 3})
      .Case("Sqrt", {function<math::SqrtOp>, Real})
      .Case("Reciprocal", {reciprocal, Real})
      .Case("Exp", {function<math::ExpOp>, F32})
      .Case("Log", {function<math::LogOp>, F32})
      .Case("Tanh", {function<math::TanhOp>, F32})
      .Case("Erf", {function<math::ErfOp>, F32})
      .Case("Floor", {function<math::FloorOp>, Real})
      .Case("Ceil", {function<math::CeilOp>, Real})
      .Case("Round", {function<math::RoundEvenOp>, Real})
      .Case("Sigmoid", {sigmoid, F32})
      .Case("Swish", {swish, F32, 1, 1, "alpha"})
      .Case("Gelu", {gelu, F32, 1, 1, "approximate"})
      .Case("LeakyRelu", {leakyRelu, Real, 1, 1, "alpha"})
      .Case("HardSigmoid", {hardSigmoid, F32, 1, 1, "alpha beta"})
      .Case("HardSwish", {hardSwish, F32})
      .Case("Softsign", {softsign, Real})
      .Case("Equal", {comparison<CmpFPredicate::OEQ, CmpIPredicate::eq>, Any, 2, 2})
      .Case("Less", {comparison<CmpFPredicate::OLT, CmpIPredicate::slt>, Number, 2, 2})
      .Case("LessOrEqual", {comparison<CmpFPredicate::OLE, CmpIPredicate::sle>, Number, 2, 2})
      .Case("Greater", {comparison<CmpFPredicate::OGT, CmpIPredicate::sgt>, Number, 2, 2})
      .Case("GreaterOrEqual", {comparison<CmpFPredicate::OGE, CmpIPredicate::sge>, Number, 2, 2})
      .Case("And", {logic<arith::AndIOp>, Bool, 2, 2})
      .Case("Or", {logic<arith::OrIOp>, Bool, 2, 2})
      .Case("Xor", {logic<arith::XOrIOp>, Bool, 2, 2})
      .Case("Not", {invert, Bool})
      .Case("IsNaN", {isNaN, F32})
      .Case("Softmax", {softmax, F32, 1, 1, "axis"})
      .Case("ReduceSum", {reduction<rtir::Reduction::Add>, F32, 1, 2, kReduction})
      .Case("ReduceMax", {reduction<rtir::Reduction::Max>, F32, 1, 2, kReduction})
      .Case("ReduceMin", {reduction<rtir::Reduction::Min>, F32, 1, 2, kReduction})
      .Case("ReduceMean", {mean, F32, 1, 2, kReduction})
      .Case("LayerNormalization", {layerNorm, F32, 2, 3, "axis epsilon stash_type"})
      .Case("RMSNormalization", {rmsNorm, F32, 2, 2, "axis epsilon stash_type"})
      .Case("Where", {where, Any | Storage, 3, 3})
      .Case("Cast", {castElement, Any | Storage, 1, 1, "to saturate"})
      .Default({});
}

bool isPower(TypedAttr exponent, bool integer) {
  double value = isa<FloatAttr>(exponent)
                     ? cast<FloatAttr>(exponent).getValueAsDouble()
                     : static_cast<double>(cast<IntegerAttr>(exponent).getInt());
  if (integer)
    return isa<IntegerAttr>(exponent) && (value == 2 || value == 3);
  return value == 2 || value == 3 || value == 0.5 || value == -0.5 || value == -1;
}

/// Operators with parameters that must be constants of one element.
bool hasConstantParameters(onnx::NodeOp node, unsigned kind) {
  auto inputs = node.getInputs();
  auto ranked = [&](Value value) { return isa<RankedTensorType>(value.getType()); };
  if (node.is("Pow")) {
    TypedAttr exponent = scalar::constantElement(inputs[1]);
    return exponent && isa<FloatAttr, IntegerAttr>(exponent) &&
           rankOf(inputs[1]) <= rankOf(inputs[0]) && isPower(exponent, kind == Int);
  }
  if (node.is("Clip")) {
    for (Value bound : inputs.drop_front()) {
      if (isa<NoneType>(bound.getType()))
        continue;
      TypedAttr value = ranked(bound) ? scalar::constantElement(bound) : TypedAttr();
      if (!value || value.getType() != elementOf(inputs[0]))
        return false;
      // A bound that is NaN orders nothing.
      if (auto real = dyn_cast<FloatAttr>(value); real && real.getValue().isNaN())
        return false;
    }
    return true;
  }
  // Division by an integer zero is refused when it happens: only divisors that are known not to be
  // one are taken. By -1 the least integer overflows.
  if (node.is("Div") && kind == Int) {
    auto divisor = dyn_cast_or_null<IntegerAttr>(scalar::constantElement(inputs[1]));
    return divisor && divisor.getInt() != 0 && divisor.getInt() != -1;
  }
  return true;
}

bool isLast(int64_t axis, int64_t rank) {
  return axis == -1 || axis == rank - 1;
}

/// Rows of a known, smaller length do not pay (docs/execution.md). Those of one element would be
/// row values.
constexpr int64_t kShortestRow = 128;

/// Operators over rows: of one axis, the last.
bool hasRows(onnx::NodeOp node) {
  auto inputs = node.getInputs();
  auto type = cast<RankedTensorType>(inputs[0].getType());
  if (type.getRank() == 0 ||
      (!ShapedType::isDynamic(type.getShape().back()) && type.getShape().back() < kShortestRow))
    return false;
  if (!scalar::reducesRows(node)) {
    // Before opset 13 Softmax takes all axes from one on.
    if (node.is("Softmax") && onnx::opsetOf(node) < 13)
      return false;
    if (!isLast(node.integer("axis", -1), type.getRank()))
      return false;
    // Scale and bias of a row.
    for (Value parameter : inputs.drop_front())
      if (rankOf(parameter) != 1 ||
          cast<RankedTensorType>(parameter.getType()).getShape() != type.getShape().take_back())
        return false;
    return node.integer("stash_type", 1) == 1;
  }
  if (node.integer("keepdims", 1) != 1)
    return false;
  SmallVector<int64_t> axes;
  if (auto given = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("axes")))
    axes.assign(given.asArrayRef().begin(), given.asArrayRef().end());
  else if (inputs.size() > 1)
    if (auto axis = dyn_cast_or_null<IntegerAttr>(scalar::constantElement(inputs[1])))
      axes.push_back(axis.getInt());
  return axes.size() == 1 && isLast(axes.front(), type.getRank());
}

} // namespace

bool scalar::reducesRows(onnx::NodeOp node) {
  return node.is("ReduceSum") || node.is("ReduceMax") || node.is("ReduceMin") ||
         node.is("ReduceMean");
}

bool scalar::readsRows(onnx::NodeOp node) {
  return reducesRows(node) || node.is("Softmax") || node.is("LayerNormalization") ||
         node.is("RMSNormalization");
}

TypedAttr scalar::constantElement(Value value) {
  auto elements = dyn_cast_or_null<DenseElementsAttr>(onnx::constantOf(value));
  if (!elements || elements.getNumElements() != 1)
    return {};
  return dyn_cast<TypedAttr>(*elements.value_begin<Attribute>());
}

bool scalar::isSupported(onnx::NodeOp node) {
  if (!node.getSubgraphs().empty() || node.getNumResults() != 1)
    return false;
  Form form = formOf(node);
  auto inputs = node.getInputs();
  if (!form.emit || inputs.size() < form.least || inputs.size() > form.most)
    return false;
  auto result = dyn_cast<RankedTensorType>(node.getResult(0).getType());
  if (!result || !kindOf(result.getElementType()))
    return false;
  for (NamedAttribute attribute : node.getNodeAttrs()) {
    SmallVector<StringRef> known;
    form.attributes.split(known, ' ');
    if (!llvm::is_contained(known, attribute.getName().getValue()))
      return false;
  }
  for (auto [i, input] : llvm::enumerate(inputs)) {
    if (node.is("Clip") && i > 0)
      continue;
    Type element = elementOf(input);
    if (!element)
      return false;
    if ((node.is("Pow") || reducesRows(node)) && i == 1)
      continue;
    bool condition = node.is("Where") && i == 0;
    if (!(kindOf(element) & (condition ? unsigned(Bool) : form.kinds)))
      return false;
    // Of one type, the condition of a Where aside.
    if (i > 0 && element != elementOf(inputs[node.is("Where") ? 1 : 0]))
      return false;
    if (rankOf(input) > result.getRank())
      return false;
  }
  // Rounding a double to 16 bits through a float would round twice.
  if (node.is("Cast") && kindOf(result.getElementType()) == Storage && elementOf(inputs[0]).isF64())
    return false;
  if (readsRows(node) && !hasRows(node))
    return false;
  return hasConstantParameters(node, kindOf(elementOf(inputs[0])));
}

SmallVector<Value> scalar::elementOperands(onnx::NodeOp node) {
  auto inputs = node.getInputs();
  if (node.is("Clip") || node.is("Pow") || reducesRows(node))
    return {inputs[0]};
  return llvm::to_vector(inputs);
}

Value scalar::emit(OpBuilder &builder, onnx::NodeOp node, ValueRange elements) {
  ImplicitLocOpBuilder b(node.getLoc(), builder);
  return formOf(node).emit({b, node, elements});
}
