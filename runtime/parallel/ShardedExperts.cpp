#include "ShardedExperts.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/cpu/fast/Neurons.h"
#include "runtime/cpu/fused/Routing.h"
#include "runtime/cpu/fused/Weights.h"
#include <algorithm>
#include <numeric>

namespace uoe::rt::parallel {

namespace {

thread_local Group *currentGroup = nullptr;

// Some tokens of a layer, and what this rank does for them.
struct Part {
  int64_t begin = 0, end = 0;                    // tokens
  std::vector<int64_t> first;                    // [ranks + 1] where each rank's tokens begin
  OwnPairs own;                                  // by token, then expert
  std::vector<int64_t> sent, received, gathered; // [ranks] pairs, pairs, tokens
  std::vector<int64_t> offsets, place;           // of this rank's tokens: results in order
  Tensor results, arrived, sums;
};

Part planPart(const ReplicatedLayer &layer, const std::vector<int32_t> &ownIndex, int ranks,
              int self, int64_t begin, int64_t end) {
  Part part;
  part.begin = begin;
  part.end = end;
  for (int r = 0; r <= ranks; ++r)
    part.first.push_back(begin + (end - begin) * r / ranks);
  part.sent.assign(ranks, 0);
  part.received.assign(ranks, 0);
  for (int r = 0; r < ranks; ++r)
    part.gathered.push_back(part.first[r + 1] - part.first[r]);
  part.offsets.assign(1, 0);
  std::vector<int64_t> from; // of this rank's tokens, whose results
  std::vector<int64_t> order;
  const Routing &routing = layer.routing;
  int owner = 0;
  for (int64_t t = begin; t < end; ++t) {
    while (t >= part.first[owner + 1])
      ++owner;
    order.resize(routing.offsets[t + 1] - routing.offsets[t]);
    std::iota(order.begin(), order.end(), routing.offsets[t]);
    auto before = [&](int64_t a, int64_t b) { return routing.ids[a] < routing.ids[b]; };
    if (!std::is_sorted(order.begin(), order.end(), before))
      std::sort(order.begin(), order.end(), before);
    for (int64_t i : order) {
      const int32_t expert = routing.ids[i];
      check(expert >= 0 && expert < static_cast<int64_t>(layer.placement.size()), "token ", t,
            " chose expert ", expert, "; there are ", layer.placement.size());
      const int64_t rank = layer.placement[expert];
      if (rank == self) {
        part.own.token.push_back(t);
        part.own.expert.push_back(ownIndex[expert]);
        if (routing.weights)
          part.own.weight.push_back(routing.weights[i]);
        ++part.sent[owner];
      }
      if (owner == self) {
        from.push_back(rank);
        ++part.received[rank];
      }
    }
    if (owner == self)
      part.offsets.push_back(static_cast<int64_t>(from.size()));
  }
  // Results arrive rank by rank, each rank's in the order of tokens and experts.
  std::vector<int64_t> next(ranks, 0);
  std::partial_sum(part.received.begin(), part.received.end() - 1, next.begin() + 1);
  for (int64_t rank : from)
    part.place.push_back(next[rank]++);
  return part;
}

// y [end - begin, out] of this rank's tokens, the first of which is token `begin` of the layer.
void addUp(const ReplicatedLayer &layer, const Part &part, const float *results, int64_t begin,
           int64_t count, float *y) {
  const int64_t out = layer.out;
  auto tokens = [&](int64_t from, int64_t to) {
    for (int64_t t = from; t < to; ++t) {
      float *sum = y + t * out;
      if (layer.base)
        std::copy_n(layer.base, out, sum);
      else
        std::fill_n(sum, out, 0.0f);
      for (int64_t i = part.offsets[t]; i < part.offsets[t + 1]; ++i) {
        const float *result = results + part.place[i] * out;
        for (int64_t j = 0; j < out; ++j)
          sum[j] += result[j];
      }
      if (!layer.residual)
        continue;
      const float *residual = layer.residual + (begin + t) * out;
      for (int64_t j = 0; j < out; ++j)
        sum[j] += residual[j];
    }
  };
  const int64_t work = static_cast<int64_t>(part.place.size()) * out;
  if (work < 65536)
    tokens(0, count);
  else
    ThreadPool::global().parallelFor(count, std::max<int64_t>(1, 32768 * count / work), tokens);
}

} // namespace

void replicatedExperts(Group *group, const ReplicatedLayer &layer, const PairFunction &function,
                       float *y) {
  const int ranks = group ? group->ranks() : 1, self = group ? group->rank() : 0;
  const std::string place = "layer '" + layer.name + "'";
  const Routing &routing = layer.routing;
  const int64_t tokens = layer.tokens, out = layer.out;
  std::vector<int32_t> ownIndex;
  uint64_t hash = layer.hash;
  // What this rank does alone: a failure is told to the others, who wait for its word.
  auto alone = [&](auto body) {
    try {
      body();
    } catch (const std::exception &error) {
      if (group)
        group->fail(place + ": " + error.what());
      throw;
    }
  };
  alone([&] {
    int32_t own = 0;
    for (size_t e = 0; e < layer.placement.size(); ++e) {
      check(layer.placement[e] >= 0 && layer.placement[e] < ranks, "expert ", e,
            " is placed on rank ", layer.placement[e], "; there are ", ranks, " ranks");
      ownIndex.push_back(layer.placement[e] == self ? own++ : -1);
    }
    for (int64_t t = 0; t < tokens; ++t)
      check(routing.offsets[t] <= routing.offsets[t + 1], "token ", t, " has ",
            routing.offsets[t + 1] - routing.offsets[t], " experts");
    if (!group)
      return;
    const int64_t numbers[] = {tokens, out};
    hash = hashOf(numbers, sizeof numbers, hash);
    hash = hashOf(layer.placement.data(), layer.placement.size() * sizeof(int64_t), hash);
    if (tokens == 0)
      return;
    const int64_t begin = routing.offsets[0], pairs = routing.offsets[tokens] - begin;
    hash = hashOf(routing.offsets, (tokens + 1) * sizeof(int64_t), hash);
    hash = hashOf(routing.ids + begin, pairs * sizeof(int32_t), hash);
    if (routing.weights)
      hash = hashOf(routing.weights + begin, pairs * sizeof(float), hash);
  });

  int64_t begin = 0;
  do {
    Part part;
    alone([&] {
      int64_t end = begin;
      for (int64_t pairs = 0; end < tokens; ++end) {
        pairs += routing.offsets[end + 1] - routing.offsets[end];
        if (end > begin && pairs * out * static_cast<int64_t>(sizeof(float)) > layer.inFlight)
          break;
      }
      part = planPart(layer, ownIndex, ranks, self, begin, end);
      const int64_t arriving = part.offsets.back();
      part.results = Tensor(DType::F32, {static_cast<int64_t>(part.own.token.size()), out});
      if (ranks > 1) {
        part.arrived = Tensor(DType::F32, {arriving, out});
        part.sums = Tensor(DType::F32, {part.gathered[self], out});
      }
      if (!part.own.token.empty())
        function(part.own, part.results.data<float>());
    });
    if (group)
      group->agree(place, hash);
    const int64_t mine = part.first[self];
    float *here = y + begin * out;
    if (ranks == 1) {
      addUp(layer, part, part.results.data<float>(), mine, part.gathered[self], here);
    } else {
      const size_t row = out * sizeof(float);
      group->allToAll(part.results.raw(), part.sent, part.arrived.raw(), part.received, row);
      addUp(layer, part, part.arrived.data<float>(), mine, part.gathered[self],
            part.sums.data<float>());
      group->allGather(part.sums.raw(), part.gathered, here, row);
    }
    begin = part.end;
  } while (begin < tokens);
}

CurrentGroup::CurrentGroup(Group *group) : before(currentGroup) {
  currentGroup = group;
}

CurrentGroup::~CurrentGroup() {
  currentGroup = before;
}

namespace {

// As of uoe.Experts.
constexpr size_t kFirstWeight = 4, kSkip = 10, kResidual = 11;

struct Layer {
  Group *group = nullptr;
  fast::PackedFfn groups;      // this rank's experts in groups of 16 hidden units,
  fast::PackedNeurons neurons; // or by neuron, as all ranks do
  bool byNeuron = false;
  int64_t in = 0, out = 0;
  std::vector<int64_t> slots;
  Placement placement;
  std::vector<float> base; // the sum of all skip vectors, empty without

