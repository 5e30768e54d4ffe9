#include "lib/Presets/Blocks.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
using namespace uoe::presets;

constexpr int64_t kAny = Graph::kAny;

double Stack::residual(double fanIn) const {
  return 1 / std::sqrt(fanIn * 2 * static_cast<double>(layers));
}

Value presets::normalize(Graph &graph, const Stack &stack, const std::string &name, Value x) {
  OpBuilder &b = graph.b;
  NamedAttribute attributes[] = {graph.named("axis", b.getI64IntegerAttr(-1)),
                                 graph.named("epsilon", b.getF32FloatAttr(1e-5F))};
  Value scale = graph.filled(name + ".scale", {stack.width}, 1);
  if (stack.norm == Norm::Rms)
    return graph.node("RMSNormalization", {x, scale}, x.getType(), attributes);
  Value bias = graph.filled(name + ".bias", {stack.width}, 0);
  return graph.node("LayerNormalization", {x, scale, bias}, x.getType(), attributes);
}

Embedding presets::embed(Graph &graph, const Stack &stack) {
  // Tied, the table is the output weight as well, which wants logits of unit variance.
  double deviation = stack.tied ? 1 / std::sqrt(static_cast<double>(stack.width)) : 1;
  Embedding result;
  result.table = graph.weight("embedding", {stack.vocabulary, stack.width}, deviation);
  result.rows = graph.node("Gather", {result.table, graph.ids()}, graph.rows(stack.width));
  if (stack.rotated > 0)
    return result;
  Rotary positions = rotary(graph, stack.width, stack.base);
  Value waves = graph.node("Concat", {positions.sines, positions.cosines}, result.rows.getType(),
                           graph.named("axis", graph.b.getI64IntegerAttr(-1)));
  result.rows = graph.add(result.rows, waves);
  return result;
}

Value presets::head(Graph &graph, const Stack &stack, const Embedding &embedding, Value x) {
  x = normalize(graph, stack, "norm", x);
  Value w = stack.tied ? graph.node("Transpose", embedding.table,
                                    graph.floats({stack.width, stack.vocabulary}))
                       : graph.matrix("head", stack.width, stack.vocabulary);
  return graph.multiply(x, w);
}

static constexpr StringRef kPast = "past_sequence_length";
static constexpr StringRef kPresent = "past_sequence_length + sequence";

Caches::Caches(Graph &graph, const Stack &stack) : graph(graph), stack(stack) {
  graph.withPast = nullptr;
  if (!stack.cached)
    return;
  for (int64_t layer = 0; layer < stack.layers; ++layer) {
    auto input = [&](const char *part) {
      return graph.input("past_key_values." + std::to_string(layer) + part,
                         {kAny, stack.kvHeads, kAny, stack.headSize}, {"batch", "", kPast, ""});
    };
    Value key = input(".key");
    past.push_back({key, input(".value")});
  }
  present.resize(past.size());
}

Value Caches::length() {
  if (past.empty())
    return {};
  OpBuilder &b = graph.b;
  Type i64 = b.getI64Type();
  Value shape = graph.node("Shape", past.front().key, RankedTensorType::get({4}, i64));
  Value tokens = graph.node("Gather", {shape, graph.scalar(b.getI64IntegerAttr(2))},
                            RankedTensorType::get({}, i64));
  return graph.node("Cast", tokens, graph.floats({}), graph.named("to", b.getI64IntegerAttr(1)));
}

// Tokens of `past`, then those of `now`, which becomes both.
static void append(Graph &graph, Value past, Value &now) {
  now = graph.node("Concat", {past, now}, onnx::dropDims(now.getType()),
                   graph.named("axis", graph.b.getI64IntegerAttr(2)));
}

void Caches::enter(int64_t layer) {
  if (past.empty())
    return;
  graph.withPast = [this, layer](Value &keys, Value &values) {
    append(graph, past[layer].key, keys);
    append(graph, past[layer].value, values);
    present[layer] = {keys, values};
  };
}

