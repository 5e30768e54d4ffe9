// Linear maps with constant weights, and products of activations, in all spellings.
#include "passes/raise/Match.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

static bool known(int64_t size) {
  return !ShapedType::isDynamic(size);
}

// The float tensor behind a quantised one: what a QuantizeLinear or DynamicQuantizeLinear was
// given.
static Value unquantised(Value value, Nodes &nodes) {
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  if (!node || !(node.is("DynamicQuantizeLinear") || node.getOpType() == "QuantizeLinear"))
    return {};
  nodes.insert(node);
  return node.input(0);
}

static Value dequantise(OpBuilder &builder, Location loc, Value value, Value scale, Value zero,
                        int64_t axis, Type element) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<Value> operands{value, scale};
  if (zero)
    operands.push_back(zero);
  // ONNX wants a vector of one element to be a scalar when the axis has more.
  for (Value &operand : MutableArrayRef<Value>(operands).drop_front())
    if (rankOf(operand) == 1 && sizeOf(operand, 0) == 1)
      operand = makeReshape(builder, loc, operand, {});
  auto result = RankedTensorType::get(type.getShape(), element);
  if (zero && rankOf(operands[2]) != rankOf(operands[1])) {
    // The operator wants scale and zero point alike.
    Value whole = makeNode(
        builder, loc, "Sub",
        {makeCast(builder, loc, value, element), makeCast(builder, loc, operands[2], element)},
        result);
    return makeNode(builder, loc, "Mul", {whole, operands[1]}, result);
  }
  return makeNode(builder, loc, "DequantizeLinear", operands, result,
                  builder.getNamedAttr("axis", builder.getI64IntegerAttr(axis)));
}

//===----------------------------------------------------------------------===//
// MatMulNBits
//===----------------------------------------------------------------------===//

// [rows, bytes] of packed integers -> [rows, bytes·8/bits] as i32, the lowest bits first.
static Value unpack(OpBuilder &builder, Location loc, Value packed, int64_t rows, int64_t bytes,
                    int64_t bits) {
  Type i32 = builder.getIntegerType(32);
  Value wide = makeCast(builder, loc, makeReshape(builder, loc, packed, {rows, bytes}), i32);
  int64_t parts = 8 / bits;
  if (parts == 1)
    return wide;
  SmallVector<Value> slices;
  for (int64_t i = 0; i < parts; ++i) {
    Value part = wide;
    if (i > 0)
      part =
          makeNode(builder, loc, "Div",
                   {part, makeScalar(builder, loc, i32, int64_t(1) << (bits * i))}, part.getType());
    part = makeNode(builder, loc, "Mod", {part, makeScalar(builder, loc, i32, int64_t(1) << bits)},
                    part.getType());
    slices.push_back(makeUnsqueeze(builder, loc, part, 2));
  }
  Value all =
      makeNode(builder, loc, "Concat", slices, RankedTensorType::get({rows, bytes, parts}, i32),
               builder.getNamedAttr("axis", builder.getI64IntegerAttr(2)));
  return makeReshape(builder, loc, all, {rows, bytes * parts});
}

// The weight of a MatMulNBits as [K, N].
static Value unpackWeight(OpBuilder &builder, NodeOp node, Type element) {
  Location loc = node.getLoc();
  int64_t k = node.integer("K", 0), n = node.integer("N", 0), bits = node.integer("bits", 4),
          size = node.integer("block_size", 32);
  int64_t blocks = (k + size - 1) / size;
  Value w = unpack(builder, loc, node.input(1), n, blocks * size * bits / 8, bits);
  w = makeCast(builder, loc, makeReshape(builder, loc, w, {n, blocks, size}), element);
  Value zero;
  if (Value packed = node.input(3)) {
    if (isFloat(packed)) {
      zero = makeCast(builder, loc, makeReshape(builder, loc, packed, {n, blocks, 1}), element);
    } else {
      int64_t bytes = (blocks * bits + 7) / 8;
      Value z = makeSlice(builder, loc, unpack(builder, loc, packed, n, bytes, bits), 1, 0, blocks);
      zero = makeCast(builder, loc, makeReshape(builder, loc, z, {n, blocks, 1}), element);
    }
  } else {
    zero = makeScalar(builder, loc, element, static_cast<double>(int64_t(1) << (bits - 1)));
  }
  w = makeNode(builder, loc, "Sub", {w, zero}, w.getType());
  Value scales =
      makeCast(builder, loc, makeReshape(builder, loc, node.input(2), {n, blocks, 1}), element);
  w = makeNode(builder, loc, "Mul", {w, scales}, w.getType());
  w = makeSlice(builder, loc, makeReshape(builder, loc, w, {n, blocks * size}), 1, 0, k);
  return makeTranspose(builder, loc, w, {1, 0});
}

