#include "lib/Presets/Presets.h"
#include "lib/Presets/Blocks.h"
#include "lib/Report/Number.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::presets;

namespace {

/// The sizes of one build.
class Sizes {
public:
  explicit Sizes(std::vector<Dim> dims) : dims(std::move(dims)) {}
  Dim *find(StringRef name) {
    auto found = llvm::find_if(dims, [&](const Dim &dim) { return dim.name == name; });
    return found == dims.end() ? nullptr : &*found;
  }
  bool has(StringRef name) const { return const_cast<Sizes *>(this)->find(name) != nullptr; }
  double real(StringRef name) const { return const_cast<Sizes *>(this)->find(name)->value; }
  int64_t operator[](StringRef name) const { return static_cast<int64_t>(real(name)); }

  std::vector<Dim> dims;
};

struct Preset {
  const char *name, *text, *source;
  std::vector<std::pair<const char *, double>> dims;
  std::function<Value(Graph &, const Sizes &)> build;
};

/// What a dim is, wherever it occurs.
struct Meaning {
  const char *name, *text;
  double least = 1, most = 1 << 20;
  bool real = false;
};

} // namespace

static const Meaning kMeanings[] = {
    {"vocab", "rows of the embedding", 1, 1 << 24},
    {"d", "width of the residual stream"},
    {"layers", "layers that a token passes", 1, 1000},
    {"group", "layers with weights of their own; layers/group rounds share them"},
    {"heads", "attention heads"},
    {"kv_heads", "heads of keys and values"},
    {"d_head", "width of a head", 4},
    {"hidden", "neurons of a dense feed-forward block"},
    {"experts", "routed experts", 1, 1 << 16},
    {"d_expert", "neurons of an expert"},
    {"k", "experts of a token"},
    {"every", "every so many layers one has experts, the others are dense"},
    {"shared_experts", "experts that every token uses", 0},
    {"groups", "groups of experts"},
    {"group_k", "groups of a token"},
    {"factor", "of the routed experts' weights", 0, 1e9, true},
    {"tau", "threshold of the gates", 0, 0.999999, true},
    {"p", "sum of gates that the chosen exceed", 1e-6, 1, true},
    {"temperature", "of the router's softmax", 1e-6, 1e9, true},
    {"d_route", "dimensions in which the router compares"},
    {"att_experts", "experts of a head's values, and of its outputs"},
    {"att_k", "of these, those of a token"},
    {"k_heads", "heads of a token"},
    {"capacity", "share of the tokens that an expert takes", 1e-6, 1, true},
    {"fill", "1: experts are filled up with tokens that did not choose them (the code); 0: not", 0,
     1},
    {"over_batch",
     "1: gates are normalised over the batch (language modelling code); 0: over experts", 0, 1},
    {"cache", "1: past keys and values in, present ones out; 0: whole sequences", 0, 1},
    {"causal", "1: causal attention; 0: every token sees all", 0, 1},
    {"zero", "zero experts", 0},
    {"copy", "copy experts", 0},
    {"constant", "constant experts", 0},
    {"rank", "of a low-rank expert or residual"},
    {"lambda", "share of the routed low-rank experts, 1 - lambda of the common one", 0, 1, true},
    {"group_temperature", "of the softmax over groups", 1e-6, 1e9, true},
};

static const Meaning &meaningOf(StringRef name) {
  return *llvm::find_if(kMeanings, [&](const Meaning &m) { return name == m.name; });
}

//===----------------------------------------------------------------------===//
// One function a system: what is its own
//===----------------------------------------------------------------------===//

static Stack stackOf(const Sizes &d) {
  Stack stack;
  stack.vocabulary = d["vocab"];
  stack.width = d["d"];
  stack.layers = d["layers"];
  stack.heads = d["heads"];
  stack.kvHeads = d.has("kv_heads") ? d["kv_heads"] : stack.heads;
  stack.headSize = d["d_head"];
  stack.rotated = stack.headSize / 2 * 2;
  stack.cached = d.has("cache") && d["cache"] != 0;
  return stack;
}

static Stack encoderOf(const Sizes &d) {
  Stack stack = stackOf(d);
  stack.norm = Norm::Layer;
  stack.rotated = 0;
  stack.causal = false;
  return stack;
}

/// Only every so many layers has experts.
static bool isRouted(const Sizes &d, int64_t layer) {
  return (layer + 1) % d["every"] == 0;
}

