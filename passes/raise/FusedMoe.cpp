// The operands of com.microsoft.MoE and QMoE as uoe.moe has them: fc1 apart in gate and up,
// matrices [E, in, out], packed integers as nodes that dequantise them.
#include "passes/raise/Moe.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

namespace {

/// Builds nodes on weights at one place.
struct Weights {
  OpBuilder &builder;
  Location loc;

  Value binary(StringRef op, Value a, Value b) {
    Value result = makeBinary(builder, loc, op, a, b);
    result.setType(onnx::dropDims(result.getType()));
    return result;
  }
  Value scalar(Value like, double value) {
    return makeScalar(builder, loc, elementOf(like), value);
  }

  /// Unsigned integers of `bits` bits, packed along the last axis from the low end, as floats
  /// [..., count]. Floor and multiples of powers of two are exact.
  Value unpack(Value packed, int64_t bits, int64_t count) {
    auto type = cast<RankedTensorType>(packed.getType());
    Value bytes = makeCast(builder, loc, packed, builder.getF32Type());
    SmallVector<int64_t> shape(type.getShape());
    if (bits != 8) {
      auto shifted = [&](int64_t by) {
        Value scaled = binary("Mul", bytes, scalar(bytes, 1.0 / static_cast<double>(1 << by)));
        return makeNode(builder, loc, "Floor", {scaled}, scaled.getType());
      };
      SmallVector<Value> parts;
      for (int64_t at = 0; at < 8; at += bits) {
        Value low = at == 0 ? bytes : shifted(at);
        if (at + bits < 8)
          low = binary(
              "Sub", low,
              binary("Mul", shifted(at + bits), scalar(bytes, static_cast<double>(1 << bits))));
        parts.push_back(makeUnsqueeze(builder, loc, low, type.getRank()));
      }
      SmallVector<int64_t> side(shape);
      side.push_back(8 / bits);
      Value all =
          makeNode(builder, loc, "Concat", parts, RankedTensorType::get(side, builder.getF32Type()),
                   {builder.getNamedAttr("axis", builder.getI64IntegerAttr(type.getRank()))});
      shape.back() *= 8 / bits;
      bytes = makeReshape(builder, loc, all, shape);
    }
    return shape.back() == count ? bytes
                                 : makeSlice(builder, loc, bytes, type.getRank() - 1, 0, count);
  }

  /// [E, rows, columns] in the element type of `like`; null with a reason.
  Value dequantise(Value packed, Value scales, Value zeros, int64_t bits, int64_t block, Value like,
                   std::string &why) {
    auto type = packed ? dyn_cast<RankedTensorType>(packed.getType()) : RankedTensorType();
    auto scaleType = scales ? dyn_cast<RankedTensorType>(scales.getType()) : RankedTensorType();
    if (!type || type.getRank() != 3 || !type.hasStaticShape() ||
        !type.getElementType().isUnsignedInteger(8) || !scaleType || !scaleType.hasStaticShape()) {
      why = "the packed weights or their scales are not of a known shape";
      return {};
    }
    int64_t experts = type.getDimSize(0), rows = type.getDimSize(1),
            columns = type.getDimSize(2) * 8 / bits;
    if (block <= 0)
      block = columns;
    if (columns % block != 0 || scaleType.getNumElements() != experts * rows * (columns / block)) {
      why = "the scales do not fit the packed weights";
      return {};
    }
    int64_t blocks = columns / block;
    SmallVector<int64_t> grouped{experts, rows, blocks, 1};
    Value zero;
    if (zeros) {
      auto zeroType = dyn_cast<RankedTensorType>(zeros.getType());
      bool perRow = zeroType && zeroType.getRank() == 2 && blocks == 1;
      int64_t count = perRow ? rows : blocks;
      if (!zeroType || !zeroType.hasStaticShape() ||
          !zeroType.getElementType().isUnsignedInteger(8) || !(perRow || zeroType.getRank() == 3) ||
          zeroType.getShape().back() != (count * bits + 7) / 8) {
        why = "the zero points do not fit the packed weights";
        return {};
      }
      zero = makeReshape(builder, loc, unpack(zeros, bits, count), grouped);
    }
    Value w =
        makeReshape(builder, loc, unpack(packed, bits, columns), {experts, rows, blocks, block});
    if (!zero)
      zero = scalar(w, static_cast<double>(1 << (bits - 1)));
    Value scale =
        makeReshape(builder, loc, makeCast(builder, loc, scales, builder.getF32Type()), grouped);
    w = binary("Mul", binary("Sub", w, zero), scale);
    return makeCast(builder, loc, makeReshape(builder, loc, w, {experts, rows, columns}),
                    elementOf(like));
  }
};

} // namespace

static std::optional<Activation> activationOf(StringRef name) {
  if (name == "relu")
    return Activation::relu;
  if (name == "gelu")
    return Activation::gelu_tanh; // which is what the operator computes
  if (name == "silu")
    return Activation::silu;
  if (name == "identity")
    return Activation::identity;
  return std::nullopt;
}

