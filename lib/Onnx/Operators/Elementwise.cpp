// Operators that work element by element, with broadcasting.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

using Contents = SmallVector<Dim>;

/// The same value under another name: contents and other kinds of values travel too.
LogicalResult sameValue(NodeContext &c) {
  if (!c.has(0))
    return success();
  c.contents(0); // makes them, so that the symbols are the operand's own
  c.out(0) = c.in(0);
  return success();
}

LogicalResult dropout(NodeContext &c) {
  c.setLike(0, 0);
  if (c.results() > 1)
    c.setLike(1, 0, c.version >= 10 || !c.version ? c.i1() : c.in(0).element);
  return success();
}

LogicalResult predicate(NodeContext &c) {
  c.setLike(0, 0, c.i1());
  return success();
}

template <typename F> LogicalResult unaryContents(NodeContext &c, F compute) {
  const Contents *contents = c.contents(0);
  if (!contents || !c.out(0).ranked)
    return success();
  Contents result;
  for (Dim x : *contents)
    result.push_back(compute(x));
  c.out(0).contents = std::move(result);
  return success();
}

LogicalResult neg(NodeContext &c) {
  c.setLike(0, 0);
  return unaryContents(c, [&](Dim x) { return c.dims.multiply(x, c.dim(-1)); });
}

LogicalResult abs(NodeContext &c) {
  c.setLike(0, 0);
  return unaryContents(c, [&](Dim x) { return c.dims.max(x, c.dims.multiply(x, c.dim(-1))); });
}

LogicalResult logicalNot(NodeContext &c) {
  c.setLike(0, 0, c.i1());
  return unaryContents(c, [&](Dim x) { return c.dims.subtract(c.dim(1), x); });
}

bool isInteger(Type type) {
  return type && type.isInteger() && !type.isInteger(1);
}

/// Sizes that were cast to floats, and bounds of them there (TensorFlow's exporter takes the ends
/// of slices through Max): as integers. None for other floats.
std::optional<Contents> countedInFloats(NodeContext &c, Value value, int depth = 0) {
  if (auto constant = dyn_cast_or_null<DenseFPElementsAttr>(c.analysis.constant(value))) {
    Contents result;
    if (constant.getNumElements() > kMaxContents)
      return std::nullopt;
    for (const APFloat &element : constant.getValues<APFloat>()) {
      APSInt integer(64, false);
      bool exact = false;
      if (element.convertToInteger(integer, APFloat::rmTowardZero, &exact) != APFloat::opOK)
        return std::nullopt;
      result.push_back(c.dim(integer.getSExtValue()));
    }
    return result;
  }
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  if (!node || depth > 2)
    return std::nullopt;
  if (node.is("Cast")) {
    const Contents *sizes = isInteger(c.analysis.facts(node.input(0)).element)
                                ? c.analysis.contents(node.input(0))
                                : nullptr;
    return sizes ? std::optional(*sizes) : std::nullopt;
  }
  if (!(node.is("Max") || node.is("Min")) || node.getInputs().size() != 2)
    return std::nullopt;
  auto a = countedInFloats(c, node.input(0), depth + 1),
       b = countedInFloats(c, node.input(1), depth + 1);
  if (!a || !b || a->size() != b->size())
    return std::nullopt;
  for (auto [x, y] : llvm::zip(*a, *b))
    x = node.is("Max") ? c.dims.max(x, y) : c.dims.min(x, y);
  return a;
}

LogicalResult castTo(NodeContext &c, Type to) {
  c.setLike(0, 0, to);
  Type from = c.in(0).element;
  if (!from || !to)
    return success();
  bool wide = to.isInteger(64) || to.isInteger(32);
  // Sizes are taken to fit 32 bits, as the exporters that narrow them do; nothing smaller is
  // followed.
  if ((isInteger(from) || from.isInteger(1)) && wide)
    return unaryContents(c, [](Dim x) { return x; });
  if (isa<FloatType>(from) && wide) {
    auto sizes = countedInFloats(c, c.node.input(0));
    auto count = c.in(0).count();
    if (sizes && count && *count == static_cast<int64_t>(sizes->size()))
      c.out(0).contents = std::move(*sizes);
    return success();
  }
  if (isInteger(from) && to.isInteger(1))
    return unaryContents(c, [&](Dim x) {
      auto zero = c.dims.equal(x, c.dim(0));
      return zero ? c.dim(*zero ? 0 : 1) : c.unknown();
    });
  return success();
}