// DSMoE: contiguous groups of a SwiGLU block's neurons behind sigmoid gates with a threshold.
static Value dsmoe(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  stack.base = 500000;
  stack.tied = true;
  int64_t n = d["experts"];
  Ffn ffn{Activation::silu, true, d["hidden"] / n};
  return transformer(g, stack, [&](Value x, int64_t, const Rotary &) {
    Value routing = select(g, Rule::threshold, score(g, x, n), [&](SelectOp op) {
      op.setTauAttr(g.b.getF32FloatAttr(static_cast<float>(d.real("tau"))));
      op.setScoring(Scoring::sigmoid);
      op.setWeight(WeightRule::gate);
      op.setScaling(Scaling::n_over_active);
    });
    return expertFfns(g, stack, ffn, {n, static_cast<double>(n)}, x, routing);
  });
}

// MoEUT: σ-MoE and SwitchHead in a group of layers that is run over and over. Only what goes into a
// softmax or sigmoid is normalised (peri-layernorm).
static Value moeut(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  stack.norm = Norm::Layer;
  stack.rotated = stack.headSize / 4 * 2;
  int64_t heads = stack.heads, attExperts = d["att_experts"], k = d["k"];
  Ffn ffn{Activation::relu, false, d["d_expert"]};
  Caches caches(g, stack);
  Embedding embedding = embed(g, stack);
  Rotary angles = rotary(g, stack.rotated, stack.base, caches.length());

  auto choose = [&](const std::string &name, Value x, int64_t n, int64_t count) {
    Graph::Scope scope(g, name);
    return select(g, Rule::token_topk, score(g, x, n), [&](SelectOp op) {
      op.setK(count);
      op.setScoring(Scoring::sigmoid);
      op.setWeight(WeightRule::gate);
    });
  };
  auto switchHead = [&](Value x) {
    Graph::Scope scope(g, "attention");
    Value n = normalize(g, stack, "norm", x);
    int64_t size = stack.headSize, all = attExperts * size;
    auto project = [&](const std::string &name) {
      Value heads = splitHeads(g, g.multiply(n, g.matrix(name, stack.width, stack.heads * size)),
                               stack.heads);
      return rotate(g, stack, angles, heads);
    };
    Value q = project("q"), key = project("k");
    SmallVector<Value> values;
    for (int64_t h = 0; h < heads; ++h) {
      Graph::Scope head(g, "heads." + std::to_string(h));
      Value routing = choose("v", n, attExperts, d["att_k"]);
      values.push_back(
          expertProducts(g, x, g.matrix("v", stack.width, all), 1, attExperts, routing));
    }
    Value v = values.front();
    if (heads > 1)
      v = g.node("Concat", values, g.rows(heads * size),
                 g.named("axis", g.b.getI64IntegerAttr(-1)));
    // The cache keeps values as they were mixed.
    v = splitHeads(g, v, heads);
    if (g.withPast)
      g.withPast(key, v);
    Value mixed = attend(g, q, key, v, stack.causal), sum;
    for (int64_t h = 0; h < heads; ++h) {
      Graph::Scope head(g, "heads." + std::to_string(h));
      Value own = g.node("Gather", {mixed, g.scalar(g.b.getI64IntegerAttr(h))}, g.rows(size),
                         g.named("axis", g.b.getI64IntegerAttr(1)));
      Value routing = choose("o", n, attExperts, d["att_k"]);
      double terms = static_cast<double>(d["att_k"] * heads * size);
      Value o = g.weight("o", {all, stack.width}, stack.residual(terms));
      Value part = expertProducts(g, own, o, 0, attExperts, routing);
      sum = sum ? g.add(sum, part) : part;
    }
    return sum;
  };
  auto sigmaMoe = [&](Value x) {
    Graph::Scope scope(g, "ffn");
    Value routing = choose("router", normalize(g, stack, "norm", x), d["experts"], k);
    return expertFfns(g, stack, ffn, {d["experts"], static_cast<double>(k)}, x, routing);
  };

  Value y = caches.rounds(embedding.rows, d["group"], {}, [&](Value x, int64_t layer, ValueRange) {
    Graph::Scope scope(g, "group." + std::to_string(layer));
    x = g.add(x, switchHead(x));
    return g.add(x, sigmaMoe(x));
  });
  caches.finish();
  return head(g, stack, embedding, y);
}

// The dense baseline of MoEUT's tables, of as many parameters.
static Value moeutDense(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  stack.norm = Norm::Layer;
  stack.rotated = stack.headSize / 4 * 2;
  Ffn ffn{Activation::relu, false, d["hidden"]};
  return transformer(g, stack,
                     [&](Value x, int64_t, const Rotary &) { return denseFfn(g, stack, ffn, x); });
}

