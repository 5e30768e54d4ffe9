#include "Experts.h"
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

namespace uoe::rt::parallel {

namespace {

// What every rank tells every rank before rows go. All see all headers but for the counts, and so
// come to the same verdict.
struct Header {
  int64_t wrong = 0; // the rank's own part is not sound; the rest means nothing
  int64_t width = 0;
  uint64_t placement = 0; // a hash
  int64_t rows = 0, pairs = 0;
};

// Work as it is sent: an expert, and a row among those that the same rank sends.
struct Pair {
  int32_t expert, row;
};

// FNV-1a.
uint64_t hashOf(const Placement &placement) {
  uint64_t hash = 14695981039346656037ull;
  for (int64_t rank : placement)
    for (int shift = 0; shift < 64; shift += 8)
      hash = (hash ^ (static_cast<uint64_t>(rank) >> shift & 255)) * 1099511628211ull;
  return hash;
}

int64_t sum(const std::vector<int64_t> &counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t(0));
}

// A token's places in the routing's lists, by ascending expert.
void ascending(const Routing &routing, int64_t token, std::vector<int64_t> &order) {
  order.resize(routing.offsets[token + 1] - routing.offsets[token]);
  std::iota(order.begin(), order.end(), routing.offsets[token]);
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return routing.ids[a] < routing.ids[b]; });
}

// This rank's part of what is sent, rank by rank.
struct Outgoing {
  std::vector<std::vector<int64_t>> tokens; // [ranks] whose rows go there
  std::vector<std::vector<Pair>> pairs;     // [ranks]
  std::vector<int64_t> target;              // of the pairs by token and expert, their rank
};

// Raises Error for a part that is not sound.
Outgoing plan(int ranks, const Placement &placement, int64_t tokens, int64_t width,
              const Routing &routing) {
  check(width >= 1, "expected rows of at least one number, found ", width);
  for (size_t e = 0; e < placement.size(); ++e)
    check(placement[e] >= 0 && placement[e] < ranks, "expert ", e, " is placed on rank ",
          placement[e], "; there are ", ranks, " ranks");
  Outgoing out;
  out.tokens.resize(ranks);
  out.pairs.resize(ranks);
  std::vector<int64_t> order;
  for (int64_t t = 0; t < tokens; ++t) {
    check(routing.offsets[t] <= routing.offsets[t + 1], "token ", t, " has ",
          routing.offsets[t + 1] - routing.offsets[t], " experts");
    ascending(routing, t, order);
    for (size_t i = 0; i < order.size(); ++i) {
      const int32_t expert = routing.ids[order[i]];
      check(expert >= 0 && expert < static_cast<int64_t>(placement.size()), "token ", t,
            " chose expert ", expert, "; there are ", placement.size());
      check(i == 0 || expert != routing.ids[order[i - 1]], "token ", t, " chose expert ", expert,
            " twice");
      const int64_t rank = placement[expert];
      std::vector<int64_t> &going = out.tokens[rank];
      if (going.empty() || going.back() != t)
        going.push_back(t);
      check(going.size() <= static_cast<size_t>(std::numeric_limits<int32_t>::max()),
            "more than 2^31 - 1 rows for rank ", rank);
      out.pairs[rank].push_back({expert, static_cast<int32_t>(going.size() - 1)});
      out.target.push_back(rank);
    }
  }
  return out;
}

} // namespace

