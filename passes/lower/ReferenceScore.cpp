// Scores in ONNX operators.
#include "passes/lower/Reference.h"
#include "passes/raise/Match.h"

using namespace mlir;
using namespace uoe;

static Type integer(Value like, unsigned width) {
  return IntegerType::get(like.getContext(), width);
}

Value reference::reduce(NodeBuilder &b, StringRef kind, Value x, int64_t axis, bool keep) {
  MLIRContext *context = x.getContext();
  bool operand = b.opset() >= (kind == "ReduceSum" ? 13 : 18);
  SmallVector<Value> operands{x};
  SmallVector<NamedAttribute> attrs{b.attr("keepdims", keep)};
  if (operand)
    operands.push_back(b.ints({axis}));
  else
    attrs.push_back({StringAttr::get(context, "axes"), DenseI64ArrayAttr::get(context, {axis})});
  return b.node(kind, operands, attrs);
}

Value reference::castTo(NodeBuilder &b, Value x, Type element) {
  // ONNX's TensorProto.DataType.
  int64_t to = element.isF32() ? 1 : element.isF16() ? 10 : element.isBF16() ? 16 : 11;
  if (element.isInteger(64))
    to = 7;
  return b.node("Cast", {x}, {b.attr("to", to)}, element);
}

Value reference::dimension(NodeBuilder &b, Value x, int64_t axis) {
  Value shape = b.node("Shape", {x}, {}, integer(x, 64));
  return b.node("Gather", {shape, b.ints({axis})}, {b.attr("axis", 0)});
}

// x scaled to length 1 along an axis; zero stays zero.
static Value unit(NodeBuilder &b, Value x, int64_t axis) {
  Value norm = reference::reduce(b, "ReduceL2", x, axis);
  Value zero = b.node("Equal", {norm, b.scalar(0, x)}, {}, integer(x, 1));
  return b.node("Div", {x, b.node("Where", {zero, b.scalar(1, x), norm}, {}, elementTypeOf(x))});
}

// [..., n·r] as [..., n, r]; the leading dimensions as they are.
static Value split(NodeBuilder &b, Value x, int64_t rank, int64_t n, int64_t r) {
  SmallVector<int64_t> shape(rank - 1, 0);
  shape.append({n, r});
  return b.node("Reshape", {x, b.ints(shape)});
}

// Sums of consecutive columns, by expert.
static Value sumBySizes(NodeBuilder &b, Value x, int64_t rank, ArrayRef<int64_t> sizes) {
  if (llvm::all_of(sizes, [](int64_t size) { return size == 1; }))
    return x;
  if (llvm::all_equal(sizes))
    return reference::reduce(b, "ReduceSum", split(b, x, rank, sizes.size(), sizes[0]), -1, false);
  SmallVector<Value> sums;
  int64_t begin = 0;
  for (int64_t size : sizes) {
    sums.push_back(reference::reduce(b, "ReduceSum", b.slice(x, -1, begin, begin + size), -1));
    begin += size;
  }
  return b.node("Concat", sums, {b.attr("axis", -1)});
}

// Means of the rows of patches of p tokens; the last patch may be short.
static Value patchMeans(NodeBuilder &b, Value s, int64_t rank, int64_t n, int64_t p) {
  Type i64 = integer(s, 64), element = elementTypeOf(s);
  Value length = reference::dimension(b, s, -2), patch = b.ints({p});
  Value missing = b.node("Mod", {b.node("Sub", {b.ints({0}), length}), patch}, {}, i64);
  SmallVector<int64_t> before(2 * rank - 2, 0);
  Value pads = b.node("Concat", {b.ints(before), missing, b.ints({0})}, {b.attr("axis", 0)}, i64);
  // Pads: the tokens' axis is last but one, so its end is the last but one entry.
  Value padded = b.node("Pad", {s, pads});
  // The number of patches is spelled out: an empty batch leaves nothing to infer it from.
  SmallVector<int64_t> outer(rank - 2, 0);
  Value patches = b.node("Div", {b.node("Add", {length, missing}, {}, i64), patch}, {}, i64);
  Value shape =
      b.node("Concat", {b.ints(outer), patches, b.ints({p, n})}, {b.attr("axis", 0)}, i64);
  Value sums = reference::reduce(b, "ReduceSum", b.node("Reshape", {padded, shape}), -2, false);
  Value starts =
      b.node("Range", {b.scalarInt(0), b.node("Squeeze", {length, b.ints({0})}), b.scalarInt(p)});
  Value counts = b.node("Min", {b.node("Sub", {length, starts}), patch});
  counts = b.node("Unsqueeze", {reference::castTo(b, counts, element), b.ints({1})});
  return b.node("Div", {sums, counts});
}

Value reference::score(NodeBuilder &b, ScoreOp op) {
  Value x = op.getInput();
  auto weights = op.getWeights();
  int64_t rank = raise::rankOf(x), n = op.getScores().getType().getShape().back();
  if (op.getOver() == Over::sample) {
    auto shape = cast<RankedTensorType>(x.getType()).getShape();
    SmallVector<int64_t> flat(rank - 2, 0);
    flat.push_back(shape[rank - 2] * shape[rank - 1]);
    x = b.node("Reshape", {x, b.ints(flat)});
    --rank;
  }
  auto act = [&](Value v) { return op.getActivation() ? b.activation(*op.getActivation(), v) : v; };
  Value s;
  switch (op.getKind()) {
  case ScoreKind::linear:
    s = b.matmul(x, weights[0]);
    break;
  case ScoreKind::magnitude:
    s = b.mul(b.node("Abs", {x}), weights[0]);
    break;
  case ScoreKind::cosine: {
    Value direction = weights.size() == 2 ? b.matmul(x, weights[0]) : x;
    s = b.matmul(unit(b, direction, -1), unit(b, weights.back(), 0));
    break;
  }
  case ScoreKind::mlp:
    s = b.matmul(act(b.add(b.matmul(x, weights[0]), weights[1])), weights[2]);
    break;
  case ScoreKind::mass:
    for (Value weight : weights) {
      int64_t columns = cast<RankedTensorType>(weight.getType()).getDimSize(1);
      Value norm =
          reduce(b, "ReduceL2", split(b, b.matmul(x, weight), rank, n, columns / n), -1, false);
      s = s ? b.mul(s, norm) : norm;
    }
    break;
  case ScoreKind::activation: {
    Value h = act(b.matmul(x, weights[0]));
    if (weights.size() == 2)
      h = b.mul(h, b.matmul(x, weights[1]));
    h = b.node("Abs", {h});
    s = op.getSizes() ? sumBySizes(b, h, rank, *op.getSizes()) : h;
    break;
  }
  }
  s = b.biased(s, op.getBias());
  if (op.getOver() == Over::patch)
    s = patchMeans(b, s, rank, n, static_cast<int64_t>(*op.getPatch()));
  else if (op.getOver() == Over::sample_mean)
    s = reduce(b, "ReduceMean", s, -2, false);
  if (op.getPrevious())
    s = b.add(s, b.matmul(op.getPrevious(), op.getMix()));
  return s;
}
