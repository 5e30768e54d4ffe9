#include "passes/lower/Heads.h"
#include "lib/Onnx/Operators/Inference.h"

using namespace mlir;
using namespace uoe;

// The results that an addition adds up, in order; false if they are not all of experts that nothing
// else reads.
static bool collect(Value value, Heads &heads) {
  if (auto experts = value.getDefiningOp<ExpertsOp>()) {
    heads.experts.push_back(experts);
    return true;
  }
  auto add = value.getDefiningOp<onnx::NodeOp>();
  if (!add || !add.is("Add") || add.getInputs()[0].getType() != add.getInputs()[1].getType())
    return false;
  if (add != heads.join)
    heads.sums.push_back(add);
  return llvm::all_of(add.getInputs(), [&](Value v) { return v.hasOneUse() && collect(v, heads); });
}

// Its own rows alone decide a row's choice, and the scores are one product.
static bool standsAlone(Heads &heads, size_t head) {
  SelectOp select = heads.select(head);
  if (!select || select->getNumOperands() != 1 || select.hasCapacity() ||
      select.getRouting().getType().getTokens() != 1 ||
      (select.getNormalize() != NormalizeAxis::none &&
       select.getNormalize() != NormalizeAxis::experts))
    return false;
  ScoreOp score = heads.score(head);
  return score && score.getKind() == ScoreKind::linear && score.getOver() == Over::token &&
         !score.getPrevious() &&
         cast<RankedTensorType>(score.getWeights()[0].getType()).hasStaticShape();
}

static bool alike(Heads &heads, size_t head) {
  auto same = [](Operation *a, Operation *b) {
    return a->getAttrDictionary() == b->getAttrDictionary() &&
           llvm::equal(a->getOperandTypes(), b->getOperandTypes());
  };
  return same(heads.experts[0], heads.experts[head]) && same(heads.select(0), heads.select(head)) &&
         same(heads.score(0), heads.score(head)) &&
         heads.score(0).getInput() == heads.score(head).getInput();
}

Heads uoe::matchHeads(onnx::NodeOp join) {
  Heads heads;
  heads.join = join;
  bool concat = join.is("Concat");
  if (concat) {
    auto type = dyn_cast<RankedTensorType>(join.getResult(0).getType());
    int64_t axis = join.integer("axis", 0);
    if (!type || (axis != -1 && axis != type.getRank() - 1))
      return {};
    for (Value part : join.getInputs())
      if (!part.getDefiningOp<ExpertsOp>() || !part.hasOneUse() || !collect(part, heads))
        return {};
  } else if (!join.is("Add") || !collect(join.getResult(0), heads)) {
    return {};
  }
  if (heads.experts.size() < 2)
    return {};
  for (auto [i, experts] : llvm::enumerate(heads.experts)) {
    if (classify(experts) != ExpertBody::Product || experts.getSliced().size() != 1 ||
        experts.getAxes()[0] != (concat ? 1 : 0) || !experts.getRouting() || experts.getSlots() ||
        experts.getGathered() || experts.getSkip() || experts->getBlock() != join->getBlock() ||
        !standsAlone(heads, i) || !alike(heads, i))
      return {};
    if (concat && experts.getShared()[0] != heads.experts[0].getShared()[0])
      return {};
  }
  return heads;
}

// x, where head h reads Gather(x, h) along axis 1 of x [batch, heads, tokens, in].
static Value gatheredFrom(Heads &heads) {
  Value from;
  for (auto [i, experts] : llvm::enumerate(heads.experts)) {
    auto gather = experts.getShared()[0].getDefiningOp<onnx::NodeOp>();
    if (!gather || !gather.is("Gather") || gather.integer("axis", 0) != 1)
      return {};
    auto type = dyn_cast<RankedTensorType>(gather.getInputs()[0].getType());
    auto index = onnx::integersOf(onnx::constantOf(gather.getInputs()[1]));
    auto indexType = dyn_cast<RankedTensorType>(gather.getInputs()[1].getType());
    if (!type || type.getRank() != 4 ||
        type.getDimSize(1) != static_cast<int64_t>(heads.experts.size()) || !index || !indexType ||
        indexType.getRank() != 0 || index->front() != static_cast<int64_t>(i) ||
        (from && from != gather.getInputs()[0]))
      return {};
    from = gather.getInputs()[0];
  }
  return from;
}

Value uoe::joinInputs(NodeBuilder &b, Heads &heads) {
  SmallVector<Value> inputs;
  for (ExpertsOp experts : heads.experts)
    inputs.push_back(experts.getShared()[0]);
  auto type = cast<RankedTensorType>(inputs[0].getType());
  MLIRContext *context = type.getContext();
  SmallVector<int64_t> shape(type.getShape());
  const auto count = static_cast<int64_t>(inputs.size());
  Value from = gatheredFrom(heads), rows;
  if (!from) {
    rows = b.node("Concat", inputs, {b.attr("axis", -1)});
  } else {
    Value swapped = b.node("Transpose", {from},
                           {NamedAttribute(StringAttr::get(context, "perm"),
                                           DenseI64ArrayAttr::get(context, {0, 2, 1, 3}))});
    swapped.setType(
        RankedTensorType::get({shape[0], shape[1], count, shape[2]}, type.getElementType()));
    // A size of 0 is that of the operand.
    rows = b.node("Reshape", {swapped, b.ints({0, 0, count * shape[2]})});
  }
  shape.back() *= count;
  rows.setType(RankedTensorType::get(shape, type.getElementType()));
  return rows;
}