  /// `pairs` rows of x, ldx apart, each with one expert.
  void run(const float *x, int64_t ldx, const OwnPairs &pairs, float *results) const {
    const auto count = static_cast<int64_t>(pairs.token.size());
    std::vector<int64_t> offsets(count + 1);
    std::iota(offsets.begin(), offsets.end(), int64_t(0));
    const Routing routing{offsets.data(), pairs.expert.data(),
                          pairs.weight.empty() ? nullptr : pairs.weight.data()};
    if (byNeuron)
      fast::experts(neurons, x, ldx, count, routing, results, out);
    else
      fast::experts(groups, x, ldx, count, routing, results, out);
  }
};
using SharedLayer = std::shared_ptr<const Layer>;

// What a token gets for every expert that it skips, less that of the one expert of a pair.
void setSkips(Layer &layer, const Tensor &skip, int64_t self) {
  const auto experts = static_cast<int64_t>(layer.placement.size());
  expectType(skip, DType::F32, "skip");
  check(skip.size() == experts * layer.out, "skip: expected one row per expert, found shape ",
        toString(skip.shape()));
  const float *rows = skip.data<float>();
  layer.base.assign(layer.out, 0.0f);
  std::vector<float> own;
  for (int64_t e = 0; e < experts; ++e) {
    for (int64_t j = 0; j < layer.out; ++j)
      layer.base[j] += rows[e * layer.out + j];
    if (layer.placement[e] == self)
      own.insert(own.end(), rows + e * layer.out, rows + (e + 1) * layer.out);
  }
  if (layer.byNeuron) {
    layer.neurons.setSkipVectors(own.data());
    std::fill(layer.neurons.base.begin(), layer.neurons.base.end(), 0.0f);
  } else {
    layer.groups.setSkipVectors(own.data());
    std::fill(layer.groups.biasAndSkip.begin(), layer.groups.biasAndSkip.end(), 0.0f);
  }
}

std::any prepare(const Node &node, std::vector<bool> &consumed) {
  auto layer = std::make_shared<Layer>();
  layer->group = currentGroup;
  // Of taking slices, which a rank that was given little memory would keep for nothing.
  if (currentGroup)
    releaseRetainedMemory();
  const int64_t ranks = node.integer("ranks", 1), self = node.integer("rank", 0);
  const int64_t found = currentGroup ? currentGroup->ranks() : 1;
  check(ranks == found && self == (currentGroup ? currentGroup->rank() : 0), "the part of rank ",
        self, " of ", ranks, " runs on another of ", found);
  const std::vector<int64_t> sizes = node.integers("sizes");
  layer->placement = ranks > 1 ? node.integers("shard") : Placement(sizes.size(), 0);
  check(layer->placement.size() == sizes.size(), "expected a rank for each of ", sizes.size(),
        " experts, found ", layer->placement.size());
  std::vector<int64_t> starts{0};
  for (size_t e = 0; e < sizes.size(); ++e)
    if (layer->placement[e] == self)
      starts.push_back(starts.back() + sizes[e]);
  const fast::FfnSource source = ffnInputs(node, kFirstWeight, consumed);
  check(starts.back() == source.hidden, "the experts of rank ", self, " have ", starts.back(),
        " neurons, the weights ", source.hidden);
  check(!source.downBias, "experts have no bias of their results");
  layer->in = source.in;
  layer->out = source.out;
  layer->slots = slotsOf(node, static_cast<int64_t>(sizes.size()));
  layer->byNeuron = fast::preferNeurons(sizes);
  if (layer->byNeuron)
    layer->neurons = fast::PackedNeurons(source, activationOf(node), starts);
  else
    layer->groups = fast::packExact(source, activationOf(node), starts);
  if (const Tensor *skip = node.constant(kSkip)) {
    setSkips(*layer, *skip, self);
    consumed[kSkip] = true;
  }
  return SharedLayer(layer);
}

void run(KernelCall &call) {
  auto *state = std::any_cast<SharedLayer>(&call.state);
  check(state && *state, "the weights must be constants");
  const Layer &layer = **state;
  const Tensor &x = call.in(0);
  const int64_t tokens = rowsOf(x, layer.in, "input 0");
  fast::Choice own;
  ReplicatedLayer all;
  all.name = call.node.name;
  all.placement = layer.placement;
  all.tokens = tokens;
  all.out = layer.out;
  all.routing = routingOf(call, 1, x, layer.slots, own);
  all.hash = layer.group ? hashOf(x.raw(), x.bytes()) : 0;
  all.base = layer.base.empty() ? nullptr : layer.base.data();
  Tensor &y = call.out(0, DType::F32, withLast(x, layer.out));
  all.residual = epilogueOf(call, kResidual, y).residual;
  const float *rows = x.data<float>();
  auto results = [&](const OwnPairs &pairs, float *to) {
    if (tokens == 1) // the one row for all
      return layer.run(rows, 0, pairs, to);
    const auto count = static_cast<int64_t>(pairs.token.size());
    Tensor gathered(DType::F32, {count, layer.in});
    auto *at = gathered.data<float>();
    const int64_t some = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, layer.in));
    ThreadPool::global().parallelFor(count, some, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p)
        std::copy_n(rows + pairs.token[p] * layer.in, layer.in, at + p * layer.in);
    });
    layer.run(at, layer.in, pairs, to);
  };
  replicatedExperts(layer.group, all, results, y.data<float>());
}

} // namespace

void addShardedExperts(KernelTable &table) {
  table.add("uoe", "ShardedExperts", run, prepare);
}

} // namespace uoe::rt::parallel