// A matrix [E, out, in] of this element type with known sizes.
static bool isStack(Value value, Value like) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type && type.getRank() == 3 && type.hasStaticShape() &&
         type.getElementType() == elementOf(like);
}

FusedMoe raise::fusedMoe(OpBuilder &builder, Location loc, NodeOp node) {
  FusedMoe moe;
  moe.k = node.integer("k", 1);
  auto opaque = [&](const Twine &why) {
    moe.opaque = why.str();
    moe.activation = Activation::identity;
    moe.normalized = false;
    moe.limit.reset();
    moe.upOffset = 0.0;
    return moe;
  };
  Weights w{builder, loc};
  bool quantised = node.is("QMoE") || node.isContrib("QMoE");
  Value x = node.input(0), logits = node.input(1), fc1, fc2, fc3;
  if (!isFloat(x) || rankOf(x) < 2 || rankOf(logits) < 0)
    return opaque("the shape of its tokens is not known");
  moe.normalized = quantised || node.integer("normalize_routing_weights", 0);
  if (node.integer("use_sparse_mixer", 0))
    return opaque("it chooses by the sparse mixer");
  if (quantised) {
    if (node.string("quant_type", "int") != "int")
      return opaque("its weights are not integers");
    if (node.input(14))
      return opaque("the weights of its mixture are not those of the choice");
    int64_t bits = node.integer("expert_weight_bits", 4), block = node.integer("block_size", 0);
    Value *stacks[] = {&fc1, &fc2, &fc3};
    for (int i = 0; i < 3; ++i) {
      int64_t own = node.integer(("fc" + Twine(i + 1) + "_expert_weight_bits").str(), bits);
      if (own != 2 && own != 4 && own != 8)
        return opaque("its weights have " + Twine(own) + " bits, expected 2, 4 or 8");
      if (!node.input(2 + 3 * i))
        continue;
      *stacks[i] = w.dequantise(node.input(2 + 3 * i), node.input(3 + 3 * i), node.input(11 + i),
                                own, block, x, moe.opaque);
      if (!*stacks[i])
        return opaque(Twine(std::string(moe.opaque)));
    }
  } else {
    fc1 = node.input(2);
    fc2 = node.input(4);
    fc3 = node.input(6);
  }
  Value bias1 = node.input(quantised ? 4 : 3), bias2 = node.input(quantised ? 7 : 5),
        bias3 = node.input(quantised ? 10 : 7);
  if (!isStack(fc1, x) || !isStack(fc2, x) || (fc3 && !isStack(fc3, x)))
    return opaque("its matrices are not of a known shape and the tokens' type");
  for (Value bias : {bias1, bias2, bias3})
    if (bias && (rankOf(bias) != 2 || elementOf(bias) != elementOf(x)))
      return opaque("a bias is not of a known shape and the tokens' type");

  StringRef kind = node.string("activation_type", "relu");
  int64_t width = sizeOf(fc2, 2);
  Value up = fc1, gate, biasUp = bias1, biasGate;
  if (kind == "swiglu") {
    // gate·σ(alpha·gate)·(linear + beta), with both in fc1.
    double alpha = node.real("activation_alpha", 1.0), beta = node.real("activation_beta", 0.0);
    int64_t fusion = node.integer("swiglu_fusion", 0);
    if (std::abs(alpha - 1.0) < 1e-6)
      moe.activation = Activation::silu;
    else if (std::abs(alpha - 1.702) < 1e-5)
      moe.activation = Activation::quick_gelu;
    else
      return opaque("its swiglu has alpha " + Twine(std::to_string(alpha)) +
                    ", expected 1 or 1.702");
    if ((fusion != 1 && fusion != 2) || fc3 || sizeOf(fc1, 1) != 2 * width)
      return opaque("its swiglu is fused in no known way");
    auto half = [&](Value value, int64_t which) {
      if (!value)
        return value;
      return fusion == 1 ? makeSlice(builder, loc, value, 1, which, width, 2)
                         : makeSlice(builder, loc, value, 1, which * width, width);
    };
    gate = half(fc1, 0);
    up = half(fc1, 1);
    biasGate = half(bias1, 0);
    biasUp = half(bias1, 1);
    double limit = node.real("swiglu_limit", std::numeric_limits<double>::infinity());
    if (!(limit > 0))
      return opaque("its swiglu has a limit of " + Twine(std::to_string(limit)));
    if (std::isfinite(limit))
      moe.limit = limit;
    moe.upOffset = beta;
  } else {
    std::optional<Activation> activation = activationOf(kind);
    if (!activation)
      return opaque("its activation is '" + kind + "'");
    moe.activation = *activation;
    if (fc3) {
      gate = fc1;
      biasGate = bias1;
      up = fc3;
      biasUp = bias3;
    }
  }
  auto transposed = [&](Value value) {
    return value ? makeTranspose(builder, loc, value, {0, 2, 1}) : value;
  };
  moe.up = transposed(up);
  moe.gate = transposed(gate);
  moe.down = transposed(fc2);
  moe.biasUp = biasUp;
  moe.biasGate = biasGate;
  moe.biasDown = bias2;
  moe.input = x;
  moe.scores = logits;
  return moe;
}