LogicalResult cast(NodeContext &c) {
  return castTo(c, c.elementOf(c.node.integer("to", 0)));
}
LogicalResult castLike(NodeContext &c) {
  return castTo(c, c.in(1).element);
}

//===----------------------------------------------------------------------===//
// Binary and variadic
//===----------------------------------------------------------------------===//

/// The index into an operand of shape `shape` for each element of the broadcast result, for small
/// constant shapes.
SmallVector<int64_t> broadcastIndices(ArrayRef<Dim> shape, ArrayRef<Dim> result) {
  SmallVector<int64_t> indices = {0};
  int64_t stride = 1;
  SmallVector<int64_t> strides(result.size(), 0);
  for (size_t i = shape.size(); i-- > 0;) {
    if (!shape[i].is(1))
      strides[result.size() - shape.size() + i] = stride;
    stride *= *shape[i].constant();
  }
  for (size_t axis = 0; axis < result.size(); ++axis) {
    SmallVector<int64_t> next;
    for (int64_t base : indices)
      for (int64_t i = 0; i < *result[axis].constant(); ++i)
        next.push_back(base + i * strides[axis]);
    indices = std::move(next);
  }
  return indices;
}

/// Applies `compute` to the operands' elements where all are small integer tensors. A null Dim
/// gives a fresh symbol.
template <typename F>
void broadcastContents(NodeContext &c, ArrayRef<unsigned> operands, F compute) {
  auto count = c.out(0).count();
  if (!count || *count > kMaxContents || !c.out(0).element || !c.out(0).element.isInteger())
    return;
  SmallVector<const Contents *> inputs;
  SmallVector<SmallVector<int64_t>> indices;
  for (unsigned i : operands) {
    const Contents *contents = c.contents(i);
    if (!contents)
      return;
    inputs.push_back(contents);
    indices.push_back(broadcastIndices(c.in(i).dims, c.out(0).dims));
  }
  Contents result;
  for (int64_t i = 0; i < *count; ++i) {
    SmallVector<Dim, 3> arguments;
    for (size_t j = 0; j < inputs.size(); ++j)
      arguments.push_back((*inputs[j])[indices[j][i]]);
    Dim value = compute(arguments);
    if (!value)
      return;
    result.push_back(value);
  }
  c.out(0).contents = std::move(result);
}

using Arguments = ArrayRef<Dim>;

template <typename F> LogicalResult binary(NodeContext &c, Type element, F compute) {
  // Before opset 7, broadcasting was an attribute and the result had the first operand's shape.
  if (c.version && c.version < 7) {
    c.setLike(0, 0, element);
    return success();
  }
  if (failed(c.broadcastOperands(0, 2, element)))
    return failure();
  broadcastContents(c, {0, 1}, compute);
  return success();
}