//===----------------------------------------------------------------------===//
// Linear maps
//===----------------------------------------------------------------------===//

// MatMulInteger's float result: Mul(Cast(MatMulInteger(...)), scales). Finds the MatMulInteger and
// the scales.
static NodeOp integerProduct(Value value, Value &scales, Nodes &nodes) {
  auto mul = value.getDefiningOp<NodeOp>();
  if (!mul || !mul.is("Mul"))
    return {};
  for (unsigned i : {0, 1}) {
    auto cast = mul.input(i) ? mul.input(i).getDefiningOp<NodeOp>() : NodeOp();
    if (!cast || !cast.is("Cast") || !cast.input(0))
      continue;
    auto product = cast.input(0).getDefiningOp<NodeOp>();
    if (!product || !product.is("MatMulInteger"))
      continue;
    scales = mul.input(1 - i);
    nodes.insert(mul);
    nodes.insert(cast);
    nodes.insert(product);
    return product;
  }
  return {};
}

// scales = dynamic · constant, where dynamic is the scale of `quantise`: the constant factors.
static bool constantScale(Value scales, NodeOp quantise, Constants &facts,
                          SmallVectorImpl<Value> &factors, Nodes &nodes) {
  auto mul = scales.getDefiningOp<NodeOp>();
  if (scales == quantise.getResult(1))
    return true;
  if (!mul || !mul.is("Mul"))
    return false;
  for (unsigned i : {0, 1}) {
    Value constant = mul.input(1 - i);
    if (!facts.isConstant(constant))
      continue;
    factors.push_back(constant);
    nodes.insert(mul);
    return constantScale(mul.input(i), quantise, facts, factors, nodes);
  }
  return false;
}

// A constant as it is.
static Linear::Maker same(Value value) {
  return [value](OpBuilder &) { return value; };
}

