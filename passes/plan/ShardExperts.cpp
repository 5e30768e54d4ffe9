// shard-experts: which rank each expert of a layer lives on. Greedy: the heaviest expert first, to
// the rank that has least to do (R. L. Graham, Bounds on multiprocessing timing anomalies, 1969:
// at most 4/3 of the best placement's heaviest rank).
#include "include/uoe/calibration/Mixture.h"
#include "lib/Conversion/Calibrate.h"
#include "lib/Profile/Profile.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/Lower.h"
#include "passes/merge/Mixtures.h"
#include <numeric>

namespace uoe {
#define GEN_PASS_DEF_SHARDEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

// Rows of a profile that are read at once.
static constexpr int64_t kRows = 4096;

// The ranks of experts of these loads. `even`: no rank has more than one expert more than another.
// `neurons` [ranks] are those that the layers before have put there: among equal loads the rank
// with the fewest goes first, then the lower one.
static SmallVector<int64_t> balance(ArrayRef<double> loads, ArrayRef<int64_t> sizes, bool even,
                                    MutableArrayRef<int64_t> neurons) {
  int64_t experts = static_cast<int64_t>(loads.size()), ranks = neurons.size();
  int64_t least = experts / ranks, surplus = experts % ranks; // ranks with one more than the least
  SmallVector<int64_t> order(experts), rankOf(experts), count(ranks);
  SmallVector<double> load(ranks);
  std::iota(order.begin(), order.end(), 0);
  llvm::sort(order, [&](int64_t a, int64_t b) {
    return std::tuple(-loads[a], -sizes[a], a) < std::tuple(-loads[b], -sizes[b], b);
  });
  for (int64_t expert : order) {
    std::optional<int64_t> best;
    for (int64_t r = 0; r < ranks; ++r) {
      bool room = !even || count[r] < least || (count[r] == least && surplus > 0);
      if (room &&
          (!best || std::tuple(load[r], neurons[r]) < std::tuple(load[*best], neurons[*best])))
        best = r;
    }
    surplus -= count[*best] == least;
    rankOf[expert] = *best;
    load[*best] += loads[expert];
    neurons[*best] += sizes[expert];
    ++count[*best];
  }
  return rankOf;
}

// The rows of the profile that chose each expert; or why that is not known.
static std::string measure(ExpertsOp op, const Profile &profile, WeightReader &reader,
                           SmallVectorImpl<double> &rows) {
  auto select = op.getRouting().getDefiningOp<SelectOp>();
  if (!select)
    return "its routing is no uoe.select";
  calibration::Selection selection;
  if (std::string why = selectionOf(select, reader, selection); !why.empty())
    return why;
  std::string probe = scoresProbe(blockName(op, "moe"));
  const calibration::Tokens *scores = profile.tokens(probe);
  if (!scores)
    return "the profile has no '" + probe + "'";
  int64_t slots = op.getRouting().getType().getExperts();
  if (scores->width() != slots)
    return "the profile's '" + probe + "' has " + std::to_string(scores->width()) +
           " scores, the routing " + std::to_string(slots);
  rows.assign(op.numExperts(), 0);
  std::vector<float> batch(std::min(kRows, scores->count()) * slots);
  for (int64_t begin = 0; begin < scores->count(); begin += kRows) {
    int64_t n = std::min(kRows, scores->count() - begin);
    scores->read(begin, n, batch.data());
    calibration::Matrix weights;
    if (calibration::Status status = calibration::selectExperts(
            selection, calibration::MatrixView(batch.data(), n, slots), weights);
        !status.ok())
      return status.message;
    for (int64_t slot = 0; slot < slots; ++slot) {
      int64_t expert = op.getSlots() ? (*op.getSlots())[slot] : slot;
      for (int64_t t = 0; expert >= 0 && t < n; ++t)
        rows[expert] += weights(t, slot) != 0;
    }
  }
  return {};
}

namespace {

struct ShardExpertsPass : uoe::impl::ShardExpertsPassBase<ShardExpertsPass> {
  using ShardExpertsPassBase::ShardExpertsPassBase;

  void runOnOperation() override {
    if (ranks < 1 || ranks > (int64_t(1) << 16)) {
      getOperation().emitError("shard-experts: expected 1 to 65536 ranks, found ")
          << ranks.getValue();
      return signalPassFailure();
    }
    std::shared_ptr<Profile> measured;
    if (std::string error; !profile.empty() && !(measured = Profile::open(profile, error))) {
      getOperation().emitError("shard-experts: ") << error;
      return signalPassFailure();
    }
    WeightReader reader;
    SmallVector<int64_t> neurons(ranks);
    WalkResult result = getOperation().walk([&](ExpertsOp op) {
      if (!op.getRouting() || op.getCombine() != Combine::sum || op.getGathered() ||
          classify(op) != ExpertBody::Ffn)
        return WalkResult::advance();
      return failed(place(op, measured.get(), reader, neurons)) ? WalkResult::interrupt()
                                                                : WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  LogicalResult place(ExpertsOp op, const Profile *measured, WeightReader &reader,
                      MutableArrayRef<int64_t> neurons) {
    SmallVector<double> rows;
    if (auto given = op->getAttrOfType<DenseF64ArrayAttr>("uoe.load")) {
      rows.assign(given.asArrayRef().begin(), given.asArrayRef().end());
      if (static_cast<int64_t>(rows.size()) != op.numExperts())
        return op.emitError("shard-experts: expected a load in uoe.load for each of the ")
               << op.numExperts() << " experts, found " << rows.size();
      for (double load : rows)
        if (!(load >= 0) || std::isinf(load))
          return op.emitError(
                     "shard-experts: expected finite loads of 0 or more in uoe.load, found ")
                 << load;
    } else if (measured) {
      if (std::string why = measure(op, *measured, reader, rows); !why.empty()) {
        op.emitRemark(blockName(op, "moe")) << " is balanced by size: " << why;
        rows.clear();
      } else {
        op->setAttr("uoe.load", DenseF64ArrayAttr::get(&getContext(), rows));
      }
    }
    SmallVector<double> loads(op.getSizes().begin(), op.getSizes().end());
    for (auto [load, chosen] : llvm::zip(loads, rows))
      load *= chosen;
    op.setShard(balance(loads, op.getSizes(), even, neurons));
    ++sharded;
    return success();
  }
};

} // namespace
