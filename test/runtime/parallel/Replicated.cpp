// Layers of which every rank has the same tokens, and groups of ranks that run one program.
#include "Cases.h"
#include "runtime/core/Program.h"
#include "runtime/parallel/ShardedExperts.h"
#include <cmath>
#include <cstring>
#include <numeric>
#include <sstream>

namespace uoe::rt::parallel::test {

namespace {

// Lists of a case's choices for so many tokens, experts descending.
struct Lists {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> ids;
  std::vector<float> weights;

  Lists(const Case &layer, int64_t tokens) {
    const auto experts = static_cast<int>(layer.sizes.size());
    const std::vector<float> all = randoms(tokens * experts, 3000);
    for (int64_t t = 0; t < tokens; ++t) {
      for (int e = experts - 1; e >= 0; --e)
        if (layer.chosen(t, e)) {
          ids.push_back(e);
          weights.push_back(all[t * experts + e]);
        }
      offsets.push_back(static_cast<int64_t>(ids.size()));
    }
  }
  Routing routing(bool weighted) const {
    return {offsets.data(), ids.data(), weighted ? weights.data() : nullptr};
  }
};

Placement placementOf(const Case &layer, int ranks) {
  Placement placement;
  for (size_t e = 0; e < layer.sizes.size(); ++e)
    placement.push_back(layer.place(static_cast<int>(e), ranks));
  return placement;
}

// The weights of some experts side by side, those of an expert the same wherever they are made.
struct Weights {
  std::vector<int64_t> starts{0};
  std::vector<float> gate, up, down; // [in, hidden], [in, hidden], [hidden, out]

  Weights(const std::vector<int64_t> &sizes, const std::function<bool(int)> &has) {
    for (size_t e = 0; e < sizes.size(); ++e)
      if (has(static_cast<int>(e)))
        starts.push_back(starts.back() + sizes[e]);
    const int64_t hidden = starts.back();
    gate.resize(kIn * hidden);
    up.resize(kIn * hidden);
    int64_t at = 0;
    for (size_t e = 0; e < sizes.size(); ++e) {
      if (!has(static_cast<int>(e)))
        continue;
      const auto seed = static_cast<unsigned>(e);
      const int64_t size = sizes[e];
      std::vector<float> g = randoms(kIn * size, 100 + seed), u = randoms(kIn * size, 200 + seed),
                         d = randoms(size * kOut, 300 + seed);
      // Every other expert's fit 16 bits, so that a rank may pack all of its own so.
      if (e % 2 == 0)
        for (std::vector<float> *values : {&g, &u, &d})
          for (float &value : *values)
            value = std::round(value * 128) / 128;
      for (int64_t i = 0; i < kIn; ++i)
        for (int64_t j = 0; j < size; ++j) {
          gate[i * hidden + at + j] = g[i * size + j];
          up[i * hidden + at + j] = u[i * size + j];
        }
      down.insert(down.end(), d.begin(), d.end());
      at += size;
    }
  }

  fast::PackedFfn packed() const {
    fast::FfnSource source;
    source.in = kIn;
    source.hidden = starts.back();
    source.out = kOut;
    source.gate = gate.data();
    source.up = up.data();
    source.down = down.data();
    return fast::PackedFfn(source, fast::Activation::Silu, starts);
  }
};

// The first element of `found` that has not the bits of `expected`, or nothing.
std::string firstDifference(const float *found, const std::vector<float> &expected) {
  for (size_t i = 0; i < expected.size(); ++i)
    if (std::memcmp(&found[i], &expected[i], sizeof(float)) != 0) {
      std::ostringstream text;
      text << "element " << i << ": " << found[i] << ", one process gives " << expected[i] << "; ";
      return text.str();
    }
  return "";
}

} // namespace

std::string checkReplicated(Communicator &comm, const Case &layer) {
  Group group(comm);
  const int ranks = comm.ranks(), self = comm.rank();
  const Placement placement = placementOf(layer, ranks);
  const Weights mine(layer.sizes, [&](int e) { return placement[e] == self; }),
      all(layer.sizes, [](int) { return true; });
  const fast::PackedFfn own = mine.packed(), whole = all.packed();
  std::string problems;
  for (int64_t tokens : {0, 1, 7, 33}) {
    const std::vector<float> x = randoms(tokens * kIn, 1000), base = randoms(kOut, 4000),
                             residual = randoms(tokens * kOut, 5000);
    const Lists lists(layer, tokens);
    const Routing routing = lists.routing(layer.weighted);
    for (bool plain : {true, false})
      for (int64_t inFlight : {int64_t(1) << 20, int64_t(200)}) {
        ReplicatedLayer what{layer.name, placement, tokens, kOut, routing};
        what.inFlight = inFlight;
        what.base = plain ? nullptr : base.data();
        what.residual = plain ? nullptr : residual.data();
        auto function = [&](const OwnPairs &pairs, float *results) {
          const int64_t count = static_cast<int64_t>(pairs.token.size());
          std::vector<float> rows;
          for (int64_t t : pairs.token)
            rows.insert(rows.end(), x.begin() + t * kIn, x.begin() + (t + 1) * kIn);
          std::vector<int64_t> offsets(count + 1);
          std::iota(offsets.begin(), offsets.end(), 0);
          fast::experts(own, rows.data(), kIn, count,
                        {offsets.data(), pairs.expert.data(),
                         pairs.weight.empty() ? nullptr : pairs.weight.data()},
                        results, kOut);
        };
        std::vector<float> y(tokens * kOut, 1e30f), expected(y);
        replicatedExperts(&group, what, function, y.data());
        // Pair by pair.
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t j = 0; j < kOut; ++j)
            expected[t * kOut + j] = plain ? 0.0f : base[j];
          for (int64_t i = lists.offsets[t + 1]; i-- > lists.offsets[t];) {
            const std::vector<int64_t> one{0, 1};
            std::vector<float> result(kOut);
            fast::experts(whole, x.data() + t * kIn, kIn, 1,
                          {one.data(), &lists.ids[i], layer.weighted ? &lists.weights[i] : nullptr},
                          result.data(), kOut);
            for (int64_t j = 0; j < kOut; ++j)
              expected[t * kOut + j] += result[j];
          }
          for (int64_t j = 0; !plain && j < kOut; ++j)
            expected[t * kOut + j] += residual[t * kOut + j];
        }
        if (std::string found = firstDifference(y.data(), expected); !found.empty())
          problems += layer.name + ", " + std::to_string(tokens) + " tokens: " + found;
      }
  }
  return problems;
}

