// lower-experts-to-gather: routed feed-forward experts in standard operators that compute only what
// was chosen: each expert gathers its tokens, multiplies them and adds its results where they
// belong.
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/ExpertsExport.h"

namespace uoe {
#define GEN_PASS_DEF_LOWEREXPERTSTOGATHERPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct LowerExpertsToGatherPass
    : uoe::impl::LowerExpertsToGatherPassBase<LowerExpertsToGatherPass> {
  using LowerExpertsToGatherPassBase::LowerExpertsToGatherPassBase;

  void runOnOperation() override {
    SmallVector<ExpertsOp> ops;
    getOperation().walk([&](ExpertsOp op) {
      if (op.getRouting() && classify(op) == ExpertBody::Ffn)
        ops.push_back(op);
    });
    for (ExpertsOp op : ops) {
      std::string why;
      if (lower(op, why))
        ++lowered;
      else
        emitRemark(op.getLoc()) << blockName(op, "experts") << " does not gather tokens: " << why;
    }
  }

  bool lower(ExpertsOp op, std::string &why) {
    std::optional<RoutedFfn> matched = matchRoutedFfn(op, why);
    if (!matched)
      return false;
    RoutedFfn &ffn = *matched;
    if (onnx::opsetOf(op) < 16) {
      why =
          ("ScatterND adds from opset 16 on, the model imports " + Twine(onnx::opsetOf(op))).str();
      return false;
    }
    if (ffn.experts() > maxExperts) {
      why = (Twine(ffn.experts()) + " experts are more than " + Twine(maxExperts)).str();
      return false;
    }
    OpBuilder builder(op);
    NodeBuilder b(builder, op.getLoc(), onnx::opsetOf(op));
    Type element = elementTypeOf(ffn.x), i64 = builder.getI64Type();
    auto perm = [&](ArrayRef<int64_t> order) {
      return NamedAttribute(builder.getStringAttr("perm"),
                            DenseI64ArrayAttr::get(builder.getContext(), order));
    };
    auto byExpert = [&](Value routing) { // [experts, tokens]
      Value rows = b.node("Reshape", {routing, b.ints({-1, ffn.experts()})});
      return b.node("Transpose", {rows}, {perm({1, 0})});
    };
    bool flat = cast<RankedTensorType>(ffn.x.getType()).getRank() == 2;
    Value x = flat ? ffn.x : b.node("Reshape", {ffn.x, b.ints({-1, ffn.inputs})});
    Value chosen = routingTensor(builder, ffn, true), takers = byExpert(chosen),
          weights = ffn.unit() ? Value() : byExpert(routingTensor(builder, ffn, false));
    Value y;
    if (Value skipped = skippedRows(b, ffn, chosen)) {
      y = b.node("Reshape", {skipped, b.ints({-1, ffn.outputs})});
    } else {
      Value tokens = b.node("Shape", {x}, {b.attr("end", 1)}, i64);
      Value shape = b.node("Concat", {tokens, b.ints({ffn.outputs})}, {b.attr("axis", 0)}, i64);
      auto zero = DenseElementsAttr::get(RankedTensorType::get({1}, element),
                                         Attribute(builder.getFloatAttr(element, 0.0)));
      y = b.node("ConstantOfShape", {shape}, {builder.getNamedAttr("value", zero)}, element);
    }
    for (int64_t e = 0, begin = 0; e < ffn.experts(); begin += op.getSizes()[e++]) {
      int64_t end = begin + op.getSizes()[e];
      auto part = [&](Value value, int64_t axis) {
        return value ? b.slice(value, axis, begin, end) : value;
      };
      Value mine = b.node("Gather", {takers, b.scalarInt(e)}, {b.attr("axis", 0)});
      Value tokens = b.node("Transpose", {b.node("NonZero", {mine}, {}, i64)}, {perm({1, 0})}, i64);
      Value rows = b.node("GatherND", {x, tokens});
      Value h = b.biased(b.matmul(rows, part(ffn.up, 1)), part(ffn.biasUp, 0));
      if (ffn.gate) {
        Value g = b.biased(b.matmul(rows, part(ffn.gate, 1)), part(ffn.biasGate, 0));
        h = b.gated(ffn.body.getActivation(), g, h, ffn.body.getLimit(), ffn.body.getUpOffset(),
                    ffn.body.getFunctionAttr());
      } else {
        h = b.activation(ffn.body.getActivation(), h, ffn.body.getFunctionAttr());
      }
      Value result = b.matmul(h, part(ffn.down, 0));
      if (weights) {
        Value all = b.node("Gather", {weights, b.scalarInt(e)}, {b.attr("axis", 0)});
        Value own = b.node("Unsqueeze", {b.node("GatherND", {all, tokens}), b.ints({1})});
        result = b.mul(result, own);
      }
      y = b.node("ScatterND", {y, tokens, result},
                 {builder.getNamedAttr("reduction", builder.getStringAttr("add"))});
    }
    if (!flat) {
      Value shape = b.node("Shape", {ffn.x}, {b.attr("end", -1)}, i64);
      shape = b.node("Concat", {shape, b.ints({ffn.outputs})}, {b.attr("axis", 0)}, i64);
      y = b.reshapeTo(y, shape);
    }
    replaceExperts(ffn, y);
    return true;
  }
};

} // namespace
