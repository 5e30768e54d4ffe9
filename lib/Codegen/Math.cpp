#include "lib/Codegen/Math.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;
using namespace uoe::codegen;

namespace {

/// Arithmetic over scalars or vectors that reads as formulas do. Products and sums may contract to
/// fused multiply-adds.
class Formula {
public:
  Formula(OpBuilder &builder, Location loc, Type like) : b(loc, builder), like(like) {}

  Type shaped(Type element) const {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(VectorType::get(vector.getShape(), element)) : element;
  }
  Value splat(TypedAttr value) {
    auto type = shaped(value.getType());
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, Attribute(value)));
    return arith::ConstantOp::create(b, value);
  }
  Value real(float value) { return splat(b.getF32FloatAttr(value)); }
  Value integer(uint32_t value) {
    return splat(b.getIntegerAttr(b.getI32Type(), static_cast<int32_t>(value)));
  }

  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y, kContract); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y, kContract); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y, kContract); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(b, x); }
  Value abs(Value x) { return math::AbsFOp::create(b, x); }
  Value less(Value x, Value y) { return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y); }
  Value isNaN(Value x) { return arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x); }
  Value choose(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, condition, x, y);
  }
  Value signedAs(Value x, Value sign) { return math::CopySignOp::create(b, x, sign); }

  Value bits(Value x) { return arith::BitcastOp::create(b, shaped(b.getI32Type()), x); }
  Value ofBits(Value x) { return arith::BitcastOp::create(b, shaped(b.getF32Type()), x); }
  Value toInteger(Value x) { return arith::FPToSIOp::create(b, shaped(b.getI32Type()), x); }
  Value toReal(Value x) { return arith::SIToFPOp::create(b, shaped(b.getF32Type()), x); }
  Value addI(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value subI(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value andI(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value orI(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
  Value xorI(Value x, Value y) { return arith::XOrIOp::create(b, x, y); }
  Value shiftLeft(Value x, uint32_t by) { return arith::ShLIOp::create(b, x, integer(by)); }
  Value shiftRight(Value x, uint32_t by) { return arith::ShRUIOp::create(b, x, integer(by)); }
  Value shiftSigned(Value x, uint32_t by) { return arith::ShRSIOp::create(b, x, integer(by)); }
  Value aboveI(Value x, uint32_t limit) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ugt, x, integer(limit));
  }
  Value equalI(Value x, uint32_t value) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, x, integer(value));
  }
  Value widenBits(Value x) { return arith::ExtUIOp::create(b, shaped(b.getI32Type()), x); }
  Value narrowBits(Value x) { return arith::TruncIOp::create(b, shaped(b.getI16Type()), x); }

  /// c[0]·x^n + ... + c[n].
  Value polynomial(Value x, ArrayRef<float> c) {
    Value p = real(c.front());
    for (float next : c.drop_front())
      p = add(mul(p, x), real(next));
    return p;
  }

  /// 2^n for integral n in [-252, 254], in two factors so that neither over- nor underflows too
  /// early.
  Value scaled(Value value, Value n) {
    Value whole = toInteger(n), half = shiftSigned(whole, 1), bias = integer(127);
    Value one = ofBits(shiftLeft(addI(half, bias), 23));
    Value two = ofBits(shiftLeft(addI(subI(whole, half), bias), 23));
    return mul(mul(value, one), two);
  }

  Value exp(Value x) {
    Value high = real(89.0f), low = real(-104.0f);
    Value c = choose(less(high, x), high, x);
    c = choose(less(c, low), low, c);
    // x = n·ln 2 + r; the nearest integer by adding and taking away 1.5·2^23.
    Value magic = real(12582912.0f);
    Value n = arith::SubFOp::create(b, add(mul(c, real(1.44269504f)), magic), magic);
    Value r = add(sub(c, mul(n, real(0.693359375f))), mul(n, real(2.12194440e-4f)));
    // (e^r - 1 - r) / r² for |r| <= ln(2)/2.
    Value rest = polynomial(r, {1.992095835e-04f, 1.394838605e-03f, 8.333259751e-03f,
                                4.166623717e-02f, 1.666666688e-01f, 5.000000088e-01f});
    Value value = scaled(add(real(1.0f), add(r, mul(mul(r, r), rest))), n);
    return choose(isNaN(x), x, value);
  }

  Value log(Value x) {
    Value tiny = less(x, real(1.17549435e-38f));
    Value from = bits(choose(tiny, mul(x, real(8388608.0f)), x));
    Value e = shiftSigned(subI(from, integer(0x3f3504f3u)), 23);
    Value f = sub(ofBits(subI(from, shiftLeft(e, 23))), real(1.0f));
    Value n = sub(toReal(e), choose(tiny, real(23.0f), real(0.0f)));
    // (ln(1+f) - f + f²/2) / f³ for f in [√½-1, √2-1].
    Value p = polynomial(f, {6.746601329e-02f, -1.167564130e-01f, 1.188817460e-01f,
                             -1.240559142e-01f, 1.421955091e-01f, -1.666799567e-01f,
                             2.000211873e-01f, -2.500000960e-01f, 3.333331260e-01f});
    Value f2 = mul(f, f);
    Value small = sub(mul(mul(f2, f), p), mul(n, real(2.12194440e-4f)));
    Value value = add(add(sub(f, mul(real(0.5f), f2)), small), mul(n, real(0.693359375f)));
    float infinity = std::numeric_limits<float>::infinity();
    value = choose(less(x, real(infinity)), value, x); // infinity and NaN
    Value zero = real(0.0f);
    Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, zero);
    value = choose(isZero, real(-infinity), value);
    return choose(less(x, zero), real(std::numeric_limits<float>::quiet_NaN()), value);
  }

  Value tanh(Value x) {
    Value t = abs(x), z = mul(t, t), one = real(1.0f);
    // (tanh(t) - t) / t³ in t², for t <= 0.625.
    Value p = polynomial(z, {2.147536862e-03f, -8.182673859e-03f, 2.170296711e-02f,
                             -5.394720427e-02f, 1.333320976e-01f, -3.333333091e-01f});
    Value small = add(t, mul(mul(t, z), p));
    Value twice = choose(less(real(10.0f), t), real(20.0f), add(t, t));
    Value large = sub(one, div(real(2.0f), add(exp(twice), one)));
    Value value = signedAs(choose(less(t, real(0.625f)), small, large), x);
    return choose(isNaN(x), x, value);
  }

  Value erf(Value x) {
    Value t = abs(x), z = mul(t, t), one = real(1.0f);
    // erf(t)/t - 1 in t², for t <= 1.
    Value p =
        polynomial(z, {7.853857702e-05f, -8.010192520e-04f, 5.188327560e-03f, -2.685381187e-02f,
                       1.128358515e-01f, -3.761262582e-01f, 1.283791657e-01f});
    Value small = add(t, mul(t, p));
    // -ln(1-erf(t))/t for t in [0.95, 4].
    Value four = real(4.0f), c = choose(less(four, t), four, t);
    Value q =
        polynomial(c, {4.426924367e-06f, -3.930082513e-05f, -8.187699607e-05f, 3.020258149e-03f,
                       -2.282154762e-02f, 1.054041698e-01f, 6.355514867e-01f, 1.128567893e+00f});
    Value large = sub(one, exp(mul(neg(q), c)));
    Value value = signedAs(choose(less(t, one), small, large), x);
    return choose(isNaN(x), x, value);
  }

  ImplicitLocOpBuilder b;
  Type like;
  static constexpr auto kContract = arith::FastMathFlags::contract;
};

} // namespace

