// moe-to-experts: mixtures of experts that the model came with become routed experts, so that all
// that routes, merges and prunes applies to them. Exact but for the order of summation.
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/Lower.h"
#include "passes/raise/Match.h"

namespace uoe {
#define GEN_PASS_DEF_MOETOEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;

namespace {

struct MoeToExpertsPass : uoe::impl::MoeToExpertsPassBase<MoeToExpertsPass> {
  using MoeToExpertsPassBase::MoeToExpertsPassBase;

  void runOnOperation() override {
    SmallVector<MoeOp> blocks;
    getOperation().walk([&](MoeOp moe) { blocks.push_back(moe); });
    for (MoeOp moe : blocks) {
      std::string why = convert(moe);
      if (why.empty())
        ++converted;
      else
        moe.emitRemark(blockName(moe, "moe")) << " is left as it is: " << why;
    }
  }

  // Empty if it was converted, else what is missing.
  std::string convert(MoeOp moe) {
    if (!moe.getInput())
      return "how it is spelled says what it does, not its operands";
    auto type = [](Value value) { return dyn_cast<RankedTensorType>(value.getType()); };
    auto x = type(moe.getInput()), scores = type(moe.getScores()), up = type(moe.getUp()),
         down = type(moe.getDown()), y = type(moe.getOutput());
    if (!x || !scores || !y)
      return "the rank of its tokens, scores or result is not known";
    if (!up || !down || !up.hasStaticShape() || !down.hasStaticShape())
      return "the shape of its weights is not known";
    if (x.getRank() < 1 || y.getRank() != x.getRank())
      return "its result has another rank than its tokens";
    OpBuilder builder(moe);
    Location loc = moe.getLoc();
    int64_t experts = up.getDimSize(0), neurons = experts * up.getDimSize(2);

    auto select = SelectOp::create(
        builder, loc, RoutingType::get(&getContext(), experts), Rule::token_topk,
        scoresOf(builder, loc, moe.getScores(), scores, moe.getInput(), x, experts));
    setChoice(select, moe);

    // The experts' neurons side by side are one block, cut into experts.
    auto vector = [&](Value bias) {
      return bias ? makeReshape(builder, loc, bias, {neurons}) : bias;
    };
    auto block =
        FfnOp::create(builder, loc, y, moe.getActivationAttr(), moe.getInput(),
                      columns(builder, loc, moe.getUp()),
                      moe.getGate() ? columns(builder, loc, moe.getGate()) : Value(),
                      makeReshape(builder, loc, moe.getDown(), {neurons, down.getDimSize(2)}),
                      vector(moe.getBiasUp()), vector(moe.getBiasGate()), Value());
    block.setLimitAttr(moe.getLimitAttr());
    block.setUpOffset(moe.getUpOffset());
    SmallVector<int64_t> sizes(experts, up.getDimSize(2));
    FailureOr<ExpertsOp> split =
        splitFfn(builder, block, {}, sizes, select.getRouting(), Value(), Value());
    block.erase();
    if (failed(split))
      return "it cannot be split";
    for (StringRef kept : {"name", "layer", "uoe.keep"})
      if (Attribute value = moe->getAttr(kept))
        (*split)->setAttr(kept, value);
    double work =
        static_cast<double>(up.getNumElements() * (moe.getGate() ? 2 : 1) + down.getNumElements());
    (*split)->setAttr("uoe.mixture", builder.getUnitAttr());
    (*split)->setAttr("uoe.recipe", builder.getStringAttr("mixture"));
    (*split)->setAttr("uoe.multiply_adds", builder.getF64FloatAttr(work));
    (*split)->setAttr("uoe.cost", builder.getF64FloatAttr(static_cast<double>(moe.getK()) /
                                                          static_cast<double>(experts)));
    Value result = split->getOutput();
    if (moe.getBiasDown())
      result = makeNode(
          builder, loc, "Add",
          {result, weightedRows(builder, loc, moe.getBiasDown(), select.getRouting(), y)}, y);
    moe.getOutput().replaceAllUsesWith(result);
    moe.erase();
    return {};
  }

  // [E, d, F] as [d, E·F]. Matrices that lie as [E, F, d] keep their order in memory.
  static Value columns(OpBuilder &builder, Location loc, Value stack) {
    auto type = cast<RankedTensorType>(stack.getType());
    int64_t experts = type.getDimSize(0), d = type.getDimSize(1), f = type.getDimSize(2);
    auto node = stack.getDefiningOp<onnx::NodeOp>();
    auto perm = node && node.is("Transpose")
                    ? dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"))
                    : DenseI64ArrayAttr();
    if (perm && perm.asArrayRef() == ArrayRef<int64_t>{0, 2, 1})
      return makeTranspose(builder, loc, makeReshape(builder, loc, node.input(0), {experts * f, d}),
                           {1, 0});
    return makeReshape(builder, loc, makeTranspose(builder, loc, stack, {1, 0, 2}),
                       {d, experts * f});
  }

  // The scores with one row for each of x's: the router may have seen the tokens in another shape.
  static Value scoresOf(OpBuilder &builder, Location loc, Value scores, RankedTensorType type,
                        Value x, RankedTensorType xType, int64_t experts) {
    if (type.getRank() == xType.getRank())
      return scores;
    auto i64 = builder.getI64Type();
    auto vector = [&](int64_t n) { return RankedTensorType::get({n}, i64); };
    auto ints = [&](int64_t value) { return makeIntegers(builder, loc, {value}); };
    int64_t rank = xType.getRank();
    Value shape = makeNode(builder, loc, "Shape", {x}, vector(rank));
    Value rows = makeNode(builder, loc, "Slice", {shape, ints(0), ints(rank - 1), ints(0), ints(1)},
                          vector(rank - 1));
    Value all = makeNode(builder, loc, "Concat", {rows, ints(experts)}, vector(rank),
                         {builder.getNamedAttr("axis", builder.getI64IntegerAttr(0))});
    SmallVector<int64_t> dims(xType.getShape());
    dims.back() = experts;
    // A sequence without tokens has a 0 in the shape, which means itself.
    SmallVector<NamedAttribute> attrs;
    if (onnx::opsetOf(builder.getInsertionBlock()->getParentOp()) >= 14)
      attrs.push_back(builder.getNamedAttr("allowzero", builder.getI64IntegerAttr(1)));
    return makeNode(builder, loc, "Reshape", {scores, all},
                    RankedTensorType::get(dims, type.getElementType()), attrs);
  }

  // Σ_e weight_e · rows_e: the biases of the chosen experts.
  static Value weightedRows(OpBuilder &builder, Location loc, Value rows, Value routing,
                            RankedTensorType result) {
    auto type = cast<RankedTensorType>(rows.getType());
    SmallVector<int64_t> sizes(type.getDimSize(0), 1), axes{0};
    auto experts = ExpertsOp::create(builder, loc, result, ValueRange{}, ValueRange{rows}, routing,
                                     Value(), axes, sizes, Combine::merge);
    Block *body = new Block;
    experts.getBody().push_back(body);
    Value row = body->addArgument(
        RankedTensorType::get({1, type.getDimSize(1)}, type.getElementType()), loc);
    OpBuilder inner = OpBuilder::atBlockEnd(body);
    YieldOp::create(inner, loc, makeReshape(inner, loc, row, {type.getDimSize(1)}));
    return experts.getOutput();
  }
};

} // namespace
