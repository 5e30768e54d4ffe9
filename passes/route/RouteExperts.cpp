// route-experts: a dense block becomes an always-on core and routed experts with a linear router
// and one threshold, everything from closed form on a profile (the numerics:
// lib/Calibration/README.md).
#include "include/uoe/calibration/Experts.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/raise/PackedMatrix.h"
#include "passes/route/Route.h"
#include <cmath>

namespace uoe {
#define GEN_PASS_DEF_ROUTEEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using calibration::ExpertPlan;

namespace {

struct RouteExpertsPass : uoe::impl::RouteExpertsPassBase<RouteExpertsPass> {
  using RouteExpertsPassBase::RouteExpertsPassBase;

  void runOnOperation() override {
    VisitOptions visit{"route-experts", profile, budget, true, "routing", true};
    if (failed(visitBlocks(getOperation(), visit, [&](VisitedBlock &b) { return route(b); })))
      signalPassFailure();
  }

  LogicalResult route(VisitedBlock &block) {
    calibration::ExpertOptions options;
    options.expertSize = expertSize;
    options.budget = block.ownBudget();
    options.distillSteps = distillSteps;
    ExpertPlan plan;
    if (calibration::Status status =
            calibration::calibrateExperts(block.weights.ffn, block.data(), options, plan);
        !status.ok())
      return block.op.emitError(block.name) << ": " << status.message;
    ++routed;
    return rewrite(block, plan);
  }

  LogicalResult rewrite(VisitedBlock &block, const ExpertPlan &plan) {
    FfnOp ffn = block.op;
    const std::string &name = block.name;
    ModuleOp module = getOperation();
    OpBuilder builder(ffn);
    Location loc = ffn.getLoc();
    auto xType = cast<RankedTensorType>(ffn.getInput().getType());
    int64_t d = plan.router.rows, experts = plan.experts(), outputs = plan.down.cols;
    bool ok = true;
    auto weight = [&](StringRef what, ArrayRef<int64_t> shape, ArrayRef<float> values) -> Value {
      auto value = newWeight(builder, module, name + "." + what.str(), shape, values);
      ok &= succeeded(value);
      return ok ? *value : Value();
    };
    // Rows of the down projection, which the refit changed. Beside packed matrices they take 8 bits
    // where experts are whole groups of 16 neurons, which share scales.
    const bool packed = matchPacked(ffn.getUp()) && expertSize % 16 == 0;
    auto downRows = [&](StringRef what, int64_t rows, ArrayRef<float> values) -> Value {
      const std::string full = name + "." + what.str();
      auto value = packed && rows % 16 == 0
                       ? newPackedMatrix(builder, module, full, rows, outputs, values)
                       : newMatrixLike(builder, module, full, {rows, outputs}, values,
                                       ffn.getDown(), block.weights.ffn.down);
      ok &= succeeded(value);
      return ok ? *value : Value();
    };
    ArrayRef<int64_t> order(plan.permutation);
    Value sum;
    auto plus = [&](Value value) { sum = sum ? binary(builder, loc, "Add", sum, value) : value; };
    if (plan.core > 0) {
      ArrayRef<int64_t> core = order.take_front(plan.core);
      Value down = downRows("core.down", plan.core,
                            ArrayRef(plan.down.values).take_front(plan.core * outputs));
      if (!ok)
        return failure();
      auto dense = FfnOp::create(builder, loc, ffn.getOutput().getType(), ffn.getActivationAttr(),
                                 ffn.getInput(), reorder(builder, loc, ffn.getUp(), core, 1),
                                 reorder(builder, loc, ffn.getGate(), core, 1), down,
                                 reorder(builder, loc, ffn.getBiasUp(), core, 0),
                                 reorder(builder, loc, ffn.getBiasGate(), core, 0), Value());
      dense.setFunctionAttr(ffn.getFunctionAttr());
      dense->setAttr("uoe.core", builder.getUnitAttr());
      plus(dense.getOutput());
    }
    if (experts > 0) {
      ArrayRef<int64_t> rest = order.drop_front(plan.core);
      Value router = weight("router", {d, experts}, plan.router.values);
      Value bias = weight("router.bias", {experts}, plan.routerBias);
      Value down = downRows("experts.down", static_cast<int64_t>(rest.size()),
                            ArrayRef(plan.down.values).drop_front(plan.core * outputs));
      Value skip =
          plan.skip.empty() ? Value() : weight("skip", {experts, outputs}, plan.skip.values);
      if (!ok)
        return failure();
      SmallVector<int64_t> scoreShape(xType.getShape());
      scoreShape.back() = experts;
      auto score =
          ScoreOp::create(builder, loc, RankedTensorType::get(scoreShape, xType.getElementType()),
                          ScoreKind::linear, ffn.getInput(), ValueRange{router}, bias);
      // The plan keeps scores at the threshold; the op keeps those above tau.
      float tau = std::nextafter(plan.threshold, -std::numeric_limits<float>::infinity());
      auto select = SelectOp::create(builder, loc, RoutingType::get(&getContext(), experts),
                                     Rule::threshold, score.getScores());
      select.setTauAttr(builder.getF32FloatAttr(tau));
      FailureOr<ExpertsOp> split =
          splitFfn(builder, ffn, rest, plan.expertSizes, select.getRouting(), skip, down);
      if (failed(split))
        return failure();
      annotate(*split, block, "experts", plan.cost, plan.error);
      (*split)->setAttr("uoe.core_size", builder.getI64IntegerAttr(plan.core));
      if (distillSteps > 0)
        (*split)->setAttr("uoe.distilled",
                          builder.getDenseF64ArrayAttr({plan.errorRouter, plan.errorDistilled}));
      (*split)->setAttr("uoe.active", builder.getF64FloatAttr(plan.activeShare));
      plus(split->getOutput());
    }
    if (!plan.linearIn.empty()) {
      Value in =
          weight("linear.in", {plan.linearIn.rows, plan.linearIn.cols}, plan.linearIn.values);
      Value out =
          weight("linear.out", {plan.linearOut.rows, plan.linearOut.cols}, plan.linearOut.values);
      if (!ok)
        return failure();
      SmallVector<int64_t> shape(xType.getShape());
      shape.back() = plan.linearIn.cols;
      Value low = binary(builder, loc, "MatMul", ffn.getInput(), in,
                         RankedTensorType::get(shape, xType.getElementType()));
      plus(binary(builder, loc, "MatMul", low, out, ffn.getOutput().getType()));
    }
    if (!plan.outputBias.empty()) {
      Value bias = weight("down.bias", {outputs}, plan.outputBias);
      if (!ok)
        return failure();
      plus(bias);
    }
    const Value matrices[] = {ffn.getUp(), ffn.getGate(), ffn.getDown()};
    ffn.getResult().replaceAllUsesWith(sum);
    ffn.erase();
    for (Value matrix : matrices)
      if (packed && matrix && matrix.getDefiningOp())
        eraseUnused(matrix.getDefiningOp());
    return success();
  }
};

} // namespace