// What the rounds of a layer of the group take of the past, one on top of the other.
Value Caches::stacked(int64_t layer, int64_t group, Value KeyValue::*part) {
  SmallVector<Value> parts;
  for (int64_t i = layer; i < stack.layers; i += group)
    parts.push_back(graph.node("Unsqueeze", {past[i].*part, graph.integers({0})},
                               graph.floats({1, kAny, stack.kvHeads, kAny, stack.headSize})));
  auto rounds = static_cast<int64_t>(parts.size());
  return graph.node("Concat", parts,
                    graph.floats({rounds, kAny, stack.kvHeads, kAny, stack.headSize}),
                    graph.named("axis", graph.b.getI64IntegerAttr(0)));
}

Value Caches::rounds(Value x, int64_t group, ValueRange each, const Layer &body) {
  OpBuilder &b = graph.b;
  SmallVector<Value> rows(each);
  SmallVector<Type> arguments{x.getType()}, results{x.getType()};
  if (!past.empty())
    for (int64_t layer = 0; layer < group; ++layer) {
      rows.push_back(stacked(layer, group, &KeyValue::key));
      rows.push_back(stacked(layer, group, &KeyValue::value));
      results.append(2, rows.back().getType());
    }
  for (Value row : rows) {
    auto type = cast<RankedTensorType>(row.getType());
    arguments.push_back(RankedTensorType::get(type.getShape().drop_front(), type.getElementType()));
  }
  auto loop = RecurOp::create(b, graph.loc, results, ValueRange{x}, rows, stack.layers / group);
  graph.body(loop.getBody(), arguments, [&](ValueRange values) {
    SmallVector<Value> kept;
    Value h = values[0];
    for (int64_t layer = 0; layer < group; ++layer) {
      if (!past.empty())
        graph.withPast = [&, at = 1 + each.size() + 2 * layer](Value &k, Value &v) {
          append(graph, values[at], k);
          append(graph, values[at + 1], v);
          kept.append({k, v});
        };
      h = body(h, layer, values.slice(1, each.size()));
    }
    kept.insert(kept.begin(), h);
    return kept;
  });
  graph.withPast = nullptr;
  for (int64_t layer = 0; layer < static_cast<int64_t>(present.size()); ++layer) {
    auto row = [&](int64_t part) {
      return graph.node("Gather",
                        {loop.getResult(1 + 2 * (layer % group) + part),
                         graph.scalar(b.getI64IntegerAttr(layer / group))},
                        graph.floats({kAny, stack.kvHeads, kAny, stack.headSize}),
                        graph.named("axis", b.getI64IntegerAttr(0)));
    };
    Value key = row(0);
    present[layer] = {key, row(1)};
  }
  return loop.getResult(0);
}

void Caches::finish() {
  graph.withPast = nullptr;
  for (auto [layer, kept] : llvm::enumerate(present)) {
    std::string name = "present." + std::to_string(layer);
    graph.output(name + ".key", kept.key, {"batch", "", kPresent, ""});
    graph.output(name + ".value", kept.value, {"batch", "", kPresent, ""});
  }
}

Rotary presets::rotary(Graph &graph, int64_t size, double base, Value first) {
  OpBuilder &b = graph.b;
  // Positions of the ids' own shape, whatever its sizes are: ones, summed up to each place.
  auto shaped = [&](Type element) { return RankedTensorType::get({kAny, kAny}, element); };
  Value same = graph.node("Equal", {graph.ids(), graph.ids()}, shaped(b.getI1Type()));
  Value ones =
      graph.node("Cast", same, shaped(b.getF32Type()), graph.named("to", b.getI64IntegerAttr(1)));
  Value positions = graph.node("CumSum", {ones, graph.scalar(b.getI64IntegerAttr(1))},
                               ones.getType(), graph.named("exclusive", b.getI64IntegerAttr(1)));
  if (first)
    positions = graph.node("Add", {positions, first}, positions.getType());
  Value column = graph.node("Unsqueeze", {positions, graph.integers({2})}, graph.rows(1));
  std::vector<float> frequencies(size / 2);
  for (size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = static_cast<float>(
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(size)));
  Value angles = graph.node("Mul", {column, graph.values("frequencies", {size / 2}, frequencies)},
                            graph.rows(size / 2));
  return {graph.node("Cos", angles, angles.getType()), graph.node("Sin", angles, angles.getType())};
}

