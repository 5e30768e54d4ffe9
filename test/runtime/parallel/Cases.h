// The contract of sharded experts, for any transport: every rank runs `check...` of the same cases.
#pragma once
#include "runtime/parallel/Experts.h"
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace uoe::rt::parallel::test {

/// Width of a layer's inputs and outputs.
constexpr int64_t kIn = 19, kOut = 13;

/// Numbers between -1 and 1, the same for a seed on every rank.
inline std::vector<float> randoms(int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> value(-1, 1);
  std::vector<float> out(count);
  for (float &x : out)
    x = value(engine);
  return out;
}

/// A layer of experts and what the ranks have of it.
struct Case {
  std::string name;
  std::vector<int64_t> sizes;                          // neurons of each expert
  std::function<int64_t(int expert, int ranks)> place; // the rank of an expert
  std::function<int64_t(int rank, int ranks)> tokens;  // a rank's number of tokens
  std::function<bool(int64_t token, int expert)> chosen;
  bool weighted = true;
};
const std::vector<Case> &cases();

/// Empty, or how this rank's result of the layer differs from that of one process: every bit has
/// to agree with referenceExperts, whose experts are one PackedFfn each, and all but rounding with
/// fast::experts over the whole layer. A rank makes the weights of its own experts alone before the
/// exchange.
std::string checkResult(Communicator &comm, const Case &layer);

/// Empty, or what is wrong with the refusals: a token that names an expert that there is not or one
/// expert twice, a placement beyond the ranks, disagreement on width and placement. Every rank has
/// to get an error, and the group still works after it.
std::string checkRefusals(Communicator &comm);

/// Empty, or what is wrong with the exchange itself: blocks of different sizes, empty ones, and
/// elements of one byte and of many.
std::string checkTransport(Communicator &comm);

/// Empty, or how a layer of which every rank has the same tokens differs from one process: every
/// bit has to agree with each pair computed alone and added up in ascending order, on every rank,
/// however many tokens go at a time, with and without a base and a residual.
std::string checkReplicated(Communicator &comm, const Case &layer);

/// The same of the entry uoe.ShardedExperts with each rank's part of the weights, in groups and by
/// neuron, with skip vectors and slots; and all but rounding with uoe.Experts over the whole layer.
std::string checkEntry(Communicator &comm);

/// Empty, or what is wrong when one rank has other tokens, another choice, another x, a choice that
/// there is not, or fails: every rank has to get an error that names the rank, and so on later
/// calls.
std::string checkReplicatedRefusals(Communicator &comm);

} // namespace uoe::rt::parallel::test