std::optional<Linear> raise::matchLinearCore(Value value, Constants &facts) {
  auto node = value.getDefiningOp<NodeOp>();
  if (!node)
    return std::nullopt;
  Linear linear;
  linear.core = node;
  auto sizes = [&](Value w, bool transposed) {
    if (rankOf(w) != 2)
      return false;
    linear.in = sizeOf(w, transposed ? 1 : 0);
    linear.out = sizeOf(w, transposed ? 0 : 1);
    return known(linear.in) && known(linear.out);
  };
  auto plain = [](Value w, bool transposed, double alpha) {
    return [=](OpBuilder &builder) {
      Value m = transposed ? makeTranspose(builder, w.getLoc(), w, {1, 0}) : w;
      return makeScaled(builder, w.getLoc(), m, alpha);
    };
  };

  if (node.is("MatMul") || node.isContrib("FusedMatMul") || node.is("Gemm")) {
    if (node.getInputs().size() < 2 || !node.input(0) || !node.input(1))
      return std::nullopt;
    bool transposed = node.integer("transB", 0) != 0;
    double alpha = node.real("alpha", 1.0);
    if (node.integer("transA", 0) || node.integer("transBatchA", 0) ||
        node.integer("transBatchB", 0))
      return std::nullopt;
    Value w = node.input(1);
    if (!isFloat(value) || !facts.isConstant(w) || facts.isConstant(node.input(0)) ||
        !sizes(w, transposed))
      return std::nullopt;
    linear.input = node.input(0);
    linear.weight = plain(w, transposed, alpha);
    linear.nodes.insert(node);
    if (Value c = node.is("Gemm") ? node.input(2) : Value()) {
      if (!facts.isConstant(c) || rankOf(c) < 1 || sizeOf(c, -1) != linear.out)
        return std::nullopt;
      linear.biases.push_back([c, beta = node.real("beta", 1.0)](OpBuilder &builder) {
        return makeScaled(builder, c.getLoc(), c, beta);
      });
    }
    return linear;
  }

  if (node.isContrib("MatMulNBits")) {
    int64_t bits = node.integer("bits", 4), size = node.integer("block_size", 32);
    linear.in = node.integer("K", 0);
    linear.out = node.integer("N", 0);
    if (!node.input(0) || !node.input(1) || !node.input(2) || node.input(4) ||
        !(bits == 2 || bits == 4 || bits == 8) || size <= 0 || linear.in <= 0 || linear.out <= 0 ||
        !facts.isConstant(node.input(1)) || !facts.isConstant(node.input(2)) ||
        (node.input(3) && !facts.isConstant(node.input(3))))
      return std::nullopt;
    linear.input = node.input(0);
    Type element = elementOf(value) ? elementOf(value) : elementOf(node.input(0));
    if (!element)
      return std::nullopt;
    linear.weight = [node, element](OpBuilder &builder) {
      return unpackWeight(builder, node, element);
    };
    linear.nodes.insert(node);
    if (Value bias = node.input(5))
      linear.biases.push_back(same(bias));
    return linear;
  }

  if (node.isContrib("DynamicQuantizeMatMul") || node.isContrib("MatMulIntegerToFloat")) {
    bool dynamic = node.getOpType() == "DynamicQuantizeMatMul";
    Value w = node.input(1), scale = node.input(dynamic ? 2 : 3),
          zero = node.input(dynamic ? 3 : 5), bias = node.input(dynamic ? 4 : 6);
    if (!w || !scale || !facts.isConstant(w) || !facts.isConstant(scale) || !sizes(w, false) ||
        !elementOf(value))
      return std::nullopt;
    linear.input = dynamic ? node.input(0) : unquantised(node.input(0), linear.nodes);
    if (!linear.input)
      return std::nullopt;
    linear.weight = [=, element = elementOf(value)](OpBuilder &builder) {
      return dequantise(builder, w.getLoc(), w, scale, zero, 1, element);
    };
    linear.nodes.insert(node);
    if (bias)
      linear.biases.push_back(same(bias));
    return linear;
  }

  if (node.getOpType() == "DequantizeLinear" && node.input(0)) {
    auto product = node.input(0).getDefiningOp<NodeOp>();
    if (!product || !product.is("QLinearMatMul") || product.getInputs().size() < 8)
      return std::nullopt;
    Value w = product.input(3);
    linear.input = unquantised(product.input(0), linear.nodes);
    if (!w || !linear.input || !facts.isConstant(w) || !sizes(w, false) || !elementOf(value))
      return std::nullopt;
    Value scale = product.input(4), zero = product.input(5);
    linear.weight = [=, element = elementOf(value)](OpBuilder &builder) {
      return dequantise(builder, w.getLoc(), w, scale, zero, 1, element);
    };
    linear.nodes.insert(node);
    linear.nodes.insert(product);
    linear.core = product;
    return linear;
  }

  Value scales;
  if (NodeOp product = integerProduct(value, scales, linear.nodes)) {
    Value w = product.input(1), zero = product.input(3);
    auto quantise = product.input(0) ? product.input(0).getDefiningOp<NodeOp>() : NodeOp();
    if (!quantise || !quantise.is("DynamicQuantizeLinear") || !w || !facts.isConstant(w) ||
        !sizes(w, false))
      return std::nullopt;
    SmallVector<Value> factors;
    if (!constantScale(scales, quantise, facts, factors, linear.nodes))
      return std::nullopt;
    linear.input = quantise.input(0);
    linear.nodes.insert(quantise);
    linear.core = product;
    Type element = elementOf(value);
    if (!element)
      return std::nullopt;
    linear.weight = [=](OpBuilder &builder) {
      Value m = dequantise(builder, w.getLoc(), w, makeScalar(builder, w.getLoc(), element, 1.0),
                           zero, 1, element);
      for (Value factor : factors)
        m = makeNode(builder, w.getLoc(), "Mul", {m, factor}, m.getType());
      return m;
    };
    return linear;
  }
  return std::nullopt;
}