Value uoe::codegen::expandExp(OpBuilder &builder, Location loc, Value x) {
  return Formula(builder, loc, x.getType()).exp(x);
}
Value uoe::codegen::expandLog(OpBuilder &builder, Location loc, Value x) {
  return Formula(builder, loc, x.getType()).log(x);
}
Value uoe::codegen::expandTanh(OpBuilder &builder, Location loc, Value x) {
  return Formula(builder, loc, x.getType()).tanh(x);
}
Value uoe::codegen::expandErf(OpBuilder &builder, Location loc, Value x) {
  return Formula(builder, loc, x.getType()).erf(x);
}

Value uoe::codegen::expandHalfToFloat(OpBuilder &builder, Location loc, Value half) {
  Formula f(builder, loc, half.getType());
  Value wide = f.widenBits(half);
  Value x = f.shiftLeft(f.andI(wide, f.integer(0x7fff)), 13);
  Value exponent = f.andI(x, f.integer(0x0f800000u));
  Value rebased = f.addI(x, f.integer(112u << 23));
  Value special = f.addI(rebased, f.integer(112u << 23)); // infinity and NaN
  Value subnormal = f.bits(
      f.sub(f.ofBits(f.addI(rebased, f.integer(1u << 23))), f.ofBits(f.integer(113u << 23))));
  Value magnitude = f.choose(f.equalI(exponent, 0x0f800000u), special,
                             f.choose(f.equalI(exponent, 0), subnormal, rebased));
  Value sign = f.shiftLeft(f.andI(wide, f.integer(0x8000)), 16);
  return f.ofBits(f.orI(magnitude, sign));
}

Value uoe::codegen::expandFloatToHalf(OpBuilder &builder, Location loc, Value real) {
  Formula f(builder, loc, real.getType());
  Value all = f.bits(real), sign = f.andI(all, f.integer(0x80000000u));
  Value x = f.xorI(all, sign);
  Value nan = f.orI(f.integer(0x7e00u), f.andI(f.shiftRight(x, 13), f.integer(0x3ffu)));
  // The result is subnormal: adding 0.5 lets the float adder align and round the mantissa.
  Value subnormal = f.subI(f.bits(f.add(f.ofBits(x), f.real(0.5f))), f.integer(0x3f000000u));
  Value odd = f.andI(f.shiftRight(x, 13), f.integer(1));
  Value normal = f.shiftRight(f.addI(f.addI(x, f.integer(0xc8000fffu)), odd), 13);
  Value result = f.choose(f.aboveI(x, 0x387fffffu), normal, subnormal);
  result = f.choose(f.aboveI(x, 0x477fffffu), f.integer(0x7c00u), result);
  result = f.choose(f.aboveI(x, 0x7f800000u), nan, result);
  return f.narrowBits(f.orI(result, f.shiftRight(sign, 16)));
}

Value uoe::codegen::expandBfloatToFloat(OpBuilder &builder, Location loc, Value bits) {
  Formula f(builder, loc, bits.getType());
  return f.ofBits(f.shiftLeft(f.widenBits(bits), 16));
}

Value uoe::codegen::expandFloatToBfloat(OpBuilder &builder, Location loc, Value real) {
  Formula f(builder, loc, real.getType());
  Value x = f.bits(real), high = f.shiftRight(x, 16);
  Value nan = f.orI(high, f.integer(0x40));
  Value rounded =
      f.shiftRight(f.addI(x, f.addI(f.integer(0x7fff), f.andI(high, f.integer(1)))), 16);
  Value magnitude = f.andI(x, f.integer(0x7fffffffu));
  return f.narrowBits(f.choose(f.aboveI(magnitude, 0x7f800000u), nan, rounded));
}