LogicalResult add(NodeContext &c) {
  return binary(c, c.in(0).element, [&](Arguments x) { return c.dims.add(x[0], x[1]); });
}
LogicalResult sub(NodeContext &c) {
  return binary(c, c.in(0).element, [&](Arguments x) { return c.dims.subtract(x[0], x[1]); });
}
LogicalResult mul(NodeContext &c) {
  return binary(c, c.in(0).element, [&](Arguments x) { return c.dims.multiply(x[0], x[1]); });
}
LogicalResult div(NodeContext &c) {
  return binary(c, c.in(0).element, [&](Arguments x) -> Dim {
    if (x[1].is(0))
      return {};
    if (Dim exact = c.dims.exactDiv(x[0], x[1]))
      return exact;
    // ONNX divides integers towards zero; with operands of known sign that is the floor.
    auto a = x[0].constant(), b = x[1].constant();
    if (a && b && !(*a == INT64_MIN && *b == -1))
      return c.dim(*a / *b);
    return c.dims.isNonNegative(x[0]) && c.dims.isNonNegative(x[1]) ? c.dims.floorDiv(x[0], x[1])
                                                                    : Dim();
  });
}
LogicalResult mod(NodeContext &c) {
  bool fmod = c.node.integer("fmod", 0) != 0;
  return binary(c, c.in(0).element, [&](Arguments x) -> Dim {
    if (x[1].is(0) || (fmod && !(c.dims.isNonNegative(x[0]) && c.dims.isNonNegative(x[1]))))
      return {};
    return c.dims.mod(x[0], x[1]);
  });
}
LogicalResult plainBinary(NodeContext &c) {
  return binary(c, c.in(0).element, [](Arguments) { return Dim(); });
}

template <typename F> LogicalResult comparison(NodeContext &c, F compare) {
  return binary(c, c.i1(), [&](Arguments x) -> Dim {
    std::optional<bool> result = compare(x[0], x[1]);
    return result ? c.dim(*result) : c.unknown();
  });
}
LogicalResult equal(NodeContext &c) {
  return comparison(c, [&](Dim a, Dim b) { return c.dims.equal(a, b); });
}
LogicalResult less(NodeContext &c) {
  return comparison(c, [&](Dim a, Dim b) { return c.dims.less(a, b); });
}
LogicalResult greater(NodeContext &c) {
  return comparison(c, [&](Dim a, Dim b) { return c.dims.less(b, a); });
}
std::optional<bool> inverse(std::optional<bool> x) {
  return x ? std::optional<bool>(!*x) : std::nullopt;
}
LogicalResult lessOrEqual(NodeContext &c) {
  return comparison(c, [&](Dim a, Dim b) { return inverse(c.dims.less(b, a)); });
}
LogicalResult greaterOrEqual(NodeContext &c) {
  return comparison(c, [&](Dim a, Dim b) { return inverse(c.dims.less(a, b)); });
}

LogicalResult logicalAnd(NodeContext &c) {
  return binary(c, c.i1(), [&](Arguments x) { return c.dims.multiply(x[0], x[1]); });
}
LogicalResult logicalOr(NodeContext &c) {
  return binary(c, c.i1(), [&](Arguments x) {
    if (x[0].is(1) || x[1].is(0))
      return x[0];
    return x[1].is(1) || x[0].is(0) ? x[1] : c.unknown();
  });
}
LogicalResult logicalXor(NodeContext &c) {
  return binary(c, c.i1(), [&](Arguments) { return c.unknown(); });
}

LogicalResult variadic(NodeContext &c) {
  return c.broadcastOperands(0, c.count(), c.in(0).element);
}
template <Dim (DimTable::*combine)(Dim, Dim)> LogicalResult extremum(NodeContext &c) {
  if (failed(variadic(c)))
    return failure();
  SmallVector<unsigned> operands = llvm::to_vector(llvm::seq<unsigned>(0, c.count()));
  broadcastContents(c, operands, [&](Arguments x) {
    Dim result = x[0];
    for (Dim next : x.drop_front())
      result = (c.dims.*combine)(result, next);
    return result;
  });
  return success();
}

LogicalResult where(NodeContext &c) {
  if (failed(c.broadcastOperands(0, 3, c.in(1).element ? c.in(1).element : c.in(2).element)))
    return failure();
  broadcastContents(c, {0, 1, 2}, [&](Arguments x) {
    if (x[0].isConstant())
      return x[0].is(0) ? x[2] : x[1];
    return x[1] == x[2] ? x[1] : c.dims.anonymous(false);
  });
  return success();
}