Value raise::biasOf(NodeOp node, int64_t out, Constants &facts, Value &other) {
  if (!node.is("Add") || node.getInputs().size() != 2)
    return {};
  for (unsigned i : {0, 1}) {
    Value bias = node.input(i);
    if (!bias || !facts.isConstant(bias) || facts.isConstant(node.input(1 - i)) ||
        rankOf(bias) < 1 || sizeOf(bias, -1) != out)
      continue;
    bool vector = true;
    for (int64_t axis = 0; axis + 1 < rankOf(bias); ++axis)
      vector &= sizeOf(bias, axis) == 1;
    // A bias of more dimensions than its other operand would add dimensions.
    if (!vector || rankOf(bias) > rankOf(node.input(1 - i)))
      continue;
    other = node.input(1 - i);
    return bias;
  }
  return {};
}

// True if the constant is a vector of `size` elements along the last dimension.
static bool isRow(Value value, int64_t size, Constants &facts) {
  if (!value || !facts.isConstant(value) || !isFloat(value) || rankOf(value) < 1 ||
      sizeOf(value, -1) != size)
    return false;
  for (int64_t axis = 0; axis + 1 < rankOf(value); ++axis)
    if (sizeOf(value, axis) != 1)
      return false;
  return true;
}

Value raise::factorsOf(NodeOp node, int64_t size, Constants &facts, Value &other) {
  if (!(node.is("Mul") || node.is("Div")) || node.getInputs().size() != 2 || size == 1)
    return {};
  for (unsigned i : {0, 1}) {
    other = node.input(1 - i);
    if ((i == 0 && node.is("Div")) || !isRow(node.input(i), size, facts) ||
        facts.isConstant(other) || rankOf(node.input(i)) > rankOf(other) ||
        sizeOf(other, -1) != size)
      continue;
    return node.input(i);
  }
  return {};
}

// True if both are the same rows: one value, perhaps regrouped in two ways.
static bool sameRows(Value a, Value b) {
  if (a == b)
    return true;
  auto source = [](Value value) {
    for (auto node = value.getDefiningOp<NodeOp>();
         node && (node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") ||
                  node.is("Flatten") || node.is("Identity"));
         node = value.getDefiningOp<NodeOp>())
      value = node.input(0);
    return value;
  };
  return through(a, true) == through(b, true) ||
         (known(sizeOf(a, -1)) && sizeOf(a, -1) == sizeOf(b, -1) && source(a) == source(b));
}

namespace {
// A linear map that may be put together from several.
struct Maps {
  Constants &facts;
  int budget = 24;

  struct Map {
    Linear linear;
    bool composed = false; // of low rank, of two products
  };

  // One matrix, or in a sum (`term`) also the product of two that is of lower rank than both sides.
  std::optional<Map> core(Value value, bool term) {
    auto outer = matchLinearCore(value, facts);
    if (!outer || !term)
      return outer ? std::optional(Map{std::move(*outer)}) : std::nullopt;
    Value middle = outer->input;
    if (producesMap(middle))
      if (auto inner = map(middle, /*term=*/true);
          inner && inner->linear.out == outer->in && inner->linear.biases.empty() &&
          outer->in < outer->out && outer->in < inner->linear.in) {
        Linear both;
        both.input = inner->linear.input;
        both.core = outer->core;
        both.in = inner->linear.in;
        both.out = outer->out;
        both.biases = outer->biases;
        both.nodes = std::move(outer->nodes);
        both.nodes.insert(inner->linear.nodes.begin(), inner->linear.nodes.end());
        both.weight = [a = inner->linear.weight, b = outer->weight, in = both.in,
                       out = both.out](OpBuilder &builder) {
          // In double: it stands for what the model computes in two steps.
          Value first = a(builder), second = b(builder);
          Location loc = first.getLoc();
          Type element = elementOf(first), wide = builder.getF64Type();
          Value product =
              makeNode(builder, loc, "MatMul",
                       {makeCast(builder, loc, first, wide), makeCast(builder, loc, second, wide)},
                       RankedTensorType::get({in, out}, wide));
          return makeCast(builder, loc, product, element);
        };
        return Map{std::move(both), true};
      }
    return Map{std::move(*outer)};
  }

