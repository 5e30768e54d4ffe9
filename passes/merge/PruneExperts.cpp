// prune-experts: experts of a native mixture that matter least are dropped, by REAP's mean of
// weight·‖output‖ or by SEER-MoE's counts (arXiv 2404.05089).
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/merge/Mixtures.h"
#include <numeric>

namespace uoe {
#define GEN_PASS_DEF_PRUNEEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using calibration::PruneCriterion;
using calibration::PruneRouter;

namespace {

// The scores without the columns that are not in `kept`: of the router's matrix where there is one
// that nothing else uses.
Value keepScores(OpBuilder &builder, Location loc, Value scores, ArrayRef<int64_t> kept) {
  auto type = cast<RankedTensorType>(scores.getType());
  int64_t last = type.getRank() - 1;
  auto product = scores.getDefiningOp<onnx::NodeOp>();
  if (product && product.is("MatMul") && product->hasOneUse()) {
    auto weight = dyn_cast<RankedTensorType>(product.getInputs()[1].getType());
    if (weight && weight.getRank() == 2 && weight.getDimSize(1) == type.getDimSize(last)) {
      SmallVector<int64_t> shape(type.getShape());
      shape[last] = static_cast<int64_t>(kept.size());
      Value router = reorder(builder, loc, product.getInputs()[1], kept, 1);
      return binary(builder, loc, "MatMul", product.getInputs()[0], router,
                    RankedTensorType::get(shape, type.getElementType()));
    }
  }
  return reorder(builder, loc, scores, kept, last);
}

struct PruneExpertsPass : uoe::impl::PruneExpertsPassBase<PruneExpertsPass> {
  using PruneExpertsPassBase::PruneExpertsPassBase;

  void runOnOperation() override {
    std::optional<PruneCriterion> by = llvm::StringSwitch<std::optional<PruneCriterion>>(criterion)
                                           .Case("reap", PruneCriterion::Reap)
                                           .Case("seer", PruneCriterion::SeerHard)
                                           .Case("seer-soft", PruneCriterion::SeerSoft)
                                           .Default(std::nullopt);
    std::optional<PruneRouter> slots = llvm::StringSwitch<std::optional<PruneRouter>>(router)
                                           .Case("drop", PruneRouter::Drop)
                                           .Case("keep", PruneRouter::Keep)
                                           .Default(std::nullopt);
    if (!by || !slots) {
      if (!by)
        getOperation().emitError(
            "prune-experts: expected the criterion reap, seer or seer-soft, found '")
            << criterion << "'";
      else
        getOperation().emitError("prune-experts: expected router drop or keep, found '")
            << router << "'";
      return signalPassFailure();
    }
    if (failed(visitMixtures(getOperation(), "prune-experts", profile, experts,
                             [&](VisitedMixture &m) { return prune(m, *by, *slots); })))
      signalPassFailure();
  }

  LogicalResult prune(VisitedMixture &m, PruneCriterion by, PruneRouter how) {
    calibration::PruneExpertsPlan plan;
    if (calibration::Status status =
            calibration::planPruneExperts(m.mixture, m.data, m.keep, by, how, plan);
        !status.ok())
      return m.experts.emitError(m.name) << ": " << status.message;
    OpBuilder builder(m.select);
    calibration::Mixture pruned = calibration::pruneExperts(m.mixture, plan);
    Value routing = m.select.getRouting();
    SelectOp old;
    if (how == PruneRouter::Drop) {
      Value scores = keepScores(builder, m.select.getLoc(), m.select.getScores(), plan.keptSlots);
      Value bias =
          reorder(builder, m.select.getLoc(), m.select.getSelectionBias(), plan.keptSlots, 0);
      auto select = cast<SelectOp>(builder.clone(*m.select));
      select.getScoresMutable().assign(scores);
      select.getRouting().setType(RoutingType::get(&getContext(), pruned.slotCount()));
      if (select.getK())
        select.setK(pruned.selection.k);
      if (bias)
        select.getSelectionBiasMutable().assign(bias);
      if (select.getGroups() && pruned.selection.groups.empty()) {
        select.removeGroupsAttr();
        select.removeGroupKAttr();
        select.setGroupScore(GroupScore::max);
      } else if (select.getGroups()) {
        select.setGroups(pruned.selection.groups);
        select.setGroupK(pruned.selection.groupK);
      }
      old = m.select;
      routing = select.getRouting();
    }
    // Slots are only needed where they are not the experts themselves.
    SmallVector<int64_t> slots(pruned.slots.begin(), pruned.slots.end()), same(pruned.count());
    std::iota(same.begin(), same.end(), 0);
    if (slots == same)
      slots.clear();

    SmallVector<int64_t> starts{0}, neurons, sizes, rows;
    for (int64_t size : m.experts.getSizes())
      starts.push_back(starts.back() + size);
    for (int64_t e : plan.kept) {
      sizes.push_back(m.experts.getSizes()[e]);
      for (int64_t j = starts[e]; j < starts[e + 1]; ++j)
        neurons.push_back(j);
    }
    builder.setInsertionPoint(m.experts);
    SmallVector<Value> sliced;
    for (auto [value, axis] : llvm::zip(m.experts.getSliced(), m.experts.getAxes()))
      sliced.push_back(reorder(builder, m.experts.getLoc(), value, neurons, axis));
    removed += static_cast<int64_t>(plan.dropped.size());
    ExpertsOp result = withExperts(m.experts, sliced, sizes, routing, slots);
    if (m.rows) {
      builder.setInsertionPoint(m.rows);
      Value kept = reorder(builder, m.rows.getLoc(), m.rows.getSliced()[0], plan.kept, 0);
      withExperts(m.rows, kept, SmallVector<int64_t>(plan.kept.size(), 1), routing, slots);
    }
    if (old)
      old.erase();
    result->setAttr("uoe.recipe", builder.getStringAttr("pruned"));
    result->setAttr("uoe.pruned", builder.getDenseI64ArrayAttr(plan.dropped));
    result->setAttr("uoe.saliency", builder.getDenseF64ArrayAttr(plan.score));
    result->setAttr("uoe.error", builder.getF64FloatAttr(plan.error));
    return success();
  }
};

} // namespace
