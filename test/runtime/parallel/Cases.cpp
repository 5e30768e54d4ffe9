#include "Cases.h"
#include <cmath>
#include <cstring>
#include <sstream>

namespace uoe::rt::parallel::test {

namespace {

constexpr fast::Activation kAct = fast::Activation::Silu;

// A gated expert; the same weights wherever it is made.
struct Expert {
  std::vector<float> gate, up, down;
  fast::FfnSource source;
  fast::PackedFfn packed;

  Expert(int index, int64_t size)
      : gate(randoms(kIn * size, 100 + index)), up(randoms(kIn * size, 200 + index)),
        down(randoms(size * kOut, 300 + index)) {
    source.in = kIn;
    source.hidden = size;
    source.out = kOut;
    source.gate = gate.data();
    source.up = up.data();
    source.down = down.data();
    packed = fast::PackedFfn(source, kAct);
  }
};

// Experts that are made when they first run: a rank is never asked for another's.
ExpertFunction lazily(const Case &layer, std::vector<std::unique_ptr<Expert>> &made,
                      const std::function<void(int32_t)> &asked = {}) {
  made.resize(layer.sizes.size());
  return [&layer, &made, asked](int32_t e, const float *x, int64_t rows, float *y) {
    if (asked)
      asked(e);
    if (!made[e])
      made[e] = std::make_unique<Expert>(e, layer.sizes[e]);
    fast::ffn(made[e]->packed, x, kIn, rows, y, kOut);
  };
}

// The whole layer as one block, fused.
std::vector<float> fused(const Case &layer, const std::vector<float> &x, int64_t tokens,
                         const Routing &routing) {
  std::vector<int64_t> starts(1, 0);
  for (int64_t size : layer.sizes)
    starts.push_back(starts.back() + size);
  const int64_t hidden = starts.back();
  std::vector<float> gate(kIn * hidden), up(gate), down;
  for (size_t e = 0; e < layer.sizes.size(); ++e) {
    Expert expert(static_cast<int>(e), layer.sizes[e]);
    for (int64_t i = 0; i < kIn; ++i)
      for (int64_t j = 0; j < layer.sizes[e]; ++j) {
        gate[i * hidden + starts[e] + j] = expert.gate[i * layer.sizes[e] + j];
        up[i * hidden + starts[e] + j] = expert.up[i * layer.sizes[e] + j];
      }
    down.insert(down.end(), expert.down.begin(), expert.down.end());
  }
  fast::FfnSource source;
  source.in = kIn;
  source.hidden = hidden;
  source.out = kOut;
  source.gate = gate.data();
  source.up = up.data();
  source.down = down.data();
  fast::PackedFfn block(source, kAct, starts);
  std::vector<float> y(tokens * kOut);
  fast::experts(block, x.data(), kIn, tokens, routing, y.data(), kOut);
  return y;
}

int64_t roundRobin(int expert, int ranks) {
  return expert % ranks;
}
int64_t ragged(int rank, int) {
  return std::vector<int64_t>{5, 0, 33, 1}[rank % 4];
}
bool some(int64_t token, int expert) {
  return (token * 7 + expert * 5) % 3 == 0;
}

} // namespace

const std::vector<Case> &cases() {
  static const std::vector<Case> all = {
      {"ragged tokens and sizes", {1, 16, 5, 33, 2, 17, 64}, roundRobin, ragged, some},
      {"weights of one", {1, 16, 5, 33, 2, 17, 64}, roundRobin, ragged, some, false},
      {"one rank has all experts",
       {8, 3, 16},
       [](int, int ranks) -> int64_t { return ranks - 1; },
       ragged,
       some},
      {"one rank has all tokens",
       {8, 3, 16, 4, 4},
       roundRobin,
       [](int rank, int) -> int64_t { return rank == 0 ? 7 : 0; },
       some},
      {"no tokens", {8, 3, 16, 4, 4}, roundRobin, [](int, int) -> int64_t { return 0; }, some},
      {"one token a rank",
       {8, 3, 16, 4, 4},
       roundRobin,
       [](int, int) -> int64_t { return 1; },
       some},
      {"nobody chooses", {8, 3}, roundRobin, ragged, [](int64_t, int) { return false; }},
      {"everybody chooses all",
       {8, 3, 16, 4, 4},
       roundRobin,
       ragged,
       [](int64_t, int) { return true; }},
      {"one expert takes all",
       {8, 3, 16},
       roundRobin,
       ragged,
       [](int64_t, int expert) { return expert == 1; }},
      {"one to all, by token",
       {8, 3, 16, 4, 4},
       roundRobin,
       ragged,
       [](int64_t token, int expert) { return expert <= token % 6 - 1; }},
      {"more experts than a byte counts", std::vector<int64_t>(300, 2), roundRobin, ragged,
       [](int64_t token, int expert) { return (token + expert) % 37 == 0; }},
  };
  return all;
}

std::string checkResult(Communicator &comm, const Case &layer) {
  const int rank = comm.rank(), experts = static_cast<int>(layer.sizes.size());
  Placement placement;
  for (int e = 0; e < experts; ++e)
    placement.push_back(layer.place(e, comm.ranks()));
  const int64_t tokens = layer.tokens(rank, comm.ranks());
  const std::vector<float> x = randoms(tokens * kIn, 1000 + rank);
  const std::vector<float> weights = randoms(tokens * experts, 2000 + rank);
  std::vector<int64_t> offsets(1, 0);
  std::vector<int32_t> ids;
  std::vector<float> chosenWeights;
  for (int64_t t = 0; t < tokens; ++t) {
    // Descending: the order of a token's list is not the order of the sum.
    for (int e = experts - 1; e >= 0; --e)
      if (layer.chosen(t + rank, e)) {
        ids.push_back(e);
        chosenWeights.push_back(weights[t * experts + e]);
      }
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  Routing routing{offsets.data(), ids.data(), layer.weighted ? chosenWeights.data() : nullptr};

  std::ostringstream problem;
  std::vector<std::unique_ptr<Expert>> own, all;
  std::vector<int> calls(experts);
  ExpertFunction mine = lazily(layer, own, [&](int32_t e) {
    ++calls[e];
    if (placement[e] != rank)
      problem << "rank " << rank << " is asked for expert " << e << " of rank " << placement[e]
              << "; ";
  });
  // Whatever lies there, and between the rows, neither counts nor changes.
  constexpr int64_t ldy = kOut + 2;
  std::vector<float> y(tokens * ldy, 1e30f), expected(y);
  shardedExperts(comm, placement, mine, x.data(), kIn, tokens, kIn, routing, y.data(), ldy, kOut);
  referenceExperts(lazily(layer, all), x.data(), kIn, tokens, kIn, routing, expected.data(), ldy,
                   kOut);
  for (int e = 0; e < experts; ++e)
    if (calls[e] > 1)
      problem << "expert " << e << " ran " << calls[e] << " times; ";
  for (size_t i = 0; i < y.size(); ++i)
    if (std::memcmp(&y[i], &expected[i], sizeof(float)) != 0) {
      problem << "element " << i << ": " << y[i] << ", one process gives " << expected[i] << "; ";
      break;
    }
  const std::vector<float> whole = fused(layer, x, tokens, routing);
  for (int64_t i = 0; i < tokens * kOut; ++i)
    if (float found = y[i / kOut * ldy + i % kOut];
        !(std::fabs(found - whole[i]) <= 2e-5f * std::max(1.0f, std::fabs(whole[i])))) {
      problem << "element " << i << ": " << found << ", the fused layer gives " << whole[i] << "; ";
      break;
    }
  return problem.str().empty() ? "" : layer.name + ": " + problem.str();
}

std::string checkRefusals(Communicator &comm) {
  const int rank = comm.rank(), last = comm.ranks() - 1;
  const std::vector<float> x(2 * kIn, 1.0f);
  const std::vector<int64_t> offsets = {0, 2, 2};
  std::string problems;
  // The last rank does what is wrong; the first one's message has to name the rank.
  auto refused = [&](const char *what, const Placement &placement, const std::vector<int32_t> &ids,
                     int64_t width, const std::string &ownMessage) {
    std::string found = "nothing";
    try {
      dispatch(comm, placement, x.data(), kIn, 2, width, {offsets.data(), ids.data(), nullptr});
    } catch (const Error &error) {
      found = error.what();
    }
    const std::string wanted = rank == last ? ownMessage : "rank " + std::to_string(last);
    if (found.find(wanted) == std::string::npos)
      problems += std::string(what) + ": rank " + std::to_string(rank) + " expected '" + wanted +
                  "', found '" + found + "'; ";
  };
  const Placement all0 = {0, 0, 0};
  const std::vector<int32_t> good = {0, 2};
  using Ids = std::vector<int32_t>;
  refused("no such expert", all0, rank == last ? Ids{0, 3} : good, kIn,
          "token 0 chose expert 3; there are 3");
  refused("negative expert", all0, rank == last ? Ids{0, -1} : good, kIn,
          "token 0 chose expert -1; there are 3");
  refused("twice", all0, rank == last ? Ids{2, 2} : good, kIn, "token 0 chose expert 2 twice");
  refused("no such rank", rank == last ? Placement{0, 99, 0} : all0, good, kIn,
          "expert 1 is placed on rank 99");
  refused("no width", all0, good, rank == last ? 0 : kIn, "rows of at least one number, found 0");
  if (last > 0) { // with one rank there is nobody to disagree
    refused("widths", all0, good, rank == last ? kIn - 1 : kIn, "has rows of 18 numbers");
    refused("placements", rank == last ? Placement{0, 0, 1} : all0, good, kIn,
            "another placement of experts");
  }
  return problems + checkResult(comm, cases().front());
}

std::string checkTransport(Communicator &comm) {
  const int rank = comm.rank(), ranks = comm.ranks();
  std::string problems;
  for (size_t bytes : {size_t(1), size_t(7), size_t(4096)}) {
    // Rank a sends (a + 2 b) % 4 elements to b; each byte tells both and its place.
    auto countOf = [](int a, int b) -> int64_t { return (a + 2 * b) % 4; };
    auto byteOf = [](int a, int b, size_t i) { return static_cast<char>(a * 31 + b * 7 + i); };
    std::vector<int64_t> out, in;
    std::vector<char> send, expected;
    for (int r = 0; r < ranks; ++r) {
      out.push_back(countOf(rank, r));
      in.push_back(countOf(r, rank));
      for (size_t i = 0; i < out.back() * bytes; ++i)
        send.push_back(byteOf(rank, r, i));
      for (size_t i = 0; i < in.back() * bytes; ++i)
        expected.push_back(byteOf(r, rank, i));
    }
    std::vector<char> received(expected.size());
    comm.allToAll(send.data(), out, received.data(), in, bytes);
    comm.barrier();
    if (received != expected)
      problems += "all-to-all of elements of " + std::to_string(bytes) + " bytes; ";
  }
  return problems;
}

} // namespace uoe::rt::parallel::test