// Relaxed recursive transformer: a group of layers that is run over and over, each projection with
// a low-rank residual of its own for each round.
static Value relaxedRecursive(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  const int64_t group = d["group"], rounds = stack.layers / group, rank = d["rank"];
  const int64_t heads = stack.heads * stack.headSize, kv = stack.kvHeads * stack.headSize;
  struct Projection {
    const char *name;
    int64_t rows, columns;
    bool last; // what it gives is added to the residual stream
  };
  const Projection projections[] = {{"q", stack.width, heads, false},
                                    {"k", stack.width, kv, false},
                                    {"v", stack.width, kv, false},
                                    {"o", heads, stack.width, true},
                                    {"gate", stack.width, d["hidden"], false},
                                    {"up", stack.width, d["hidden"], false},
                                    {"down", d["hidden"], stack.width, true}};
  Caches caches(g, stack);
  Embedding embedding = embed(g, stack);
  Rotary angles = rotary(g, stack.rotated, stack.base, caches.length());
  SmallVector<Value> residuals;
  for (int64_t layer = 0; layer < group; ++layer) {
    Graph::Scope scope(g, "group." + std::to_string(layer) + ".rounds");
    for (const Projection &p : projections) {
      double deviation = 1 / std::sqrt(static_cast<double>(p.rows));
      residuals.push_back(g.weight(std::string(p.name) + ".a", {rounds, p.rows, rank}, deviation));
      residuals.push_back(g.weight(std::string(p.name) + ".b", {rounds, rank, p.columns}, 0.1));
    }
  }
  auto layerOf = [&](Value x, int64_t layer, ValueRange each) {
    Graph::Scope scope(g, "group." + std::to_string(layer));
    auto project = [&](StringRef name, Value h) -> Value {
      auto found = llvm::find_if(projections, [&](const Projection &p) { return name == p.name; });
      auto at = static_cast<int64_t>(std::size(projections)) * layer + (found - projections);
      auto fanIn = static_cast<double>(found->rows);
      Value w = g.weight(name.str(), {found->rows, found->columns},
                         found->last ? stack.residual(fanIn) : 1 / std::sqrt(fanIn));
      Value own = FfnOp::create(g.b, g.loc, g.rows(found->columns), Activation::identity, h,
                                each[2 * at], Value(), each[2 * at + 1], Value(), Value(), Value());
      if (found->last)
        own = g.node("Mul",
                     {own, g.scalar(g.b.getF32FloatAttr(
                               static_cast<float>(stack.residual(static_cast<double>(rank)))))},
                     own.getType());
      return g.add(g.multiply(h, w), own);
    };
    Value attended =
        selfAttention(g, stack, angles, normalize(g, stack, "attention.norm", x),
                      [&](const std::string &name, Value h, int64_t) { return project(name, h); });
    x = g.add(x, attended);
    Value h = normalize(g, stack, "ffn.norm", x);
    Value gate = project("gate", h);
    Value open = g.node("Mul", {gate, g.node("Sigmoid", gate, gate.getType())}, gate.getType());
    Value hidden = g.node("Mul", {open, project("up", h)}, gate.getType());
    return g.add(x, project("down", hidden));
  };
  Value y = caches.rounds(embedding.rows, group, residuals, layerOf);
  caches.finish();
  return head(g, stack, embedding, y);
}

// X-MoE: top-1 by cosines in few dimensions.
static Value xMoe(Graph &g, const Sizes &d) {
  Stack stack = encoderOf(d);
  int64_t n = d["experts"], size = d["d_route"];
  return transformer(g, stack, [&](Value x, int64_t layer, const Rotary &) {
    if (!isRouted(d, layer))
      return denseFfn(g, stack, {Activation::gelu, false, d["hidden"]}, x);
    Value weights[] = {g.matrix("router.down", stack.width, size),
                       g.matrix("router.experts", size, n)};
    Value scores =
        ScoreOp::create(g.b, g.loc, g.rows(n), ScoreKind::cosine, x, ValueRange(weights));
    Value routing = select(g, Rule::token_topk, scores, [&](SelectOp op) {
      op.setK(1);
      op.setScoring(Scoring::softmax);
      op.setTemperature(APFloat(static_cast<float>(d.real("temperature"))));
      op.setWeight(WeightRule::gate);
    });
    return expertFfns(g, stack, {Activation::gelu, false, d["d_expert"]}, {n, 1}, x, routing);
  });
}