Value presets::splitHeads(Graph &graph, Value x, int64_t heads) {
  int64_t size = Graph::width(x) / heads;
  // A size of 0 in the shape is that of the operand.
  Value split = graph.node("Reshape", {x, graph.integers({0, 0, heads, size})},
                           graph.floats({kAny, kAny, heads, size}));
  return graph.node("Transpose", split, graph.floats({kAny, heads, kAny, size}),
                    graph.named("perm", graph.b.getDenseI64ArrayAttr({0, 2, 1, 3})));
}

Value presets::mergeHeads(Graph &graph, Value x) {
  int64_t heads = cast<RankedTensorType>(x.getType()).getDimSize(1), size = Graph::width(x);
  Value rows = graph.node("Transpose", x, graph.floats({kAny, kAny, heads, size}),
                          graph.named("perm", graph.b.getDenseI64ArrayAttr({0, 2, 1, 3})));
  return graph.node("Reshape", {rows, graph.integers({0, 0, heads * size})},
                    graph.rows(heads * size));
}

Value presets::rotate(Graph &graph, const Stack &stack, const Rotary &rotary, Value heads) {
  if (stack.rotated == 0)
    return heads;
  // The attribute is for heads that are rotated in part.
  SmallVector<NamedAttribute> attributes;
  if (stack.rotated < Graph::width(heads))
    attributes.push_back(
        graph.named("rotary_embedding_dim", graph.b.getI64IntegerAttr(stack.rotated)));
  return graph.node("RotaryEmbedding", {heads, rotary.cosines, rotary.sines}, heads.getType(),
                    attributes);
}

Value presets::attend(Graph &graph, Value q, Value k, Value v, bool causal, Value valid) {
  OpBuilder &b = graph.b;
  SmallVector<int64_t> shape(cast<RankedTensorType>(q.getType()).getShape());
  auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.back())));
  shape.back() = Graph::width(v);
  auto flag = [&](bool set) { return set ? b.getUnitAttr() : UnitAttr(); };
  return AttentionOp::create(b, graph.loc, TypeRange{graph.floats(shape)}, q, k, v, valid,
                             b.getF32FloatAttr(scale), flag(causal), b.getI64IntegerAttr(0),
                             b.getF32FloatAttr(0), flag(static_cast<bool>(valid)), StringAttr())
      .getResult(0);
}

Value presets::selfAttention(Graph &graph, const Stack &stack, const Rotary &rotary, Value x,
                             const Project &project) {
  auto apply = [&](const std::string &name, Value value, int64_t columns) {
    if (project)
      return project(name, value, columns);
    int64_t rows = Graph::width(value);
    Value w = name == "o"
                  ? graph.weight(name, {rows, columns}, stack.residual(static_cast<double>(rows)))
                  : graph.matrix(name, rows, columns);
    return graph.multiply(value, w);
  };
  Value q = splitHeads(graph, apply("q", x, stack.heads * stack.headSize), stack.heads);
  Value k = splitHeads(graph, apply("k", x, stack.kvHeads * stack.headSize), stack.kvHeads);
  Value v = splitHeads(graph, apply("v", x, stack.kvHeads * stack.headSize), stack.kvHeads);
  q = rotate(graph, stack, rotary, q);
  k = rotate(graph, stack, rotary, k);
  if (graph.withPast)
    graph.withPast(k, v);
  Value y = attend(graph, q, k, v, stack.causal);
  return apply("o", mergeHeads(graph, y), stack.width);
}

Value presets::denseFfn(Graph &graph, const Stack &stack, const Ffn &ffn, Value x) {
  Value up = graph.matrix("up", stack.width, ffn.hidden);
  Value gate = ffn.gated ? graph.matrix("gate", stack.width, ffn.hidden) : Value();
  Value down = graph.weight("down", {ffn.hidden, stack.width},
                            stack.residual(static_cast<double>(ffn.hidden)));
  return FfnOp::create(graph.b, graph.loc, x.getType(), ffn.activation, x, up, gate, down, Value(),
                       Value(), Value());
}

Value presets::score(Graph &graph, Value x, int64_t experts, Value bias) {
  Value w = graph.matrix("router", Graph::width(x), experts);
  return ScoreOp::create(graph.b, graph.loc, graph.rows(experts), ScoreKind::linear, x,
                         ValueRange{w}, bias);
}

