// merge-neurons: neurons of a dense block that duplicate each other become one, whose row of the
// down matrix is the sum. Exact at tolerance 0; experts cut from one block are disjoint summands
// and must not be merged, neurons may.
#include "include/uoe/calibration/Merge.h"
#include "lib/Conversion/Calibrate.h"
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
    std::shared_ptr<Profile> data;
    if (tolerance > 0) {
      std::string error;
      data = Profile::open(profile, error);
      if (!data) {
        getOperation().emitError("merge-neurons with a tolerance needs a profile: ") << error;
        return signalPassFailure();
      }
    }
    for (FfnOp ffn : routableBlocks(getOperation()))
      if (failed(merge(ffn, data.get())))
        return signalPassFailure();
  }

  LogicalResult merge(FfnOp ffn, const Profile *data) {
    std::string name = blockName(ffn, "ffn");
    WeightReader reader;
    FailureOr<BlockWeights> weights = loadWeights(ffn, reader);
    if (failed(weights))
      return failure();
    calibration::CalibrationData inputs;
    if (data) {
      inputs.inputs = data->tokens(inputProbe(name));
      if (!inputs.inputs) {
        ffn.emitRemark(name) << " is left as it is: the profile has no '" << inputProbe(name)
                             << "'";
        return success();
      }
    }
    calibration::MergeOptions options;
    options.tolerance = tolerance;
    calibration::MergePlan plan;
    if (calibration::Status status =
            calibration::mergeNeurons(weights->ffn, data ? &inputs : nullptr, options, plan);
        !status.ok())
      return ffn.emitError(name) << ": " << status.message;
    if (plan.merged.empty())
      return success();
    OpBuilder builder(ffn);
    Location loc = ffn.getLoc();
    auto down = newWeight(builder, getOperation(), name + ".merged.down",
                          {plan.down.rows, plan.down.cols}, plan.down.values);
    if (failed(down))
      return failure();
    auto merged =
        FfnOp::create(builder, loc, ffn.getOutput().getType(), ffn.getActivationAttr(),
                      ffn.getInput(), reorder(builder, loc, ffn.getUp(), plan.kept, 1),
                      reorder(builder, loc, ffn.getGate(), plan.kept, 1), *down,
                      reorder(builder, loc, ffn.getBiasUp(), plan.kept, 0),
                      reorder(builder, loc, ffn.getBiasGate(), plan.kept, 0), ffn.getBiasDown());
    for (NamedAttribute attr : ffn->getDiscardableAttrs())
      merged->setAttr(attr.getName(), attr.getValue());
    merged->setAttr("uoe.merged",
                    builder.getI64IntegerAttr(static_cast<int64_t>(plan.merged.size())));
    merged->setAttr("uoe.error", builder.getF64FloatAttr(plan.error));
    removed += static_cast<int64_t>(plan.merged.size());
    ffn.getResult().replaceAllUsesWith(merged.getOutput());
    ffn.erase();
    return success();
  }
};

} // namespace