namespace {

// One call of an entry on constant weights.
class Entry {
public:
  Entry(const std::string &op, const Weights &weights, const std::vector<int64_t> &sizes,
        const std::vector<float> &skip, const std::map<std::string, Attribute> &more,
        Group *group) {
    Program::Step step;
    step.node.name = "layer";
    step.node.domain = "uoe";
    step.node.op = op;
    step.node.attributes = more;
    step.node.attributes["activation"] = int64_t(4); // SiLU
    step.node.attributes["sizes"] = sizes;
    auto input = [&](const char *name) {
      program.inputNames.push_back(name);
      program.inputSlots.push_back(program.slots);
      return program.slots++;
    };
    auto constant = [&](const std::vector<float> &values, const Shape &shape) {
      Tensor tensor(DType::F32, shape);
      std::copy(values.begin(), values.end(), tensor.data<float>());
      program.constants.emplace_back(program.slots, tensor);
      return program.slots++;
    };
    const int x = input("x"), offsets = input("offsets"), ids = input("ids"), w = input("weights");
    const int64_t hidden = weights.starts.back();
    step.inputs = {x,
                   offsets,
                   ids,
                   w,
                   constant(weights.up, {kIn, hidden}),
                   constant(weights.gate, {kIn, hidden}),
                   constant(weights.down, {hidden, kOut}),
                   -1,
                   -1,
                   -1,
                   skip.empty() ? -1 : constant(skip, {static_cast<int64_t>(sizes.size()), kOut})};
    step.outputs = {program.slots++};
    program.outputNames = {"y"};
    program.outputSlots = step.outputs;
    program.steps.push_back(step);
    KernelTable table = KernelTable::builtin();
    addShardedExperts(table);
    CurrentGroup current(group);
    program.finish(table);
    executor = std::make_unique<Executor>(program);
  }

  Tensor run(const std::vector<float> &x, const Lists &lists) {
    auto tensor = [](DType type, const auto &values, const Shape &shape) {
      Tensor t(type, shape);
      std::copy(values.begin(), values.end(),
                t.data<typename std::decay_t<decltype(values)>::value_type>());
      return Value(t);
    };
    const auto pairs = static_cast<int64_t>(lists.ids.size()),
               rows = static_cast<int64_t>(lists.offsets.size());
    return executor
        ->run({tensor(DType::F32, x, {rows - 1, kIn}), tensor(DType::I64, lists.offsets, {rows}),
               tensor(DType::I32, lists.ids, {pairs}), tensor(DType::F32, lists.weights, {pairs})})
        .front()
        .tensor;
  }

private:
  Program program;
  std::unique_ptr<Executor> executor;
};

} // namespace