// UoE: feed-forward slices and head groups that pick their tokens. The heads' queries, keys and
// values all come from the tokens that the head took.
static Value unionOfExperts(Graph &g, const Sizes &d) {
  Stack stack = encoderOf(d);
  stack.causal = d["causal"] != 0;
  int64_t n = d["experts"], heads = stack.heads, size = stack.headSize;
  auto choose = [&](Value x, int64_t experts, int64_t k) {
    Value scores = score(g, x, experts, g.filled("router.bias", {experts}, 0));
    return select(g, Rule::token_topk, scores, [&](SelectOp op) {
      op.setK(k);
      op.setScoring(Scoring::softmax);
      op.setNormalize(d["over_batch"] ? NormalizeAxis::batch : NormalizeAxis::experts);
      op.setCapacityShareAttr(g.b.getF32FloatAttr(static_cast<float>(d.real("capacity"))));
      op.setPadding(d["fill"] ? Padding::token : Padding::masked);
    });
  };
  auto attention = [&](Value x, int64_t, const Rotary &) {
    int64_t all = heads * size;
    ExpertsSpec spec;
    spec.shared = {x};
    for (const char *name : {"q", "k", "v"}) {
      spec.sliced.push_back(g.matrix(name, stack.width, all));
      spec.axes.push_back(1);
    }
    spec.sliced.push_back(
        g.weight("o", {all, stack.width}, stack.residual(static_cast<double>(all))));
    spec.axes.push_back(0);
    spec.sizes.assign(heads, size);
    spec.routing = choose(x, heads, d["k_heads"]);
    spec.gathered = true;
    return makeExperts(g, spec, x.getType(), [&](ValueRange v) {
      auto part = [&](Value w) {
        return g.node("Unsqueeze", {g.multiply(v[0], w), g.integers({1})},
                      g.floats({Graph::kAny, 1, Graph::kAny, size}));
      };
      auto mask = RankedTensorType::get({Graph::kAny, 1, 1, Graph::kAny}, g.b.getI1Type());
      Value valid = g.node("Unsqueeze", {v[5], g.integers({1, 2})}, mask);
      Value mixed = attend(g, part(v[1]), part(v[2]), part(v[3]), stack.causal, valid);
      Value rows = g.node("Squeeze", {mixed, g.integers({1})}, g.rows(size));
      return g.multiply(rows, v[4]);
    });
  };
  auto ffn = [&](Value x, int64_t, const Rotary &) {
    Value routing = choose(x, n, d["k"]);
    Ffn half{Activation::relu, false, d["hidden"] / n};
    return expertFfns(g, stack, half, {n, d.real("k")}, x, routing);
  };
  return transformer(g, stack, ffn, attention);
}

// AT-MoE: low-rank experts on queries and values, a softmax over groups times one within each.
static Value atMoe(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  int64_t n = d["experts"], groups = d["groups"], rank = d["rank"];
  SmallVector<int64_t> groupOf;
  for (int64_t e = 0; e < n; ++e)
    groupOf.push_back(e / (n / groups));
  auto lambda = static_cast<float>(d.real("lambda"));
  auto attention = [&](Value x, int64_t, const Rotary &angles) {
    Value byGroup;
    {
      Graph::Scope scope(g, "groups");
      byGroup = score(g, x, groups);
    }
    Value scores = score(g, x, n);
    auto op =
        SelectOp::create(g.b, g.loc, RoutingType::get(g.b.getContext(), n), Rule::all, scores);
    op.getGroupScoresMutable().assign(byGroup);
    op.setGroups(groupOf);
    op.setScoring(Scoring::softmax);
    op.setTemperature(APFloat(static_cast<float>(d.real("temperature"))));
    op.setGroupTemperature(APFloat(static_cast<float>(d.real("group_temperature"))));
    op.setWeight(WeightRule::gate);
    op.setFactor(APFloat(lambda));
    return selfAttention(
        g, stack, angles, x, [&](const std::string &name, Value h, int64_t columns) {
          Graph::Scope scope(g, name);
          int64_t rows = Graph::width(h);
          if (name != "q" && name != "v") {
            double deviation = stack.residual(static_cast<double>(rows));
            return g.multiply(h, name == "o" ? g.weight("base", {rows, columns}, deviation)
                                             : g.matrix("base", rows, columns));
          }
          auto lowRank = [&](int64_t size) {
            return std::pair(g.matrix("a", rows, size), g.weight("b", {size, columns}, 0.1));
          };
          Value y = g.multiply(h, g.matrix("base", rows, columns));
          auto [a, b] = lowRank(n * rank);
          ExpertsSpec spec;
          spec.shared = {h};
          spec.sliced = {a, b};
          spec.axes = {1, 0};
          spec.sizes.assign(n, rank);
          spec.routing = op.getRouting();
          auto low = [&](Value in, Value up, Value down) -> Value {
            return FfnOp::create(g.b, g.loc, g.rows(columns), Activation::identity, in, up, Value(),
                                 down, Value(), Value(), Value());
          };
          Value routed = makeExperts(g, spec, g.rows(columns),
                                     [&](ValueRange v) { return low(v[0], v[1], v[2]); });
          Graph::Scope common(g, "common");
          auto [ap, bp] = lowRank(rank);
          Value rest = g.node("Mul", {low(h, ap, bp), g.scalar(g.b.getF32FloatAttr(1 - lambda))},
                              g.rows(columns));
          return g.add(g.add(y, routed), rest);
        });
  };
  Ffn ffn{Activation::silu, true, d["hidden"]};
  return transformer(
      g, stack, [&](Value x, int64_t, const Rotary &) { return denseFfn(g, stack, ffn, x); },
      attention);
}

