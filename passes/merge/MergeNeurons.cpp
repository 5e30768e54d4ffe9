// merge-neurons: neurons of a dense block that duplicate each other become one, whose row of the
// down matrix is the sum. Exact at tolerance 0; experts cut from one block are disjoint summands
// and must not be merged, neurons may.
#include "include/uoe/calibration/Merge.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/route/Route.h"

namespace uoe {
#define GEN_PASS_DEF_MERGENEURONSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct MergeNeuronsPass : uoe::impl::MergeNeuronsPassBase<MergeNeuronsPass> {
  using MergeNeuronsPassBase::MergeNeuronsPassBase;

  void runOnOperation() override {
    if (tolerance > 0 && profile.empty()) {
      getOperation().emitError("merge-neurons with a tolerance needs a profile");
      return signalPassFailure();
    }
    VisitOptions visit{"merge-neurons", profile, 1, false, "merging"};
    if (failed(visitBlocks(getOperation(), visit, [&](VisitedBlock &b) { return merge(b); })))
      signalPassFailure();
  }

  LogicalResult merge(VisitedBlock &block) {
    FfnOp ffn = block.op;
    calibration::CalibrationData inputs = block.data();
    calibration::MergeOptions options;
    options.tolerance = tolerance;
    calibration::MergePlan plan;
    if (calibration::Status status = calibration::mergeNeurons(
            block.weights.ffn, block.inputs ? &inputs : nullptr, options, plan);
        !status.ok())
      return ffn.emitError(block.name) << ": " << status.message;
    if (plan.merged.empty())
      return success();
    if (plan.kept.empty()) {
      ffn.emitRemark(block.name) << " is left as it is: none of its neurons does anything";
      return success();
    }
    OpBuilder builder(ffn);
    Location loc = ffn.getLoc();
    auto down = newMatrixLike(builder, getOperation(), block.name + ".merged.down",
                              {plan.down.rows, plan.down.cols}, plan.down.values, ffn.getDown(),
                              block.weights.ffn.down);
    if (failed(down))
      return failure();
    Value bias = ffn.getBiasDown();
    if (!plan.outputBias.empty()) {
      std::vector<float> sum = plan.outputBias;
      if (const float *own = block.weights.ffn.downBias)
        for (size_t j = 0; j < sum.size(); ++j)
          sum[j] += own[j];
      auto value = newWeight(builder, getOperation(), block.name + ".merged.bias",
                             {static_cast<int64_t>(sum.size())}, sum);
      if (failed(value))
        return failure();
      bias = *value;
    }
    auto merged = FfnOp::create(builder, loc, ffn.getOutput().getType(), ffn.getActivationAttr(),
                                ffn.getInput(), reorder(builder, loc, ffn.getUp(), plan.kept, 1),
                                reorder(builder, loc, ffn.getGate(), plan.kept, 1), *down,
                                reorder(builder, loc, ffn.getBiasUp(), plan.kept, 0),
                                reorder(builder, loc, ffn.getBiasGate(), plan.kept, 0), bias);
    merged.setFunctionAttr(ffn.getFunctionAttr());
    for (NamedAttribute attr : ffn->getDiscardableAttrs())
      merged->setAttr(attr.getName(), attr.getValue());
    merged->setAttr("uoe.merged",
                    builder.getI64IntegerAttr(static_cast<int64_t>(plan.merged.size())));
    merged->setAttr("uoe.multiply_adds", builder.getF64FloatAttr(block.denseWork()));
    merged->setAttr("uoe.error", builder.getF64FloatAttr(plan.error));
    removed += static_cast<int64_t>(plan.merged.size());
    ffn.getResult().replaceAllUsesWith(merged.getOutput());
    ffn.erase();
    return success();
  }
};

} // namespace