std::string checkEntry(Communicator &comm) {
  Group group(comm);
  const int64_t ranks = comm.ranks(), self = comm.rank();
  std::string problems;
  for (const Case &layer : cases()) {
    const Placement placement = placementOf(layer, comm.ranks());
    const auto experts = static_cast<int64_t>(layer.sizes.size());
    const Weights mine(layer.sizes, [&](int e) { return placement[e] == self; }),
        all(layer.sizes, [](int) { return true; });
    for (bool skips : {false, true}) {
      const std::vector<float> skip = skips ? randoms(experts * kOut, 6000) : std::vector<float>();
      // Router outputs in another order than the experts; the last one is none.
      std::map<std::string, Attribute> attributes;
      if (skips) {
        std::vector<int64_t> slots(experts);
        std::iota(slots.rbegin(), slots.rend(), 0);
        slots.back() = -1;
        attributes["slots"] = slots;
      }
      Entry whole("Experts", all, layer.sizes, skip, attributes, nullptr);
      Entry alone("ShardedExperts", all, layer.sizes, skip, attributes, nullptr);
      attributes["shard"] = placement;
      attributes["rank"] = self;
      attributes["ranks"] = ranks;
      Entry part("ShardedExperts", ranks > 1 ? mine : all, layer.sizes, skip, attributes, &group);
      for (int64_t tokens : {0, 1, 7, 33}) {
        const std::vector<float> x = randoms(tokens * kIn, 1000);
        const Lists lists(layer, tokens);
        const Tensor y = part.run(x, lists), expected = alone.run(x, lists),
                     fused = whole.run(x, lists);
        const auto *bits = expected.data<float>();
        std::string found =
            firstDifference(y.data<float>(), std::vector<float>(bits, bits + expected.size()));
        for (int64_t i = 0; found.empty() && i < y.size(); ++i)
          if (const float a = y.data<float>()[i], b = fused.data<float>()[i];
              !(std::fabs(a - b) <= 4e-5f * std::max(1.0f, std::fabs(b))))
            found = "element " + std::to_string(i) + ": " + std::to_string(a) +
                    ", uoe.Experts gives " + std::to_string(b) + "; ";
        if (!found.empty())
          problems += layer.name + (skips ? " with skips, " : ", ") + std::to_string(tokens) +
                      " tokens: " + found;
      }
    }
  }
  return problems;
}

std::string checkReplicatedRefusals(Communicator &comm) {
  const int last = comm.ranks() - 1;
  const bool odd = comm.rank() == last;
  std::string problems;
  // The last rank does what is wrong. Every rank has to hear of it, twice.
  auto refused = [&](const char *what, const std::string &wanted,
                     const std::function<void(Group &)> &run) {
    Group group(comm);
    for (int turn = 0; turn < 2; ++turn) {
      std::string found = "nothing";
      try {
        run(group);
      } catch (const std::exception &error) {
        found = error.what();
      }
      if (found.find(wanted) != std::string::npos && group.broken())
        continue;
      std::ostringstream text;
      text << what << ": rank " << comm.rank() << " expected '" << wanted << "', found '" << found
           << "'; ";
      problems += text.str();
    }
  };
  const std::vector<int64_t> offsets = {0, 1, 2};
  auto layer = [&](Group &group, int64_t tokens, const std::vector<int32_t> &ids, uint64_t hash,
                   bool fails) {
    ReplicatedLayer what{
        "moe", Placement(3, last), tokens, 2, {offsets.data(), ids.data(), nullptr}};
    what.hash = hash;
    std::vector<float> y(tokens * what.out);
    replicatedExperts(
        &group, what,
        [&](const OwnPairs &pairs, float *results) {
          check(!fails, "out of luck");
          std::fill_n(results, pairs.token.size() * what.out, 1.0f);
        },
        y.data());
  };
  const std::vector<int32_t> good = {0, 2};
  const std::string name = "rank " + std::to_string(last);
  refused("no such expert", odd ? "chose expert 3; there are 3" : name, [&](Group &g) {
    layer(g, 2, odd ? std::vector<int32_t>{0, 3} : good, 1, false);
  });
  refused("a failure", odd ? "out of luck" : name + ": layer 'moe': out of luck",
          [&](Group &g) { layer(g, 2, good, 1, odd); });
  refused("a failure elsewhere", name + ": no such file", [&](Group &g) {
    if (odd) {
      g.fail("no such file");
      g.agree("the end", 0);
    } else {
      layer(g, 2, good, 1, false);
    }
  });
  if (last > 0) { // with one rank there is nobody to disagree
    const std::string other = name + " has something else than rank 0 in layer 'moe'";
    refused("another x", other, [&](Group &g) { layer(g, 2, good, odd ? 2 : 1, false); });
    refused("other tokens", other, [&](Group &g) { layer(g, odd ? 1 : 2, good, 1, false); });
    refused("another choice", other, [&](Group &g) {
      layer(g, 2, odd ? std::vector<int32_t>{1, 2} : good, 1, false);
    });
    refused("another place", name + " has come to the end, rank 0 to layer 'moe'", [&](Group &g) {
      if (odd)
        g.agree("the end", 0);
      else
        layer(g, 2, good, 1, false);
    });
  }
  Group group(comm);
  if (group.share("a number", comm.rank() + 5) != 5)
    problems += "rank 0's number is not shared; ";
  const std::vector<int64_t> all = group.gather("a number", comm.rank() - 1);
  for (int r = 0; r < comm.ranks(); ++r)
    if (all[r] != r - 1)
      problems += "numbers are not gathered; ";
  return problems;
}

} // namespace uoe::rt::parallel::test