// MoE++: zero, copy and constant experts beside feed-forward ones; router logits see those of the
// layer before.
static Value moePlusPlus(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  int64_t n = d["experts"], zero = d["zero"], copy = d["copy"], constant = d["constant"];
  int64_t all = n + zero + copy + constant;
  // Slots: feed-forward experts, zero experts, which nobody serves, copies, constants.
  auto slots = [&](int64_t first, int64_t count, bool own) {
    SmallVector<int64_t> result(all, -1);
    for (int64_t e = 0; e < count; ++e)
      result[first + e] = own ? e : 0;
    return result;
  };
  Value before;
  return transformer(g, stack, [&, before](Value x, int64_t, const Rotary &) mutable {
    Value scores = score(g, x, all);
    if (before) {
      auto op = scores.getDefiningOp<ScoreOp>();
      op.getPreviousMutable().assign(before);
      op.getMixMutable().assign(g.matrix("router.previous", all, all));
    }
    before = scores;
    Value routing = select(g, Rule::token_topk, scores, [&](SelectOp op) {
      op.setK(d["k"]);
      op.setScoring(Scoring::softmax);
      op.setWeight(WeightRule::gate);
    });
    Ffn ffn{Activation::silu, true, d["d_expert"]};
    Value y = expertFfns(g, stack, ffn, {n, d.real("k"), slots(0, n, true)}, x, routing);
    if (copy > 0) {
      // All copies are alike, and so one expert with several slots.
      ExpertsSpec spec;
      spec.shared = {x};
      spec.sizes = {1};
      spec.slots = slots(n + zero, copy, false);
      spec.routing = routing;
      y = g.add(y, makeExperts(g, spec, x.getType(), [](ValueRange v) { return v[0]; }));
    }
    for (int64_t e = 0; e < constant; ++e) {
      Graph::Scope scope(g, "constant." + std::to_string(e));
      ExpertsSpec spec;
      spec.shared = {x, g.matrix("mix", stack.width, 2), g.weight("value", {stack.width}, 1)};
      spec.sizes = {1};
      spec.slots = slots(n + zero + copy + e, 1, true);
      spec.routing = routing;
      y = g.add(y, makeExperts(g, spec, x.getType(), [&](ValueRange v) {
                  Value mix = g.node("Softmax", g.multiply(v[0], v[1]), g.rows(2),
                                     g.named("axis", g.b.getI64IntegerAttr(-1)));
                  auto parts = onnx::NodeOp::create(
                      g.b, g.loc, TypeRange{g.rows(1), g.rows(1)}, "Split", mix,
                      {g.named("axis", g.b.getI64IntegerAttr(-1)),
                       g.named("num_outputs", g.b.getI64IntegerAttr(2))});
                  Value own = g.node("Mul", {parts.getResult(0), v[0]}, x.getType());
                  return g.add(own, g.node("Mul", {parts.getResult(1), v[2]}, x.getType()));
                }));
    }
    return y;
  });
}

// Dynamic top-p: as many experts as it takes for their gates to exceed p.
static Value topP(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  int64_t n = d["experts"];
  return transformer(g, stack, [&](Value x, int64_t, const Rotary &) {
    Value routing = select(g, Rule::top_p, score(g, x, n), [&](SelectOp op) {
      op.setPAttr(g.b.getF32FloatAttr(static_cast<float>(d.real("p"))));
      op.setScoring(Scoring::softmax);
      op.setWeight(WeightRule::gate);
    });
    return expertFfns(g, stack, {Activation::silu, true, d["d_expert"]}, {n, 2}, x, routing);
  });
}

// DynMoE: every expert has its own threshold of the cosine; a token that passes none gets the best.
static Value topAny(Graph &g, const Sizes &d) {
  Stack stack = encoderOf(d);
  int64_t n = d["experts"];
  return transformer(g, stack, [&](Value x, int64_t layer, const Rotary &) {
    if (!isRouted(d, layer))
      return denseFfn(g, stack, {Activation::gelu, false, d["hidden"]}, x);
    Value w = g.matrix("router", stack.width, n);
    Value scores = ScoreOp::create(g.b, g.loc, g.rows(n), ScoreKind::cosine, x, ValueRange{w});
    Value routing = select(g, Rule::threshold, scores, [&](SelectOp op) {
      op.getThresholdsMutable().assign(g.filled("router.thresholds", {n}, 0));
      op.setEmpty(EmptyChoice::argmax);
      op.setScaling(Scaling::one_over_active);
    });
    return expertFfns(g, stack, {Activation::gelu, false, d["d_expert"]}, {n, 1}, x, routing);
  });
}

