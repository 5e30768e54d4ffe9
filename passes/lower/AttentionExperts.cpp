#include "passes/lower/AttentionExperts.h"
#include "lib/Onnx/Operators/Inference.h"
#include "passes/raise/Match.h"

using namespace mlir;
using namespace uoe;
using onnx::NodeOp;

namespace {

class Matcher {
public:
  explicit Matcher(ExpertsOp op) : op(op), body(op.getBody().front()) {}

  AttentionExperts match() {
    if (!op.getGathered() || op.getSlots() || !op.getRouting() || !llvm::all_equal(op.getSizes()))
      return {};
    auto product = nodeOf(body.getTerminator()->getOperand(0), "MatMul");
    if (!product || !weight(product.getInputs()[1], 0, 2, found.o))
      return {};
    auto attention = mergedHeads(product.getInputs()[0]).getDefiningOp<AttentionOp>();
    if (!attention || !attention.getQuery() || attention->getNumResults() != 1 ||
        !attention.getSpelling().empty())
      return {};
    found.attention = attention;
    Value q = scaled(attention.getQuery()), k = scaled(attention.getKey());
    if (!rotation(q, k) || !projection(q, found.q, found.biasQ, found.heads) ||
        !projection(k, found.k, found.biasK, found.kvHeads) || !values(attention.getValue()))
      return {};
    if (Value bias = attention.getBias(); bias && !biases(bias))
      return {};
    return seesNoBlanks() ? found : AttentionExperts();
  }

private:
  static NodeOp nodeOf(Value value, StringRef name) {
    auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
    return node && node.is(name) ? node : NodeOp();
  }
  static int64_t dim(Value value, int64_t axis) {
    return cast<RankedTensorType>(value.getType()).getDimSize(axis);
  }
  static SmallVector<int64_t> integers(Value value) {
    return onnx::integersOf(onnx::constantOf(value)).value_or(SmallVector<int64_t>());
  }
  bool isShared(Value value) {
    auto arg = dyn_cast<BlockArgument>(value);
    return arg && arg.getOwner() == &body && arg.getArgNumber() < op.getShared().size();
  }
  Value shared(Value value) {
    return isShared(value) ? op.getShared()[cast<BlockArgument>(value).getArgNumber()] : Value();
  }
  bool isPair(Value arg) { return op.isPair(cast<BlockArgument>(arg).getArgNumber()); }

  // The operand behind an expert's matrix (rank 2) or bias (rank 1): cut along `axis` as it lies,
  // or along the groups that a reshaping in front of it set apart.
  bool weight(Value value, int64_t axis, int64_t rank, Value &operand) {
    auto reshape = nodeOf(value, "Reshape");
    auto arg = dyn_cast<BlockArgument>(reshape ? reshape.getInputs()[0] : value);
    if (!arg || arg.getOwner() != &body || raise::rankOf(value) != rank)
      return false;
    int64_t i = static_cast<int64_t>(arg.getArgNumber() - op.getShared().size());
    if (i < 0 || i >= static_cast<int64_t>(op.getSliced().size()) || op.getAxes()[i] != axis ||
        raise::rankOf(arg) != rank + (reshape ? 1 : 0))
      return false;
    // A group and what it holds become one dimension again, the other one stays.
    auto part = cast<RankedTensorType>(arg.getType());
    if (reshape && rank == 2 && axis == 1 && dim(value, 0) != part.getDimSize(0))
      return false;
    if (reshape && rank == 2 && axis == 0 && dim(value, 1) != part.getDimSize(2))
      return false;
    operand = op.getSliced()[i];
    return part.hasStaticShape() && cast<RankedTensorType>(operand.getType()).hasStaticShape();
  }

  // [batch, heads, places, size] back to rows.
  Value mergedHeads(Value rows) {
    if (auto squeeze = nodeOf(rows, "Squeeze"))
      return squeeze.getInputs().size() == 2 &&
                     integers(squeeze.getInputs()[1]) == ArrayRef<int64_t>{1}
                 ? squeeze.getInputs()[0]
                 : Value();
    auto reshape = nodeOf(rows, "Reshape");
    auto transpose = reshape ? nodeOf(reshape.getInputs()[0], "Transpose") : NodeOp();
    if (!transpose || !keepsTwo(reshape) || raise::rankOf(rows) != 3 || !swapsHeads(transpose))
      return {};
    return transpose.getInputs()[0];
  }
  static bool keepsTwo(NodeOp reshape) {
    SmallVector<int64_t> shape = integers(reshape.getInputs()[1]);
    return shape.size() > 2 && shape[0] == 0 && shape[1] == 0 &&
           reshape.integer("allowzero", 0) == 0;
  }

  bool rotation(Value &q, Value &k) {
    auto rotate = nodeOf(q, "RotaryEmbedding"), other = nodeOf(k, "RotaryEmbedding");
    if (!rotate && !other)
      return true;
    auto alike = [&](StringRef name) { return rotate.integer(name, 0) == other.integer(name, 0); };
    if (!rotate || !other || rotate.getInputs().size() != 3 || other.getInputs().size() != 3 ||
        !alike("interleaved") || !alike("rotary_embedding_dim"))
      return false;
    for (unsigned i : {1, 2})
      if (rotate.getInputs()[i] != other.getInputs()[i] || !isShared(rotate.getInputs()[i]) ||
          isPair(rotate.getInputs()[i]) || raise::rankOf(rotate.getInputs()[i]) != 3)
        return false;
    found.compactedTables = isCompacted(rotate.getInputs()[1]);
    found.cosines = shared(rotate.getInputs()[1]);
    found.sines = shared(rotate.getInputs()[2]);
    found.interleaved = rotate.integer("interleaved", 0) != 0;
    found.rotated = rotate.integer("rotary_embedding_dim", 0);
    q = scaled(rotate.getInputs()[0]);
    k = scaled(other.getInputs()[0]);
    return isCompacted(rotate.getInputs()[1]) == isCompacted(rotate.getInputs()[2]);
  }
  bool isCompacted(Value arg) { return op.isCompacted(cast<BlockArgument>(arg).getArgNumber()); }