  static Linear::Maker negated(Linear::Maker maker) {
    return [maker = std::move(maker)](OpBuilder &builder) {
      Value value = maker(builder);
      return makeNode(builder, value.getLoc(), "Neg", {value}, value.getType());
    };
  }

  // Saves the walk where the value cannot be a map of low rank.
  static bool producesMap(Value value) {
    auto node = value.getDefiningOp<NodeOp>();
    return node && known(sizeOf(value, -1));
  }

  static void multiply(Linear &linear, Value factor, bool divides) {
    auto times = [factor, divides](Linear::Maker maker) -> Linear::Maker {
      return [=](OpBuilder &builder) {
        Value value = maker(builder);
        Location loc = value.getLoc();
        Value row = makeCast(builder, loc, factor, elementOf(value));
        if (rankOf(row) > 1)
          row = makeReshape(builder, loc, row, {sizeOf(row, -1)});
        return makeNode(builder, loc, divides ? "Div" : "Mul", {value, row}, value.getType());
      };
    };
    linear.weight = times(linear.weight);
    for (Linear::Maker &bias : linear.biases)
      bias = times(bias);
  }

  std::optional<Map> map(Value value, bool term) {
    SmallVector<std::pair<Value, bool>> biases; // added, or taken away
    Nodes nodes;
    auto finish = [&](std::optional<Map> found) -> std::optional<Map> {
      if (!found)
        return std::nullopt;
      Linear &linear = found->linear;
      for (auto [bias, added] : biases) {
        if (sizeOf(bias, -1) != linear.out)
          return std::nullopt;
        linear.biases.push_back(added ? same(bias) : negated(same(bias)));
      }
      linear.nodes.insert(nodes.begin(), nodes.end());
      return found;
    };
    while (--budget > 0) {
      if (auto found = core(value, term))
        return finish(std::move(found));
      auto node = value.getDefiningOp<NodeOp>();
      if (!node)
        return std::nullopt;
      Value other;
      if (int64_t out = sizeOf(value, -1); known(out)) {
        if (Value bias = biasOf(node, out, facts, other)) {
          biases.push_back({bias, true});
          nodes.insert(node);
          value = other;
          continue;
        }
        if (node.is("Sub") && isRow(node.input(1), out, facts) &&
            !facts.isConstant(node.input(0)) && rankOf(node.input(1)) <= rankOf(node.input(0))) {
          biases.push_back({node.input(1), false});
          nodes.insert(node);
          value = node.input(0);
          continue;
        }
        Value factor = factorsOf(node, out, facts, other);
        if (!factor && term)
          factor = scalarFactor(node, other);
        if (factor) {
          auto found = map(other, term);
          if (!found || found->linear.out != out)
            return std::nullopt;
          multiply(found->linear, factor, node.is("Div"));
          found->linear.nodes.insert(node);
          return finish(std::move(found));
        }
        if ((node.is("Add") || node.is("Sub")) && isFloat(value))
          return finish(sum(node));
      }
      Value next = throughOnce(value, true, &nodes);
      if (!next)
        return std::nullopt;
      value = next;
    }
    return std::nullopt;
  }

  // A constant number that the node multiplies or divides its other operand by. On its own a map
  // times a number is left to what reads it, mostly an activation.
  Value scalarFactor(NodeOp node, Value &other) {
    if (!(node.is("Mul") || node.is("Div")) || node.getInputs().size() != 2)
      return {};
    for (unsigned i : {1, 0}) {
      other = node.input(1 - i);
      if ((i == 0 && node.is("Div")) || !facts.scalar(node.input(i)) || facts.isConstant(other) ||
          rankOf(node.input(i)) > 1 || !isFloat(node.input(i)))
        continue;
      return node.input(i);
    }
    return {};
  }