LogicalResult clip(NodeContext &c) {
  c.setLike(0, 0);
  const Contents *low = c.contents(1), *high = c.contents(2);
  if ((c.has(1) && (!low || low->size() != 1)) || (c.has(2) && (!high || high->size() != 1)))
    return success();
  return unaryContents(c, [&](Dim x) {
    x = low ? c.dims.max(x, (*low)[0]) : x;
    return high ? c.dims.min(x, (*high)[0]) : x;
  });
}

LogicalResult random(NodeContext &c) {
  int64_t dtype = c.node.integer("dtype", 0);
  c.setLike(0, 0, dtype ? c.elementOf(dtype) : c.in(0).element);
  return success();
}
LogicalResult randomShape(NodeContext &c) {
  SmallVector<Dim> shape;
  for (int64_t size : c.list("shape").value_or(SmallVector<int64_t>()))
    shape.push_back(c.dim(size));
  c.set(0, c.elementOf(c.node.integer("dtype", 1)), shape);
  return success();
}

} // namespace

void uoe::onnx::addElementwise(OperatorTable &table) {
  for (const char *name : {"Acos",
                           "Acosh",
                           "Asin",
                           "Asinh",
                           "Atan",
                           "Atanh",
                           "BitwiseNot",
                           "Ceil",
                           "Celu",
                           "Cos",
                           "Cosh",
                           "Elu",
                           "Erf",
                           "Exp",
                           "Floor",
                           "Gelu",
                           "HardSigmoid",
                           "HardSwish",
                           "LeakyRelu",
                           "Log",
                           "Mish",
                           "Reciprocal",
                           "Relu",
                           "Round",
                           "Selu",
                           "Shrink",
                           "Sigmoid",
                           "Sign",
                           "Sin",
                           "Sinh",
                           "Softplus",
                           "Softsign",
                           "Sqrt",
                           "Swish",
                           "Tan",
                           "Tanh",
                           "ThresholdedRelu",
                           "Affine",
                           "ParametricSoftplus",
                           "ScaledTanh",
                           "PRelu",
                           "Hardmax",
                           "Softmax",
                           "LogSoftmax",
                           "CumSum",
                           "CumProd",
                           "Trilu",
                           "TensorScatter"})
    table.add(name, likeFirst);
  for (const char *name : {"Gelu", "FastGelu", "BiasGelu", "QuickGelu", "BiasSoftmax",
                           "BiasDropout", "Rfft", "Inverse", "Trilu", "Irfft", "BiasAdd"})
    table.addContrib(name, name == StringRef("BiasDropout") ? dropout : likeFirst);
  table.add("Identity", sameValue);
  table.add("Dropout", dropout, "", /*deterministic=*/false);
  table.add("Neg", neg);
  table.add("Abs", abs);
  table.add("Not", logicalNot);
  table.add("IsNaN", predicate);
  table.add("IsInf", predicate);
  table.addContrib("IsAllFinite", [](NodeContext &c) {
    c.set(0, c.i1(), {});
    return success();
  });
  table.add("Cast", cast);
  table.add("CastLike", castLike);
  table.add("BitCast", cast);
  table.add("Add", add);
  table.add("Sub", sub);
  table.add("Mul", mul);
  table.add("Div", div);
  table.add("Mod", mod);
  for (const char *name : {"Pow", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"})
    table.add(name, plainBinary);
  table.add("Equal", equal);
  table.add("Less", less);
  table.add("Greater", greater);
  table.add("LessOrEqual", lessOrEqual);
  table.add("GreaterOrEqual", greaterOrEqual);
  table.add("And", logicalAnd);
  table.add("Or", logicalOr);
  table.add("Xor", logicalXor);
  table.add("Sum", variadic);
  table.add("Mean", variadic);
  table.add("Max", extremum<&DimTable::max>);
  table.add("Min", extremum<&DimTable::min>);
  table.add("Where", where);
  table.add("Clip", clip);
  for (const char *name : {"RandomNormalLike", "RandomUniformLike", "Bernoulli"})
    table.add(name, random, "", /*deterministic=*/false);
  for (const char *name : {"RandomNormal", "RandomUniform"})
    table.add(name, randomShape, "", /*deterministic=*/false);
}