  // Queries or keys without the number that they are multiplied by, which scores are as well.
  Value scaled(Value value) {
    while (NodeOp mul = nodeOf(value, "Mul")) {
      std::optional<unsigned> by;
      for (unsigned i : {0, 1})
        if (auto number =
                dyn_cast_or_null<DenseFPElementsAttr>(onnx::constantOf(mul.getInputs()[i]));
            number && number.getNumElements() == 1 && number.getElementType().isF32() &&
            raise::rankOf(mul.getInputs()[i]) <= 1) {
          found.scale *= number.getValues<APFloat>()[0].convertToFloat();
          by = i;
          break;
        }
      if (!by)
        break;
      value = mul.getInputs()[1 - *by];
    }
    return value;
  }

  // Heads of a product of the tokens with a matrix, with a bias or without.
  bool projection(Value value, Value &matrix, Value &bias, int64_t &heads, bool isScored = true) {
    if (raise::rankOf(value) != 4 || ShapedType::isDynamic(dim(value, 1)))
      return false;
    heads = dim(value, 1);
    auto without = [&](Value v) { return isScored ? scaled(v) : v; };
    Value rows;
    if (auto unsqueeze = nodeOf(value, "Unsqueeze"))
      rows = integers(unsqueeze.getInputs()[1]) == ArrayRef<int64_t>{1} ? unsqueeze.getInputs()[0]
                                                                        : Value();
    else if (auto transpose = nodeOf(value, "Transpose"); transpose && swapsHeads(transpose))
      if (auto reshape = nodeOf(without(transpose.getInputs()[0]), "Reshape");
          reshape && keepsTwo(reshape))
        rows = without(reshape.getInputs()[0]);
    if (!rows || raise::rankOf(rows) != 3)
      return false;
    if (auto add = nodeOf(rows, "Add")) {
      bool first = nodeOf(add.getInputs()[0], "MatMul") != nullptr;
      if (!weight(add.getInputs()[first ? 1 : 0], 0, 1, bias))
        return false;
      rows = add.getInputs()[first ? 0 : 1];
    }
    auto product = nodeOf(rows, "MatMul");
    if (!product || !isShared(product.getInputs()[0]) || isPair(product.getInputs()[0]) ||
        raise::rankOf(product.getInputs()[0]) != 3 || isCompacted(product.getInputs()[0]))
      return false;
    Value x = shared(product.getInputs()[0]);
    if (found.x && found.x != x)
      return false;
    found.x = x;
    return weight(product.getInputs()[1], 1, 2, matrix);
  }
  bool values(Value value) {
    int64_t heads = 0;
    return projection(value, found.v, found.biasV, heads, /*isScored=*/false) &&
           heads == found.kvHeads;
  }

  // Flags of valid places, a mask that is gathered with the tokens, or both.
  bool biases(Value value) {
    if (auto node = nodeOf(value, "And"))
      return biases(node.getInputs()[0]) && biases(node.getInputs()[1]);
    if (auto node = nodeOf(value, "Where")) {
      auto hidden = dyn_cast_or_null<DenseFPElementsAttr>(onnx::constantOf(node.getInputs()[2]));
      return hidden && hidden.isSplat() && hidden.getSplatValue<APFloat>().isInfinity() &&
             hidden.getSplatValue<APFloat>().isNegative() && isValidPlaces(node.getInputs()[0]) &&
             biases(node.getInputs()[1]);
    }
    if (isValidPlaces(value))
      return true;
    auto unsqueeze = nodeOf(value, "Unsqueeze");
    if (!unsqueeze || !isShared(unsqueeze.getInputs()[0]) || found.bias)
      return false;
    Value arg = unsqueeze.getInputs()[0];
    SmallVector<int64_t> axes = integers(unsqueeze.getInputs()[1]);
    found.bias = shared(arg);
    found.compactedBias = isCompacted(arg);
    return isPair(arg) ? raise::rankOf(arg) == 3 && axes == ArrayRef<int64_t>{1}
                       : raise::rankOf(arg) == 2 && axes == ArrayRef<int64_t>{1, 2};
  }
  bool isValidPlaces(Value value) {
    auto unsqueeze = nodeOf(value, "Unsqueeze");
    bool is = op.takesValid() && unsqueeze &&
              unsqueeze.getInputs()[0] == body.getArguments().back() &&
              integers(unsqueeze.getInputs()[1]) == ArrayRef<int64_t>{1, 2};
    hidesBlanks |= is;
    return is;
  }
  // Blank places come last: they are hidden, or no token sees what follows it, or there are none.
  bool seesNoBlanks() {
    auto select = op.getRouting().getDefiningOp<SelectOp>();
    return hidesBlanks || found.attention.getCausal() ||
           (select && select.getPadding() == Padding::token && !select.getWithin());
  }

  ExpertsOp op;
  Block &body;
  AttentionExperts found;
  bool hidesBlanks = false;
};

} // namespace

AttentionExperts uoe::matchAttentionExperts(ExpertsOp experts) {
  return Matcher(experts).match();
}
