// Expert parallelism where every rank holds the same tokens: each computes what its own experts
// give, and the results are exchanged. Behind it is the entry uoe.ShardedExperts of a program that
// ranks run together. Experts.h is the other form, in which each rank has tokens of its own.
#pragma once
#include "Experts.h"
#include "Group.h"
#include "runtime/core/Kernel.h"

namespace uoe::rt::parallel {

/// What is computed of a layer by one rank alone: row token[p] of x through expert[p], times
/// weight[p]. Experts are counted among those of this rank, in ascending order.
struct OwnPairs {
  std::vector<int64_t> token;
  std::vector<int32_t> expert;
  std::vector<float> weight; // empty: 1
};
/// results [pairs, out], row by row; a row may not depend on the other pairs.
using PairFunction = std::function<void(const OwnPairs &pairs, float *results)>;

/// A layer as all ranks know it.
struct ReplicatedLayer {
  std::string name; // for messages
  Placement placement;
  int64_t tokens = 0, out = 0;
  Routing routing;
  uint64_t hash = 0;               // of x, which has to be the same on every rank
  const float *base = nullptr;     // [out], what a token without experts gets; null: 0
  const float *residual = nullptr; // [tokens, out], added last; null: nothing
  /// Tokens go some at a time, so that results take at most so many bytes, or what one token takes.
  int64_t inFlight = int64_t(64) << 20;
};

/// y[t] = base + Σ result over t's experts in ascending order + residual[t], on every rank: y
/// [tokens, out] has the same bits for any placement and any number of ranks. `group` null: this
/// rank alone. Collective; ranks that disagree about the layer, and an exception of `function` on
/// one of them, raise Error on every rank.
///
/// A token belongs to one rank: rank r has the tokens from tokens r / ranks on. Results go to the
/// rank that has the token (all-to-all), which adds them up, and the sums to all (all-gather).
void replicatedExperts(Group *group, const ReplicatedLayer &layer, const PairFunction &function,
                       float *y);

/// Adds the entry uoe.ShardedExperts. Inputs and attributes are those of uoe.Experts, with the
/// weights of the experts of `rank` alone, "sizes" and "shard" of all, "rank" and "ranks". An entry
/// belongs to the group that is current where its program is finished.
void addShardedExperts(KernelTable &table);

/// Makes a group (or null, none) the current one of this thread.
class CurrentGroup {
public:
  explicit CurrentGroup(Group *group);
  ~CurrentGroup();
  CurrentGroup(const CurrentGroup &) = delete;

private:
  Group *before;
};

} // namespace uoe::rt::parallel
