// merge-experts: experts of a native mixture that do nearly the same become one (HC-SMoE, arXiv
// 2410.08589): hierarchical clustering of their mean outputs, weights averaged by use. Unlike
// experts cut from one dense block, which are disjoint summands, these are alternatives, and may be
// averaged.
#include "passes/Passes.h"
#include "passes/merge/Mixtures.h"

namespace uoe {
#define GEN_PASS_DEF_MERGEEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using calibration::MatrixView;
using calibration::OwnedFfn;

namespace {

struct MergeExpertsPass : uoe::impl::MergeExpertsPassBase<MergeExpertsPass> {
  using MergeExpertsPassBase::MergeExpertsPassBase;

  void runOnOperation() override {
    if (failed(visitMixtures(getOperation(), "merge-experts", profile, experts,
                             [&](VisitedMixture &m) { return merge(m); })))
      signalPassFailure();
  }

  LogicalResult merge(VisitedMixture &m) {
    calibration::MergeExpertsPlan plan;
    if (calibration::Status status = calibration::planMergeExperts(m.mixture, m.data, m.keep, plan);
        !status.ok())
      return m.experts.emitError(m.name) << ": " << status.message;
    std::vector<OwnedFfn> merged = calibration::mergeExperts(m.mixture, plan);
    OpBuilder builder(m.experts);
    bool ok = true;
    // `part` of all merged experts, side by side: columns or rows of one weight.
    auto weight = [&](StringRef what, bool columns, auto &&part) -> Value {
      MatrixView first = part(merged[0]);
      int64_t rows = first.rows, cols = first.cols, n = static_cast<int64_t>(merged.size());
      std::vector<float> values(static_cast<size_t>(n * rows * cols));
      for (int64_t e = 0; e < n; ++e) {
        MatrixView from = part(merged[e]);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < cols; ++j)
            values[columns ? (i * n + e) * cols + j : (e * rows + i) * cols + j] = from(i, j);
      }
      SmallVector<int64_t> shape{columns ? rows : n * rows, columns ? n * cols : cols};
      if (columns && rows == 1)
        shape.erase(shape.begin()); // a bias
      auto value =
          newWeight(builder, getOperation(), m.name + ".merged." + what.str(), shape, values);
      ok &= succeeded(value);
      return ok ? *value : Value();
    };
    auto vector = [](const std::vector<float> &v) {
      return MatrixView(v.data(), 1, static_cast<int64_t>(v.size()));
    };
    Block &body = m.experts.getBody().front();
    auto ffn = cast<FfnOp>(body.front());
    SmallVector<Value> sliced(m.experts.getSliced());
    auto put = [&](Value inner, Value value) {
      if (inner)
        sliced[cast<BlockArgument>(inner).getArgNumber() - 1] = value;
    };
    bool gated = static_cast<bool>(ffn.getGate());
    // Calibration calls a plain block's only matrix its gate.
    put(gated ? ffn.getGate() : ffn.getUp(),
        weight(gated ? "gate" : "up", true,
               [](const OwnedFfn &f) -> MatrixView { return f.gate; }));
    if (gated)
      put(ffn.getUp(), weight("up", true, [](const OwnedFfn &f) -> MatrixView { return f.up; }));
    put(ffn.getDown(),
        weight("down", false, [](const OwnedFfn &f) -> MatrixView { return f.down; }));
    Value biasFirst = gated ? ffn.getBiasGate() : ffn.getBiasUp();
    if (biasFirst)
      put(biasFirst, weight(gated ? "bias_gate" : "bias_up", true,
                            [&](const OwnedFfn &f) { return vector(f.gateBias); }));
    if (gated && ffn.getBiasUp())
      put(ffn.getBiasUp(),
          weight("bias_up", true, [&](const OwnedFfn &f) { return vector(f.upBias); }));
    Value rows =
        m.rows ? weight("bias_down", false, [&](const OwnedFfn &f) { return vector(f.downBias); })
               : Value();
    if (!ok)
      return failure();

    SmallVector<int64_t> slots,
        sizes(merged.size(), static_cast<int64_t>(m.mixture.experts[0].neurons()));
    for (int64_t s = 0; s < m.mixture.slotCount(); ++s)
      slots.push_back(m.mixture.expertOf(s) < 0 ? -1 : plan.cluster[m.mixture.expertOf(s)]);
    removed += m.mixture.count() - static_cast<int64_t>(merged.size());
    Value routing = m.select.getRouting();
    ExpertsOp result = withExperts(m.experts, sliced, sizes, routing, slots);
    if (m.rows)
      withExperts(m.rows, rows, SmallVector<int64_t>(merged.size(), 1), routing, slots);
    result->setAttr("uoe.recipe", builder.getStringAttr("merged"));
    result->setAttr("uoe.clusters", builder.getDenseI64ArrayAttr(plan.cluster));
    result->setAttr("uoe.usage", builder.getDenseF64ArrayAttr(plan.usage));
    result->setAttr("uoe.error", builder.getF64FloatAttr(plan.error));
    return success();
  }
};

} // namespace