  // Rounds its input: what two such maps do to one input is not what one does.
  static bool quantises(const Linear &linear) {
    return llvm::any_of(linear.nodes, [](Operation *op) {
      StringRef name = cast<NodeOp>(op).getOpType();
      return name.contains("QuantizeLinear") || name.contains("Integer") ||
             name == "DynamicQuantizeMatMul" || name == "QLinearMatMul";
    });
  }

  // Two maps of one input, added or taken away.
  std::optional<Map> sum(NodeOp add) {
    if (add.getInputs().size() != 2 || !add.input(0) || !add.input(1) ||
        facts.isConstant(add.input(0)) || facts.isConstant(add.input(1)) ||
        rankOf(add.input(0)) != rankOf(add.input(1)))
      return std::nullopt;
    auto a = map(add.input(0), /*term=*/true);
    auto b = a ? map(add.input(1), /*term=*/true) : std::nullopt;
    if (!b || quantises(a->linear) || quantises(b->linear))
      return std::nullopt;
    if (add.is("Sub")) {
      b->linear.weight = negated(b->linear.weight);
      for (Linear::Maker &bias : b->linear.biases)
        bias = negated(bias);
    }
    if (a->composed)
      std::swap(a, b);
    Linear &first = a->linear, &second = b->linear;
    if (a->composed || first.in != second.in || first.out != second.out ||
        elementOf(first.input) != elementOf(second.input))
      return std::nullopt;
    if (!sameRows(first.input, second.input))
      return std::nullopt;
    // Of one value regrouped in two ways, the one in the sum's shape.
    if (rankOf(first.input) != rankOf(add.getResult(0)))
      first.input = second.input;
    first.weight = [x = first.weight, y = second.weight](OpBuilder &builder) {
      Value left = x(builder), right = y(builder);
      right = makeCast(builder, left.getLoc(), right, elementOf(left));
      return makeNode(builder, left.getLoc(), "Add", {left, right}, left.getType());
    };
    first.biases.append(second.biases);
    first.nodes.insert(second.nodes.begin(), second.nodes.end());
    first.nodes.insert(add);
    return Map{std::move(first)};
  }
};
} // namespace

std::optional<Linear> raise::matchLinear(Value value, Constants &facts) {
  auto found = Maps{facts}.map(value, /*term=*/false);
  return found ? std::optional(std::move(found->linear)) : std::nullopt;
}

std::optional<LinearSum> raise::sumAhead(Value from, const Linear &part, Constants &facts,
                                         llvm::function_ref<void(Linear &, Constants &)> adjust) {
  SmallVector<Value> ahead{from};
  std::optional<LinearSum> found;
  for (size_t i = 0; i < ahead.size() && i < 8; ++i)
    for (Operation *user : ahead[i].getUsers()) {
      auto node = dyn_cast<NodeOp>(user);
      if (!node || node->getBlock() != from.getParentBlock() ||
          !(node.is("Add") || node.is("Sub") || node.is("Mul")) ||
          sizeOf(node.getResult(0), -1) != part.out || !isFloat(node.getResult(0)) ||
          llvm::is_contained(ahead, node.getResult(0)))
        continue;
      ahead.push_back(node.getResult(0));
      Value ignored;
      if (node.is("Mul") || biasOf(node, part.out, facts, ignored))
        continue;
      auto sum = matchLinear(node.getResult(0), facts);
      if (!sum || !sum->nodes.contains(part.core) || sum->in != part.in)
        continue;
      if (adjust)
        adjust(*sum, facts);
      if (!sameRows(sum->input, part.input))
        continue;
      sum->core = part.core;
      found = LinearSum{node.getResult(0), std::move(*sum)};
    }
  return found;
}

Value raise::makeBias(OpBuilder &builder, Location loc, const Linear &linear, ArrayRef<Value> more,
                      int64_t start, int64_t size, int64_t step) {
  Value sum;
  auto add = [&](Value bias) {
    if (rankOf(bias) != 1)
      bias = makeReshape(builder, loc, bias, {sizeOf(bias, -1)});
    bias = makeSlice(builder, loc, bias, 0, start, size, step);
    sum = sum ? makeNode(builder, loc, "Add", {sum, makeCast(builder, loc, bias, elementOf(sum))},
                         sum.getType())
              : bias;
  };
  for (const Linear::Maker &bias : linear.biases)
    add(bias(builder));
  for (Value bias : more)
    add(bias);
  return sum;
}