Value presets::select(Graph &graph, Rule rule, Value scores, function_ref<void(SelectOp)> set) {
  auto type = RoutingType::get(graph.b.getContext(), Graph::width(scores));
  auto op = SelectOp::create(graph.b, graph.loc, type, rule, scores);
  set(op);
  return op.getRouting();
}

Value presets::makeExperts(Graph &graph, const ExpertsSpec &spec, Type result,
                           function_ref<Value(ValueRange)> fill) {
  OpBuilder &b = graph.b;
  auto op = ExpertsOp::create(b, graph.loc, result, spec.shared, spec.sliced, spec.routing, Value(),
                              spec.axes, spec.sizes, spec.combine);
  if (!spec.slots.empty())
    op.setSlots(spec.slots);
  op.setGathered(spec.gathered);
  SmallVector<Type> arguments;
  for (Value value : spec.shared)
    arguments.push_back(value.getType());
  for (auto [value, axis] : llvm::zip(spec.sliced, spec.axes)) {
    SmallVector<int64_t> shape(cast<RankedTensorType>(value.getType()).getShape());
    shape[axis] = spec.sizes.front();
    arguments.push_back(graph.floats(shape));
  }
  if (spec.gathered)
    arguments.push_back(RankedTensorType::get({kAny, kAny}, b.getI1Type()));
  graph.body(op.getBody(), arguments,
             [&](ValueRange values) { return SmallVector<Value>{fill(values)}; });
  return op.getOutput();
}

Value presets::expertFfns(Graph &graph, const Stack &stack, const Ffn &ffn, const Experts &experts,
                          Value x, Value routing) {
  int64_t all = experts.count * ffn.hidden;
  ExpertsSpec spec;
  spec.shared = {x};
  spec.sliced = {graph.matrix("experts.up", stack.width, all)};
  spec.axes = {1};
  if (ffn.gated) {
    spec.sliced.push_back(graph.matrix("experts.gate", stack.width, all));
    spec.axes.push_back(1);
  }
  // A token gets the sum of the experts that it uses.
  double terms = experts.active * static_cast<double>(ffn.hidden);
  spec.sliced.push_back(graph.weight("experts.down", {all, stack.width}, stack.residual(terms)));
  spec.axes.push_back(0);
  spec.sizes.assign(experts.count, ffn.hidden);
  spec.slots = experts.slots;
  spec.routing = routing;
  return makeExperts(graph, spec, x.getType(), [&](ValueRange v) -> Value {
    return FfnOp::create(graph.b, graph.loc, x.getType(), ffn.activation, v[0], v[1],
                         ffn.gated ? v[2] : Value(), v.back(), Value(), Value(), Value());
  });
}

Value presets::expertProducts(Graph &graph, Value x, Value matrix, int64_t axis, int64_t experts,
                              Value routing) {
  auto shape = cast<RankedTensorType>(matrix.getType()).getShape();
  int64_t size = shape[axis] / experts;
  Type result = graph.rows(axis == 1 ? size : shape[1]);
  ExpertsSpec spec;
  spec.shared = {x};
  spec.sliced = {matrix};
  spec.axes = {axis};
  spec.sizes.assign(experts, size);
  spec.routing = routing;
  return makeExperts(graph, spec, result, [&](ValueRange v) {
    return graph.node("MatMul", {v[0], v[1]}, result);
  });
}

Value presets::transformer(Graph &graph, const Stack &stack, const Layer &ffn,
                           const Layer &attention) {
  Caches caches(graph, stack);
  Embedding embedding = embed(graph, stack);
  Rotary angles;
  if (stack.rotated > 0)
    angles = rotary(graph, stack.rotated, stack.base, caches.length());
  Value x = embedding.rows;
  for (int64_t layer = 0; layer < stack.layers; ++layer) {
    Graph::Scope scope(graph, "layers." + std::to_string(layer));
    auto residual = [&](const std::string &name, const Layer &part) {
      Graph::Scope inner(graph, name);
      x = graph.add(x, part(normalize(graph, stack, "norm", x), layer, angles));
    };
    caches.enter(layer);
    residual(
        "attention", attention ? attention : [&](Value h, int64_t, const Rotary &r) {
          return selfAttention(graph, stack, r, h);
        });
    residual("ffn", ffn);
  }
  caches.finish();
  return head(graph, stack, embedding, x);
}