// DeepSeek: many small experts, some that all tokens use, and a choice of groups before that of
// experts (as in V3's released code).
static Value deepSeek(Graph &g, const Sizes &d) {
  Stack stack = stackOf(d);
  int64_t n = d["experts"], groups = d["groups"], common = d["shared_experts"];
  SmallVector<int64_t> groupOf;
  for (int64_t e = 0; e < n; ++e)
    groupOf.push_back(e / (n / groups));
  return transformer(g, stack, [&](Value x, int64_t, const Rotary &) {
    Value routing = select(g, Rule::token_topk, score(g, x, n), [&](SelectOp op) {
      op.getSelectionBiasMutable().assign(g.filled("router.bias", {n}, 0));
      op.setK(d["k"]);
      op.setScoring(Scoring::sigmoid);
      op.setGroups(groupOf);
      op.setGroupK(d["group_k"]);
      op.setGroupScore(GroupScore::top2);
      op.setNormalize(NormalizeAxis::experts);
      op.setWeight(WeightRule::gate);
      op.setFactor(APFloat(static_cast<float>(d.real("factor"))));
    });
    Ffn ffn{Activation::silu, true, d["d_expert"]};
    Value y = expertFfns(g, stack, ffn, {n, 1}, x, routing);
    if (common == 0)
      return y;
    Graph::Scope scope(g, "shared");
    return g.add(y, denseFfn(g, stack, {ffn.activation, true, common * ffn.hidden}, x));
  });
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

static const std::vector<Preset> &table() {
  static const std::vector<Preset> presets = {
      {"uoe",
       "encoder whose feed-forward slices and attention heads pick half of the tokens",
       "arXiv 2503.02495 and its code; routing as published, sizes of a base transformer",
       {{"vocab", 32000},
        {"d", 512},
        {"layers", 6},
        {"heads", 8},
        {"k_heads", 4},
        {"d_head", 64},
        {"hidden", 2048},
        {"experts", 4},
        {"k", 2},
        {"capacity", 0.5},
        {"fill", 0},
        {"over_batch", 0},
        {"causal", 0}},
       unionOfExperts},
      {"dsmoe",
       "Llama-3.2-1B, its feed-forward blocks in 8 groups behind sigmoid thresholds",
       "arXiv 2502.12455; sizes of Llama-3.2-1B, as in the paper",
       {{"vocab", 128256},
        {"d", 2048},
        {"layers", 16},
        {"heads", 32},
        {"kv_heads", 8},
        {"d_head", 64},
        {"hidden", 8192},
        {"experts", 8},
        {"tau", 0.5},
        {"cache", 0}},
       dsmoe},
      {"moeut-44m",
       "recurrent in depth, experts in feed-forward and attention",
       "arXiv 2405.16039, the paper's 44M; vocabulary 8000",
       {{"vocab", 8000},
        {"d", 412},
        {"layers", 16},
        {"group", 2},
        {"heads", 4},
        {"d_head", 82},
        {"experts", 155},
        {"d_expert", 128},
        {"k", 12},
        {"att_experts", 8},
        {"att_k", 2},
        {"cache", 0}},
       moeut},
      {"moeut-244m",
       "the same, larger",
       "arXiv 2405.16039, the paper's 244M; vocabulary 8000",
       {{"vocab", 8000},
        {"d", 1024},
        {"layers", 18},
        {"group", 2},
        {"heads", 4},
        {"d_head", 128},
        {"experts", 387},
        {"d_expert", 128},
        {"k", 16},
        {"att_experts", 10},
        {"att_k", 2},
        {"cache", 0}},
       moeut},
      {"moeut-1b",
       "the same, larger",
       "arXiv 2405.16039, the paper's 1B; vocabulary 8000",
       {{"vocab", 8000},
        {"d", 1536},
        {"layers", 36},
        {"group", 4},
        {"heads", 6},
        {"d_head", 128},
        {"experts", 565},
        {"d_expert", 128},
        {"k", 24},
        {"att_experts", 12},
        {"att_k", 2},
        {"cache", 0}},
       moeut},
      {"moeut-44m-dense",
       "the dense transformer of as many parameters as moeut-44m",
       "arXiv 2405.16039, sizes that match its 44M baseline",
       {{"vocab", 8000},
        {"d", 412},
        {"layers", 16},
        {"heads", 10},
        {"d_head", 41},
        {"hidden", 2053},
        {"cache", 0}},
       moeutDense},
      {"moeut-244m-dense",
       "the dense transformer of as many parameters as moeut-244m",
       "arXiv 2405.16039, sizes that match its 244M baseline",
       {{"vocab", 8000},
        {"d", 1024},
        {"layers", 18},
        {"heads", 16},
        {"d_head", 64},
        {"hidden", 4110},
        {"cache", 0}},
       moeutDense},
      {"moeut-1b-dense",
       "the dense transformer of as many parameters as moeut-1b",
       "arXiv 2405.16039, sizes that match its 1B baseline",
       {{"vocab", 8000},
        {"d", 1536},
        {"layers", 36},
        {"heads", 24},
        {"d_head", 64},
        {"hidden", 6144},
        {"cache", 0}},
       moeutDense},
      {"relaxed-recursive",
       "half as many layers, run twice, each round with low-rank residuals of its own",
       "arXiv 2410.20672; sizes of TinyLlama-1.1B, rank chosen here",
       {{"vocab", 32000},
        {"d", 2048},
        {"layers", 22},
        {"group", 11},
        {"heads", 32},
        {"kv_heads", 4},
        {"d_head", 64},
        {"hidden", 5632},
        {"rank", 64},
        {"cache", 0}},
       relaxedRecursive},
      {"x-moe",
       "encoder, top-1 by cosines on a sphere of half as many dimensions as experts",
       "arXiv 2204.09179; router as in the paper, sizes of a base encoder",
       {{"vocab", 64000},
        {"d", 768},
        {"layers", 12},
        {"heads", 12},
        {"d_head", 64},
        {"hidden", 3072},
        {"every", 2},
        {"experts", 32},
        {"d_expert", 3072},
        {"d_route", 16},
        {"temperature", 0.3}},
       xMoe},
      {"at-moe",
       "low-rank experts on queries and values, grouped by task",
       "arXiv 2410.10896; routing as described, sizes chosen here",
       {{"vocab", 32000},
        {"d", 768},
        {"layers", 12},
        {"heads", 12},
        {"d_head", 64},
        {"hidden", 2048},
        {"experts", 8},
        {"groups", 2},
        {"rank", 8},
        {"lambda", 0.75},
        {"temperature", 1},
        {"group_temperature", 1},
        {"cache", 0}},
       atMoe},
      {"moe-plus-plus",
       "top-2 of 8 experts, a zero, a copy and two constant experts",
       "arXiv 2410.07348, its 0.6B; vocabulary chosen here",
       {{"vocab", 65536},
        {"d", 768},
        {"layers", 12},
        {"heads", 12},
        {"d_head", 64},
        {"experts", 8},
        {"d_expert", 2048},
        {"zero", 1},
        {"copy", 1},
        {"constant", 2},
        {"k", 2},
        {"cache", 0}},
       moePlusPlus},
      {"top-p",
       "as many of 16 experts as it takes for their gates to exceed p",
       "arXiv 2403.07652; neurons of an expert chosen for its 3.5B",
       {{"vocab", 32000},
        {"d", 1024},
        {"layers", 24},
        {"heads", 16},
        {"d_head", 64},
        {"experts", 16},
        {"d_expert", 2816},
        {"p", 0.4},
        {"cache", 0}},
       topP},
      {"top-any",
       "encoder, every expert by its own threshold",
       "arXiv 2405.14297; router as in the code, sizes of ViT-S/16 on tokens",
       {{"vocab", 32000},
        {"d", 384},
        {"layers", 12},
        {"heads", 6},
        {"d_head", 64},
        {"hidden", 1536},
        {"every", 2},
        {"experts", 6},
        {"d_expert", 1536}},
       topAny},
      {"deepseek",
       "fine experts in groups, shared experts, the groups chosen first",
       "arXiv 2412.19437's choice; sizes near the 2B model of arXiv 2401.06066",
       {{"vocab", 8000},
        {"d", 1280},
        {"layers", 9},
        {"heads", 10},
        {"d_head", 128},
        {"experts", 64},
        {"d_expert", 856},
        {"k", 8},
        {"groups", 8},
        {"group_k", 4},
        {"shared_experts", 1},
        {"factor", 2.5},
        {"cache", 0}},
       deepSeek},
  };
  return presets;
}

static std::vector<Dim> dimsOf(const Preset &preset) {
  std::vector<Dim> dims;
  for (auto [name, value] : preset.dims) {
    const Meaning &meaning = meaningOf(name);
    dims.push_back({name, value, meaning.text, meaning.real});
  }
  return dims;
}

std::vector<Summary> presets::list() {
  std::vector<Summary> result;
  for (const Preset &preset : table())
    result.push_back({preset.name, preset.text, preset.source, dimsOf(preset)});
  return result;
}

//===----------------------------------------------------------------------===//
// Dims from outside
//===----------------------------------------------------------------------===//

static std::string text(double value) {
  return report::number(value, 12);
}

// "key=value" into `sizes`; what is wrong with it, or "".
static std::string assign(Sizes &sizes, StringRef given) {
  auto [key, value] = given.split('=');
  key = key.trim();
  Dim *dim = sizes.find(key);
  if (!dim) {
    std::string known =
        llvm::join(llvm::map_range(sizes.dims, [](const Dim &d) { return d.name; }), ", ");
    return ("there is no dim '" + key + "'; the dims are " + known).str();
  }
  const Meaning &meaning = meaningOf(key);
  double number;
  if (value.trim().getAsDouble(number) || !std::isfinite(number))
    return ("expected " + key + "=NUMBER, found '" + given + "'").str();
  if (!dim->real && number != std::floor(number))
    return (key + " must be a whole number, found " + value).str();
  if (number < meaning.least || number > meaning.most)
    return (key + " (" + meaning.text + ") must lie in " + text(meaning.least) + " .. " +
            text(meaning.most) + ", found " + value)
        .str();
  dim->value = number;
  return "";
}

// What does not fit together, and what to change; "" if everything does.
static std::string conflict(const Sizes &d) {
  auto show = [&](StringRef name) { return name.str() + "=" + text(d.real(name)); };
  auto most = [&](StringRef small, StringRef large) -> std::string {
    if (!d.has(small) || !d.has(large) || d[small] <= d[large])
      return "";
    return show(small) + " is more than " + show(large) + ": lower " + small.str() + " or raise " +
           large.str();
  };
  auto divides = [&](StringRef part, StringRef whole) -> std::string {
    if (!d.has(part) || !d.has(whole) || d[whole] % d[part] == 0)
      return "";
    return show(whole) + " is no multiple of " + show(part) + ": change one of them";
  };
  for (const std::string &found :
       {most("k_heads", "heads"), most("att_k", "att_experts"), most("group_k", "groups"),
        divides("kv_heads", "heads"), divides("group", "layers"), divides("groups", "experts")})
    if (!found.empty())
      return found;
  if (d["d"] % 2)
    return show("d") + " is odd, but positions are pairs of a sine and a cosine: take an even one";
  // Experts that are cut from a dense block.
  if (d.has("hidden") && d.has("experts") && !d.has("d_expert") && !d.has("rank"))
    if (std::string found = divides("experts", "hidden"); !found.empty())
      return found;
  int64_t choice = 0;
  std::string names;
  for (StringRef name : {"experts", "zero", "copy", "constant"})
    if (d.has(name)) {
      choice += d[name];
      names += (names.empty() ? "" : " + ") + show(name);
    }
  if (d.has("group_k"))
    choice = d["group_k"] * (choice / d["groups"]),
    names = "the experts of " + show("group_k") + " groups";
  if (d.has("k") && d["k"] > choice)
    return show("k") + " is more than " + names + " (" + std::to_string(choice) +
           "): lower k or raise them";
  if (d.has("every") && d["every"] > d["layers"])
    return show("every") + " is more than " + show("layers") +
           ", so that no layer would have experts: lower every";
  return "";
}

// Before any weight is made: empty, or which of them is too large.
static std::string tooLarge(ModuleOp structure) {
  constexpr double most = 1ULL << 32;
  std::string wrong;
  structure.walk([&](onnx::InitializerOp weight) {
    double count = 1; // in floating point: sizes that can't be held need not be representable
    for (int64_t size : cast<RankedTensorType>(weight.getType()).getShape())
      count *= static_cast<double>(size);
    if (count > most)
      wrong =
          llvm::formatv("the weight '{0}' would have {1:e} elements, more than {2:e}: lower its "
                        "--dims",
                        weight.getSymName(), count, most);
  });
  return wrong;
}

OwningOpRef<ModuleOp> presets::build(StringRef name, const Options &options, MLIRContext *context) {
  auto refuse = [&](const Twine &why) {
    emitError(UnknownLoc::get(context)) << "--build " << name << ": " << why;
    return nullptr;
  };
  auto preset =
      llvm::find_if(table(), [&](const Preset &candidate) { return name == candidate.name; });
  if (preset == table().end()) {
    std::string known = llvm::join(
        llvm::map_range(table(), [](const Preset &p) { return std::string(p.name); }), ", ");
    return refuse("there is no such preset; there are " + known);
  }
  Sizes sizes(dimsOf(*preset));
  for (const std::string &given : options.dims)
    if (std::string wrong = assign(sizes, given); !wrong.empty())
      return refuse(wrong);
  if (std::string wrong = conflict(sizes); !wrong.empty())
    return refuse(wrong);
  context->loadDialect<onnx::OnnxDialect, UoeDialect, func::FuncDialect>();
  if (options.weights) {
    Graph structure(context, name, options.seed, /*weights=*/false);
    OwningOpRef<ModuleOp> zeros = structure.finish(preset->build(structure, sizes));
    if (std::string wrong = zeros ? tooLarge(*zeros) : ""; !wrong.empty())
      return refuse(wrong);
  }
  Graph graph(context, name, options.seed, options.weights);
  return graph.finish(preset->build(graph, sizes));
}