Dispatched dispatch(Communicator &comm, const Placement &placement, const float *x, int64_t ldx,
                    int64_t tokens, int64_t width, const Routing &routing) {
  const int ranks = comm.ranks();
  Outgoing out;
  std::string wrong;
  try {
    out = plan(ranks, placement, tokens, width, routing);
  } catch (const Error &error) {
    wrong = error.what();
  }

  std::vector<Header> mine(ranks), theirs(ranks);
  for (int r = 0; r < ranks; ++r) {
    mine[r].wrong = !wrong.empty();
    mine[r].width = width;
    mine[r].placement = hashOf(placement);
    if (wrong.empty()) {
      mine[r].rows = static_cast<int64_t>(out.tokens[r].size());
      mine[r].pairs = static_cast<int64_t>(out.pairs[r].size());
    }
  }
  const std::vector<int64_t> one(ranks, 1);
  comm.allToAll(mine.data(), one, theirs.data(), one, sizeof(Header));
  check(wrong.empty(), "rank ", comm.rank(), ": ", wrong);
  for (int r = 0; r < ranks; ++r)
    check(!theirs[r].wrong, "rank ", r, " has refused its part of the expert layer");
  for (int r = 1; r < ranks; ++r) {
    check(theirs[r].width == theirs[0].width, "rank ", r, " has rows of ", theirs[r].width,
          " numbers, rank 0 of ", theirs[0].width);
    check(theirs[r].placement == theirs[0].placement, "rank ", r,
          " has another placement of experts than rank 0");
  }

  Dispatched work;
  work.width = width;
  std::vector<int64_t> rowsOut(ranks), rowsIn(ranks);
  work.sent.resize(ranks);
  work.received.resize(ranks);
  for (int r = 0; r < ranks; ++r) {
    rowsOut[r] = mine[r].rows;
    rowsIn[r] = theirs[r].rows;
    work.sent[r] = mine[r].pairs;
    work.received[r] = theirs[r].pairs;
  }

  // Places of results: rank by rank, as pairs are sent.
  std::vector<int64_t> next(ranks, 0);
  std::partial_sum(work.sent.begin(), work.sent.end() - 1, next.begin() + 1);
  work.place.reserve(out.target.size());
  for (int64_t rank : out.target)
    work.place.push_back(next[rank]++);
  work.offsets.assign(1, 0);
  std::vector<int64_t> order;
  for (int64_t t = 0; t < tokens; ++t) {
    ascending(routing, t, order);
    for (int64_t i : order)
      work.weight.push_back(routing.weights ? routing.weights[i] : 1.0f);
    work.offsets.push_back(static_cast<int64_t>(work.weight.size()));
  }

  std::vector<float> rows;
  rows.reserve(sum(rowsOut) * width);
  std::vector<Pair> pairs, arrived(sum(work.received));
  for (int r = 0; r < ranks; ++r) {
    for (int64_t t : out.tokens[r])
      rows.insert(rows.end(), x + t * ldx, x + t * ldx + width);
    pairs.insert(pairs.end(), out.pairs[r].begin(), out.pairs[r].end());
  }
  work.rows.resize(sum(rowsIn) * width);
  comm.allToAll(rows.data(), rowsOut, work.rows.data(), rowsIn, width * sizeof(float));
  comm.allToAll(pairs.data(), work.sent, arrived.data(), work.received, sizeof(Pair));
  work.expert.reserve(arrived.size());
  work.row.reserve(arrived.size());
  auto pair = arrived.begin();
  int64_t firstRow = 0;
  for (int r = 0; r < ranks; ++r) {
    for (int64_t i = 0; i < work.received[r]; ++i, ++pair) {
      work.expert.push_back(pair->expert);
      work.row.push_back(firstRow + pair->row);
    }
    firstRow += rowsIn[r];
  }
  return work;
}

void combine(Communicator &comm, const Dispatched &work, const float *results, int64_t out,
             float *y, int64_t ldy) {
  std::vector<float> back(work.place.size() * out);
  comm.allToAll(results, work.received, back.data(), work.sent, out * sizeof(float));
  for (int64_t t = 0; t < work.tokens(); ++t) {
    float *to = y + t * ldy;
    std::fill(to, to + out, 0.0f);
    for (int64_t i = work.offsets[t]; i < work.offsets[t + 1]; ++i) {
      const float *result = back.data() + work.place[i] * out;
      for (int64_t j = 0; j < out; ++j)
        to[j] += work.weight[i] * result[j];
    }
  }
}

void shardedExperts(Communicator &comm, const Placement &placement, const ExpertFunction &function,
                    const float *x, int64_t ldx, int64_t tokens, int64_t in, const Routing &routing,
                    float *y, int64_t ldy, int64_t out) {
  const Dispatched work = dispatch(comm, placement, x, ldx, tokens, in, routing);
  std::map<int32_t, std::vector<int64_t>> pairsOf;
  for (int64_t p = 0; p < work.pairs(); ++p)
    pairsOf[work.expert[p]].push_back(p);
  std::vector<float> results(work.pairs() * out), gathered, own;
  for (const auto &[expert, pairs] : pairsOf) {
    gathered.clear();
    for (int64_t p : pairs)
      gathered.insert(gathered.end(), work.rows.begin() + work.row[p] * in,
                      work.rows.begin() + (work.row[p] + 1) * in);
    own.resize(pairs.size() * out);
    function(expert, gathered.data(), static_cast<int64_t>(pairs.size()), own.data());
    for (size_t i = 0; i < pairs.size(); ++i)
      std::copy_n(own.begin() + i * out, out, results.begin() + pairs[i] * out);
  }
  combine(comm, work, results.data(), out, y, ldy);
}

void referenceExperts(const ExpertFunction &function, const float *x, int64_t ldx, int64_t tokens,
                      int64_t in, const Routing &routing, float *y, int64_t ldy, int64_t out) {
  std::vector<float> row(in), result(out);
  std::vector<int64_t> order;
  for (int64_t t = 0; t < tokens; ++t) {
    std::fill_n(y + t * ldy, out, 0.0f);
    std::copy_n(x + t * ldx, in, row.begin());
    ascending(routing, t, order);
    for (int64_t i : order) {
      function(routing.ids[i], row.data(), 1, result.data());
      const float weight = routing.weights ? routing.weights[i] : 1.0f;
      for (int64_t j = 0; j < out; ++j)
        y[t * ldy + j] += weight * result[j];
    }
  }
}

} // namespace uoe::rt::parallel
