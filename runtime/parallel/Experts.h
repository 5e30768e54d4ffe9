// Expert parallelism: each rank has some tokens and some experts. Rows go to the ranks of their
// experts (dispatch), and the experts' results come back and are added up (combine), as in GShard
// (arXiv 2006.16668, section 3.3) and DeepSpeed-MoE, without a capacity: nothing is dropped or
// padded.
//
// A row goes once to a rank, however many of its experts live there. A result comes back for each
// pair of token and expert, not added up where it was computed: the sum over a token's experts is
// in ascending order of the experts, so that it has the same bits for any placement and any number
// of ranks.
#pragma once
#include "Communicator.h"
#include "runtime/cpu/fast/Experts.h"
#include <functional>
#include <string>

namespace uoe::rt::parallel {

using fast::Routing;

/// The rank of each expert: the attribute `shard` of uoe.experts.
using Placement = std::vector<int64_t>;

/// What dispatch brought to this rank, and what combine needs to bring it back.
struct Dispatched {
  int64_t width = 0;       // floats a row
  std::vector<float> rows; // [received, width], by the rank that they come from, then by token
  /// Work of this rank: for pair p expert[p] is to run on row row[p]. By rank, token, expert.
  std::vector<int32_t> expert;
  std::vector<int64_t> row;

  std::vector<int64_t> received, sent; // [ranks] pairs
  /// Of this rank's token t, by ascending expert: places offsets[t] .. offsets[t + 1] of `place`,
  /// where a pair's result lies among all that come back, and of `weight`.
  std::vector<int64_t> offsets, place;
  std::vector<float> weight;

  int64_t pairs() const { return static_cast<int64_t>(expert.size()); }
  int64_t tokens() const { return static_cast<int64_t>(offsets.size()) - 1; }
};

/// Sends the rows of x [tokens, width] (ldx floats apart) to the ranks of their experts. A token's
/// experts may be in any order. Collective; what one rank finds wrong with its own part (experts
/// out of range or twice for a token, a placement on ranks that there are not) and what ranks
/// disagree about (width, placement) raises Error on every rank, so that nobody waits.
Dispatched dispatch(Communicator &comm, const Placement &placement, const float *x, int64_t ldx,
                    int64_t tokens, int64_t width, const Routing &routing);

/// y[t] = Σ weight · result over t's experts, ascending; 0 without experts. `results` [pairs, out]
/// in the order of Dispatched. Collective; `out` is the same on every rank.
void combine(Communicator &comm, const Dispatched &work, const float *results, int64_t out,
             float *y, int64_t ldy);

/// y [rows, out] of one expert for x [rows, in], both dense. A row's result may not depend on the
/// other rows.
using ExpertFunction = std::function<void(int32_t expert, const float *x, int64_t rows, float *y)>;

/// The expert layer over all ranks: dispatch, `function` once for each expert of this rank that has
/// rows, combine. Collective. A rank on which `function` fails must end the group
/// (MpiSession::abort; runInProcess does).
void shardedExperts(Communicator &comm, const Placement &placement, const ExpertFunction &function,
                    const float *x, int64_t ldx, int64_t tokens, int64_t in, const Routing &routing,
                    float *y, int64_t ldy, int64_t out);

/// The same on one rank without any exchange, token by token and expert by expert: what
/// shardedExperts gives, bit by bit.
void referenceExperts(const ExpertFunction &function, const float *x, int64_t ldx, int64_t tokens,
                      int64_t in, const Routing &routing, float *y, int64_t ldy, int64_t out);

} // namespace uoe::rt::parallel