//===----------------------------------------------------------------------===//
// Products of activations
//===----------------------------------------------------------------------===//

// An Einsum of two operands that is a batched product: "bhid,bhjd->bhij" (the second transposed)
// or "bhij,bhjd->bhid". None if it permutes, sums or repeats more than that.
static std::optional<bool> productOf(NodeOp einsum) {
  std::string equation;
  for (char c : einsum.string("equation", ""))
    if (c != ' ')
      equation += c;
  auto [operands, result] = StringRef(equation).split("->");
  auto [a, b] = operands.split(',');
  size_t n = a.size();
  if (n < 3 || b.size() != n || result.size() != n || equation.find('.') != std::string::npos)
    return std::nullopt;
  StringRef batch = a.take_front(n - 2);
  if (!b.starts_with(batch) || !result.starts_with(batch))
    return std::nullopt;
  char i = a[n - 2], k = a[n - 1], j = result[n - 1];
  llvm::SmallDenseSet<char> letters(batch.begin(), batch.end());
  for (char c : {i, j, k})
    if (!letters.insert(c).second)
      return std::nullopt;
  if (result[n - 2] != i)
    return std::nullopt;
  if (b[n - 2] == j && b[n - 1] == k)
    return true;
  return b[n - 2] == k && b[n - 1] == j ? std::optional<bool>(false) : std::nullopt;
}

std::optional<Product> raise::matchProduct(Value value, Constants &facts) {
  auto node = value.getDefiningOp<NodeOp>();
  if (!node || node.getInputs().empty())
    return std::nullopt;
  Product product;
  product.core = node;
  auto activations = [&]() {
    return product.lhs && product.rhs && !facts.isConstant(product.lhs) &&
           !facts.isConstant(product.rhs);
  };
  if (node.is("MatMul") || node.isContrib("FusedMatMul")) {
    if (node.integer("transA", 0) || node.integer("transBatchA", 0) ||
        node.integer("transBatchB", 0))
      return std::nullopt;
    product.lhs = node.input(0);
    product.rhs = node.input(1);
    product.transposed = node.integer("transB", 0) != 0;
    product.alpha = node.real("alpha", 1.0);
    product.nodes.insert(node);
    return activations() ? std::optional(product) : std::nullopt;
  }
  if (node.is("Einsum")) {
    auto transposed = node.getInputs().size() == 2 ? productOf(node) : std::nullopt;
    if (!transposed)
      return std::nullopt;
    product.lhs = node.input(0);
    product.rhs = node.input(1);
    product.transposed = *transposed;
    product.nodes.insert(node);
    return activations() ? std::optional(product) : std::nullopt;
  }
  if (node.getOpType() == "DequantizeLinear" && node.input(0)) {
    auto inner = node.input(0).getDefiningOp<NodeOp>();
    if (!inner || !inner.is("QLinearMatMul") || inner.getInputs().size() < 8)
      return std::nullopt;
    product.nodes.insert(node);
    product.nodes.insert(inner);
    product.core = inner;
    product.lhs = unquantised(inner.input(0), product.nodes);
    product.rhs = unquantised(inner.input(3), product.nodes);
    return activations() ? std::optional(product) : std::nullopt;
  }
  if (node.isContrib("MatMulIntegerToFloat")) {
    product.nodes.insert(node);
    product.lhs = unquantised(node.input(0), product.nodes);
    product.rhs = unquantised(node.input(1), product.nodes);
    return activations() ? std::optional(product) : std::nullopt;
  }
  Value scales;
  if (NodeOp inner = integerProduct(value, scales, product.nodes)) {
    product.core = inner;
    product.lhs = unquantised(inner.input(0), product.nodes);
    product.rhs = unquantised(inner.input(1), product.nodes);
    if (auto mul = scales.getDefiningOp<NodeOp>())
      product.nodes.insert(mul);
    return activations() ? std::optional(product) : std::nullopt;
  }
  return std::nullopt;
}
