// uoe.Route and uoe.Experts on a device. A choice stays there as masks and gates over all experts,
// which travel in place of the lists: the host never learns how many were chosen. What reads lists
// has them made on the CPU.
#include "Choice.h"
#include "Weights.h"
#include "runtime/cuda/ExpertLayer.h"
#include "runtime/cuda/ops/Grouped.h"
#include "runtime/cuda/ops/Pointwise.h"

namespace uoe::rt::cuda {

int32_t Decisions::kept(int64_t rows) const {
  if (capacity <= 0 && capacityShare <= 0 && !takers)
    return 0;
  int64_t most = rows;
  if (capacity > 0)
    most = std::min(most, capacity);
  if (capacityShare > 0)
    most = std::min(most, std::max<int64_t>(1, static_cast<int64_t>(std::floor(
                                                   capacityShare * static_cast<float>(rows)))));
  return static_cast<int32_t>(most);
}

bool decisionsOf(const Node &route, Decisions &d) {
  const int64_t kind = route.integer("rule", 0), scoring = route.integer("scoring", 0),
                empty = route.integer("empty", 0), scaling = route.integer("scaling", 0),
                normalize = route.integer("normalize", 0);
  d.pad = route.integer("padding", 0) == 1;
  if (kind < 0 || kind > 3 || scoring < 0 || scoring > 2 || empty < 0 || empty > 2 || scaling < 0 ||
      scaling > 2 || normalize < 0 || normalize > 3)
    return false;
  SelectRule &rule = d.rule;
  rule.rule = static_cast<Rule>(kind);
  rule.scoring = static_cast<Scoring>(scoring);
  rule.empty = static_cast<Empty>(empty);
  rule.scaling = static_cast<Scaling>(scaling);
  rule.k = static_cast<int32_t>(route.integer("k", 0));
  rule.temperature = route.real("temperature", 1);
  rule.tau = route.real("tau", 0);
  rule.p = route.real("p", 1);
  rule.factor = route.real("factor", 1);
  rule.normalizeExperts = normalize == 1;
  d.across = normalize == 2 ? Across::Tokens : normalize == 3 ? Across::Batch : Across::None;
  rule.gateWeights = route.integer("weight", 0) == 1;
  rule.groupK = static_cast<int32_t>(route.integer("group_k", 0));
  rule.groupTop2 = route.integer("group_score", 0) == 1;
  rule.groupTemperature = route.real("group_temperature", 1);
  for (int64_t group : route.integers("groups")) {
    if (group < 0 || group >= (1 << 20))
      return false;
    d.groups.push_back(static_cast<int32_t>(group));
    rule.groupCount = std::max(rule.groupCount, d.groups.back() + 1);
  }
  if (rule.groupK < 0 || (rule.groupK > 0 && d.groups.empty()))
    return false;
  d.capacity = route.integer("capacity", 0);
  d.capacityShare = route.real("capacity_share", 0);
  // Nobody has more than the most that any has: only padding tells.
  d.takers = route.integer("capacity_takers", 0) != 0 && d.pad;
  const int64_t heads = route.integer("heads", 1);
  d.heads = static_cast<int32_t>(heads);
  // What is reckoned from all experts of a row is not reckoned for parts of it.
  return heads == 1 || (heads > 1 && heads < (1 << 20) && scaling == 0 && normalize <= 1 &&
                        d.groups.empty() && d.capacity == 0 && d.capacityShare == 0 && !d.takers);
}

namespace {

// Inputs of uoe.Experts: x, offsets, ids, weights?, then these.
constexpr size_t kUp = 4, kGate = 5, kDown = 6, kUpBias = 7, kGateBias = 8, kDownBias = 9,
                 kSkip = 10, kResidual = 11;
// Inputs of uoe.Route: scores, then these.
constexpr size_t kThresholds = 1, kSelectionBias = 2, kGroupScores = 3, kWithinOffsets = 4;
// Its results: the lists, then these.
constexpr size_t kDenseWeights = 3, kDenseFlags = 4, kPlaces = 5;

/// Whether uoe.Experts of this node can run here, its choice being made here.
bool covers(const Node &experts) {
  const std::vector<int64_t> sizes = experts.integers("sizes"), slots = experts.integers("slots");
  const auto count = static_cast<int64_t>(sizes.size());
  if (sizes.empty() || experts.integer("tokens", 1) < 0 ||
      ((experts.has("limit") || experts.has("up_offset")) && !experts.constant(kGate)))
    return false;
  int64_t hidden = 0;
  for (int64_t size : sizes) {
    if (size < 1 || size > (int64_t(1) << 30))
      return false;
    hidden += size;
  }
  for (int64_t slot : slots)
    if (slot < -1 || slot >= count)
      return false;
  const Tensor *up = experts.constant(kUp), *down = experts.constant(kDown);
  if (!up || !down || hidden > (int64_t(1) << 30))
    return false;
  for (size_t i = kUp; i <= kSkip; ++i)
    if (const Tensor *weight = experts.constant(i))
      if (weight->dtype() != DType::F32 || (i <= kDown && weight->rank() != 2))
        return false;
  const int64_t bits = experts.integer("transposed", 0);
  if (up->dim((bits >> kUp) & 1 ? 0 : 1) != hidden ||
      down->dim((bits >> kDown) & 1 ? 1 : 0) != hidden)
    return false;
  const Tensor *skip = experts.constant(kSkip);
  return !skip || (slots.empty() && skip->size() == count * down->dim((bits >> kDown) & 1 ? 0 : 1));
}

/// Whether uoe.Route of this node can run here: its lists are read by experts and choices that can.
bool coversRoute(Call &call, const Node &route) {
  Decisions decisions;
  const auto found = call.allReaders->find(&route);
  if (found == call.allReaders->end() || !decisionsOf(route, decisions))
    return false;
  const Call::Readers &readers = *found->second;
  if (readers.size() > kPlaces && !readers[kPlaces].empty())
    return false;
  for (size_t k = 0; k < kDenseWeights && k < readers.size(); ++k)
    for (const auto &[reader, input] : readers[k]) {
      if (!reader || reader->domain != "uoe")
        return false;
      const std::string &op = reader->op;
      const bool own = input == k + 1;
      const bool grouped = own && ((op == "Products" && coversProducts(*reader)) ||
                                   (op == "Rows" && coversRows(*reader)));
      const bool whole = own && ((op == "Experts" && covers(*reader)) ||
                                 (op == "GatheredAttention" && coversGathered(*reader)));
      const bool within =
          op == "Route" && input == k + kWithinOffsets && coversRoute(call, *reader);
      if (!grouped && !(decisions.heads == 1 && (whole || within)))
        return false;
    }
  return true;
}

/// What nodes alone say of a uoe.Route.
struct RouteState {
  bool covered = false;
  Decisions decisions;
  Tensor groups; // on the device
};

// Masks, columns and gates of `rows` rows of scores.
bool route(Call &call) {
  if (!call.has(0) || call.type(0) != DType::F32 || call.shape(0).empty() ||
      (call.has(kWithinOffsets) && !isChoice(call, kWithinOffsets)))
    return false;
  if (!call.state.has_value()) {
    RouteState state;
    state.covered = coversRoute(call, call.node) && decisionsOf(call.node, state.decisions);
    if (const auto &of = state.decisions.groups; state.covered && !of.empty()) {
      Tensor groups(DType::I32, {int64_t(of.size())});
      std::copy(of.begin(), of.end(), groups.data<int32_t>());
      state.groups = call.upload(groups);
    }
    call.state = std::move(state);
  }
  const auto &state = std::any_cast<const RouteState &>(call.state);
  if (!state.covered)
    return false;
  const Decisions &decisions = state.decisions;
  const Shape shape = call.shape(0);
  const auto rank = shape.size();
  const int64_t heads = decisions.heads, experts = shape.back() / heads,
                rows = (rank >= 2 ? shape[rank - 2] : 1) * heads;
  for (size_t i : {kThresholds, kSelectionBias, kGroupScores, kWithinOffsets})
    check(heads == 1 || (!call.has(i) && shape.back() % heads == 0), heads,
          " heads of scores of shape ", toString(shape), " cannot choose by themselves");
  int64_t samples = 1;
  for (size_t axis = 0; axis + 2 < rank; ++axis)
    samples *= shape[axis];
  check(experts >= 1 && experts <= (int64_t(1) << 20), "scores: ", experts, " experts");
  check(samples * rows < (int64_t(1) << 31), "scores: ", samples * rows, " rows for one run");
  SelectRule rule = decisions.rule;
  check(rule.rule != Rule::TopK || (rule.k >= 1 && rule.k <= experts), "k is ", rule.k, " for ",
        experts, " experts");
  rule.groupK = std::min(rule.groupK, rule.groupCount);
  rule.experts = static_cast<int32_t>(experts);
  for (size_t i : {kThresholds, kSelectionBias})
    if (call.has(i))
      check(call.type(i) == DType::F32 && elementCount(call.shape(i)) == experts,
            i == kThresholds ? "thresholds" : "selection_bias", ": expected one for each of ",
            experts, " experts, found shape ", toString(call.shape(i)));
  check(decisions.groups.empty() || int64_t(decisions.groups.size()) == experts,
        "groups: ", decisions.groups.size(), " for ", experts, " experts");

  Dispatch d;
  d.rows = {static_cast<int32_t>(samples), static_cast<int32_t>(rows)};
  d.across = decisions.across;
  d.batch = static_cast<int32_t>(rank >= 3 ? shape[0] : 1);
  d.capacity = decisions.kept(rows);
  check(rank >= 2 || d.capacity == 0, "a capacity needs rows, found scores of shape ",
        toString(shape));
  d.pad = decisions.pad;
  // What is read lives until its launches are on the stream.
  std::vector<Tensor> held;
  auto input = [&](size_t i) {
    held.push_back(call.in(i));
    return held.back().raw();
  };
  auto scratch = [&](DType type, int64_t count, const char *what) {
    held.push_back(call.arena.allocate(type, {count}, what));
    return held.back().raw();
  };
  d.scores = static_cast<const float *>(input(0));
  if (call.has(kThresholds))
    rule.thresholds = static_cast<const float *>(input(kThresholds));
  if (call.has(kSelectionBias))
    rule.bias = static_cast<const float *>(input(kSelectionBias));
  if (!decisions.groups.empty()) {
    rule.groups = state.groups.data<int32_t>();
    d.groupScratch = static_cast<float *>(
        scratch(DType::F32, samples * rows * 3 * rule.groupCount, "the groups' scores"));
  }
  if (call.has(kGroupScores)) {
    check(call.type(kGroupScores) == DType::F32 && rule.groupCount > 0 &&
              elementCount(call.shape(kGroupScores)) == samples * rows * rule.groupCount,
          "group_scores: expected a row for each row of scores, found shape ",
          toString(call.shape(kGroupScores)));
    d.groupScores = static_cast<const float *>(input(kGroupScores));
  }
  const int words = maskWords(rule.experts);
  if (call.has(kWithinOffsets)) {
    const int64_t own = call.node.integer("tokens", 1),
                  outer = call.node.integer("within_tokens", 1);
    if (outer == own) {
      d.withinPerSample = d.rows.rows;
    } else if (outer == 0) {
      d.withinRows = std::max(1, d.rows.rows);
      d.withinPerSample = 1;
    } else {
      check(own > 0 && outer % own == 0, "rows of ", own, " tokens do not lie within rows of ",
            outer);
      d.withinRows = static_cast<int32_t>(outer / own);
      d.withinPerSample = ceilDiv(d.rows.rows, d.withinRows);
    }
    check(elementCount(call.shape(kWithinOffsets)) == samples * d.withinPerSample * words,
          "the routing around has ", elementCount(call.shape(kWithinOffsets)) / words,
          " rows, expected ", samples * d.withinPerSample);
    d.within = static_cast<const uint64_t *>(input(kWithinOffsets));
  }
  const bool limited = d.within || d.groupScores || rule.groupK > 0;
  if (limited)
    d.eligible = static_cast<uint64_t *>(
        scratch(DType::I64, samples * rows * words, "the experts that may be chosen"));
  d.rule = rule;
  Tensor masks = call.arena.allocate(DType::I64, {samples * rows, words}, "a choice of experts"),
         gates = call.arena.allocate(DType::F32, shape, "the gates of experts");
  d.masks = static_cast<uint64_t *>(masks.raw());
  d.gates = gates.data<float>();
  const int64_t count = samples * rows;
  auto launch = [&](const char *name, int64_t items, int64_t perBlock) {
    if (items > 0)
      call.launcher.launch(name, {static_cast<unsigned>(ceilDiv(items, perBlock))}, 256, d);
  };
  if (limited) {
    launch("limit", count, 8);
    launch("choose", count, 8);
  } else {
    launch("select", count, 8);
  }
  if (d.across != Across::None && count > 0)
    launch("normalise", (d.across == Across::Tokens ? samples : count / d.batch) * experts, 256);
  if (d.capacity > 0 && count > 0) {
    d.columns = static_cast<uint64_t *>(
        scratch(DType::I64, d.rows.blocks() * experts, "a choice of experts, by expert"));
    launch("columns", d.rows.blocks(), 1);
    if (decisions.takers) {
      d.takers = static_cast<int32_t *>(scratch(DType::I32, 1, "the most rows of an expert"));
      launch("takers", 1, 1);
    }
    launch("keep", samples * experts, 8);
    launch("masks", d.rows.blocks(), 1);
  }
  if (call.wants(kDenseWeights))
    d.denseWeights = call.out(kDenseWeights, DType::F32, shape).data<float>();
  if (call.wants(kDenseFlags))
    d.denseFlags = call.out(kDenseFlags, DType::Bool, shape).data<uint8_t>();
  if (d.denseWeights || d.denseFlags)
    launch("dense", count * experts, 256);
  if (heads > 1) {
    const int64_t own = count / heads;
    JoinCall join;
    join.from = d.masks;
    join.rows = own;
    join.heads = decisions.heads;
    join.perHead = rule.experts;
    const int all = maskWords(static_cast<int>(shape.back()));
    Tensor joined = call.arena.allocate(DType::I64, {own, all}, "a choice of several heads");
    join.to = static_cast<uint64_t *>(joined.raw());
    call.each("join", own * all, join);
    masks = joined;
  }
  call.set(0, masks);
  for (size_t k = 1; k < kDenseWeights && k < call.outputs.size(); ++k)
    call.set(k, gates);
  return true;
}

struct ExpertsState {
  std::shared_ptr<ExpertLayer> layer;
  Decisions decisions; // of the choice
};

ExpertsState build(Call &call, const Node &choice) {
  const Node &node = call.node;
  ExpertsState state;
  check(decisionsOf(choice, state.decisions), "the choice cannot be made on the device");
  const int64_t bits = node.integer("transposed", 0);
  const Tensor &up = *call.constant(kUp), &down = *call.constant(kDown);
  const Tensor *gate = call.constant(kGate);
  const bool upTurned = (bits >> kUp) & 1, gateTurned = (bits >> kGate) & 1,
             downTurned = (bits >> kDown) & 1;
  ExpertLayerSource source;
  const int64_t in = up.dim(upTurned ? 1 : 0), hidden = up.dim(upTurned ? 0 : 1),
                out = down.dim(downTurned ? 0 : 1);
  source.in = static_cast<int32_t>(in);
  source.out = static_cast<int32_t>(out);
  source.gated = gate != nullptr;
  source.act = deviceActivation(node);
  source.cut = deviceCut(node);
  Tensor inner = innerRows(up, upTurned, gate, gateTurned), outer(DType::F32, {down.size()});
  float *to = outer.data<float>();
  int64_t first = 0;
  const float *from = down.data<float>();
  for (int64_t size : node.integers("sizes")) {
    source.sizes.push_back(static_cast<int32_t>(size));
    for (int64_t o = 0; o < out; ++o)
      for (int64_t j = first; j < first + size; ++j)
        *to++ = from[downTurned ? o * hidden + j : j * out + o];
    first += size;
  }
  const Tensor bias =
      innerBias(call.constant(kUpBias), call.constant(kGateBias), gate != nullptr, hidden);
  if (bias.dtype() != DType::None)
    source.innerBias = bias.data<float>();
  // Both in 16 bits, or none.
  const Tensor narrowInner = narrowed(inner), narrowOuter = narrowed(outer);
  if (narrowInner.dtype() == narrowOuter.dtype() && narrowInner.dtype() != DType::F32) {
    source.weightType = narrowInner.dtype();
    inner = narrowInner;
    outer = narrowOuter;
  }
  source.inner = inner.raw();
  source.outer = outer.raw();
  if (const Tensor *last = call.constant(kDownBias))
    source.outerBias = last->data<float>();
  if (const Tensor *skip = call.constant(kSkip))
    source.skip = skip->data<float>();
  for (int64_t slot : node.integers("slots"))
    source.slots.push_back(static_cast<int32_t>(slot));
  state.layer = std::make_shared<ExpertLayer>(call.device, source, state.decisions.rule, 0, false,
                                              *call.images);
  return state;
}

bool experts(Call &call) {
  // Lists made on the CPU are for the CPU.
  if (call.type(0) != DType::F32 || !isChoice(call, 1) || !(*call.producers)[1])
    return false;
  const Tensor &down = *call.constant(kDown);
  const int64_t out = down.dim((call.node.integer("transposed", 0) >> kDown) & 1 ? 0 : 1);
  const Shape x = call.shape(0);
  Shape dims = x;
  const int64_t n = call.shape(2).back(), choices = elementCount(call.shape(2)) / n;
  const int64_t tokens = call.node.integer("tokens", 1);
  Extent extent = extentOf(x, tokens, choices, /*bySample=*/false);
  dims.back() = out;
  if (!call.state.has_value())
    call.state = build(call, *(*call.producers)[1]);
  const auto &[layer, decisions] = std::any_cast<const ExpertsState &>(call.state);
  check(!call.has(kResidual) ||
            (call.shape(kResidual) == dims && call.type(kResidual) == DType::F32),
        "residual: expected shape ", toString(dims));
  const Tensor in = call.in(0), masks = call.in(1), gates = call.in(2);
  Tensor y = call.out(0, DType::F32, dims);
  GivenChoice choice;
  choice.masks = addressOf(masks);
  choice.gates = addressOf(gates);
  const Shape &scores = call.shape(2);
  choice.capacity = decisions.kept(scores.size() >= 2 ? scores[scores.size() - 2] : 1);
  choice.pad = decisions.pad;
  if (tokens == 1 && scores.size() > 2 && choice.capacity > 0) {
    // A capacity is of a sample.
    extent.rows = scores[scores.size() - 2];
    extent.samples = elementCount(scores) / n / std::max<int64_t>(1, extent.rows);
  }
  Tensor scratch;
  layer->run(static_cast<int32_t>(extent.samples), static_cast<int32_t>(extent.rows), addressOf(in),
             addressOf(y), choice, static_cast<int32_t>(extent.patch), [&](size_t bytes) {
               scratch = call.arena.allocate(DType::U8, {static_cast<int64_t>(bytes)}, "experts");
               return addressOf(scratch);
             });
  if (call.has(kResidual)) {
    const Tensor residual = call.in(kResidual);
    PointwiseCall add;
    add.op = Point::Add;
    add.operands = 2;
    add.types[0] = add.types[1] = DType::F32;
    add.in[0] = add.out = y.raw();
    add.in[1] = residual.raw();
    add.loops.count = add.loops.dims[0] = y.size();
    add.loops.strides[0][0] = add.loops.strides[1][0] = 1;
    call.each("pointwise_real", y.size(), add);
  }
  return true;
}

} // namespace

void addExperts(DeviceKernels &table) {
  table[{"uoe", "Route"}] = route;
  table[{"uoe", "Experts"}] = experts;
}

} // namespace uoe::rt::cuda
