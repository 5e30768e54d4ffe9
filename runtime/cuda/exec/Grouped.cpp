// uoe.Products, uoe.GatheredAttention, uoe.Rows and uoe.AddRows on a device.
#include "runtime/cuda/ops/Grouped.h"
#include "Attention.h"
#include "Choice.h"
#include "runtime/cuda/ExpertLayer.h"
#include "runtime/cuda/ops/Copy.h"
#include "runtime/cuda/ops/Pointwise.h"
#include <cmath>

namespace uoe::rt::cuda {

bool isChoice(Call &call, size_t first) {
  return call.has(first) && call.has(first + 1) && call.type(first + 1) == DType::F32;
}

Extent extentOf(const Shape &x, int64_t tokens, int64_t choices, bool bySample) {
  check(!x.empty(), "tokens of no shape");
  Extent extent;
  int64_t perSample = 0;
  if (tokens == 1 && !bySample) {
    extent.rows = perSample = elementCount(x) / std::max<int64_t>(1, x.back());
  } else {
    extent.rows = x.size() >= 2 ? x[x.size() - 2] : 1;
    for (size_t axis = 0; axis + 2 < x.size(); ++axis)
      extent.samples *= x[axis];
    extent.patch = tokens == 0 ? std::max<int64_t>(1, extent.rows) : tokens;
    perSample = tokens == 0 ? 1 : ceilDiv(extent.rows, extent.patch);
  }
  check(choices == extent.samples * perSample, "a routing of ", choices,
        " rows for tokens of shape ", toString(x));
  check(extent.count() < (int64_t(1) << 31), "tokens of shape ", toString(x), " for one run");
  return extent;
}

Lists listsOf(Call &call, size_t first, const Decisions &decisions, const Extent &extent,
              int32_t tileHeight) {
  const Shape scores = call.shape(first + 1);
  const int64_t n = scores.back(), count = extent.count();
  Lists lists;
  lists.rows = {static_cast<int32_t>(extent.samples), static_cast<int32_t>(extent.rows)};
  lists.experts = static_cast<int32_t>(n);
  if (count == 0)
    return lists;
  SelectRule rule = decisions.rule;
  rule.experts = lists.experts;
  rule.k *= decisions.heads;
  const int64_t choices = elementCount(scores) / n,
                perSample = scores.size() >= 2 ? scores[scores.size() - 2] : 1;
  lists.pairs = mostPairs(rule, decisions.kept(perSample) * extent.patch, decisions.pad,
                          choices / std::max<int64_t>(1, perSample), perSample * extent.patch);
  check(lists.pairs < (int64_t(1) << 31), "a routing of ", choices,
        " rows is too long for one run");
  auto take = [&](DType type, int64_t size, const char *what) {
    return call.arena.allocate(type, {size}, what);
  };
  const int64_t blocks = lists.rows.blocks();
  lists.masks = call.in(first);
  lists.gates = call.in(first + 1);
  Dispatch d;
  d.rows = lists.rows;
  d.rule = rule;
  d.patch = static_cast<int32_t>(extent.patch);
  d.tileHeight = tileHeight;
  d.givenMasks = static_cast<const uint64_t *>(lists.masks.raw());
  d.givenGates = static_cast<const float *>(lists.gates.raw());
  if (extent.patch > 1) {
    lists.masks = take(DType::I64, count * maskWords(rule.experts), "a choice by rows");
    lists.gates = take(DType::F32, count * n, "gates by rows");
  }
  lists.columns = take(DType::I64, blocks * n, "a choice by expert");
  lists.base = take(DType::I32, blocks * n, "pairs of earlier rows");
  lists.first = take(DType::I32, n + 1, "the experts' pairs");
  lists.tiles = take(DType::I32, n + 1, "the experts' tiles");
  lists.offset = take(DType::I32, count + 1, "the rows' pairs");
  lists.ids = take(DType::I32, lists.pairs, "the rows' experts");
  lists.place = take(DType::I32, lists.pairs, "the rows' places");
  lists.source = take(DType::I32, lists.pairs, "the pairs' rows");
  lists.weights = take(DType::F32, lists.pairs, "the pairs' weights");
  d.masks = static_cast<uint64_t *>(lists.masks.raw());
  d.gates = lists.gates.data<float>();
  d.columns = static_cast<uint64_t *>(lists.columns.raw());
  d.base = lists.base.data<int32_t>();
  d.first = lists.first.data<int32_t>();
  d.tiles = lists.tiles.data<int32_t>();
  d.offset = lists.offset.data<int32_t>();
  d.pairs = {lists.ids.data<int32_t>(), lists.place.data<int32_t>(), lists.source.data<int32_t>(),
             lists.weights.data<float>()};
  auto launch = [&](const char *name, int64_t items, int64_t perBlock) {
    call.launcher.launch(name, {static_cast<unsigned>(ceilDiv(items, perBlock))}, 256, d);
  };
  if (extent.patch > 1)
    launch("adopt", count * n, 256);
  launch("columns", blocks, 1);
  launch("count", n, 256);
  call.launcher.launch("scan", {1}, kScanThreads, d, sizeof(ScanShared));
  launch("place", count, 256);
  return lists;
}

namespace {

// Inputs of all: x, offsets, ids, weights?, then these.
constexpr size_t kMatrices = 4;

/// A constant of floats; null also for other types.
const Tensor *floatsOf(const Node &node, size_t i) {
  const Tensor *t = node.constant(i);
  return t && t->dtype() == DType::F32 ? t : nullptr;
}

/// Where element (row i, column j) of a matrix lies: data[i * row + j * column].
struct Steps {
  int64_t row = 0, column = 1;
};

/// Experts of one matrix each, on the device.
struct Matrices {
  Tensor w, bias, slots; // [experts * out, in], [experts * out] or None, [slots] or None
  int32_t experts = 0, in = 0, out = 0;
};

void fill(GroupedCall &work, const Matrices &of, const Lists &lists) {
  work.experts = lists.experts;
  work.in = of.in;
  work.out = of.out;
  work.w = of.w.data<float>();
  work.bias = of.bias.dtype() == DType::None ? nullptr : of.bias.data<float>();
  work.slots = of.slots.dtype() == DType::None ? nullptr : of.slots.data<int32_t>();
  work.perHead = of.experts;
  work.copies = of.in % ProductTile<float>::perCopy == 0;
  work.first = lists.first.data<int32_t>();
  work.tiles = lists.tiles.data<int32_t>();
  work.offset = lists.offset.data<int32_t>();
  work.ids = lists.ids.data<int32_t>();
  work.place = lists.place.data<int32_t>();
}

/// The product of all pairs.
Tensor multiply(Call &call, GroupedCall &work, const Lists &lists) {
  using P = ProductTile<float>;
  const Tensor partial =
      call.arena.allocate(DType::F32, {lists.pairs, work.out}, "the experts' results");
  work.partial = const_cast<float *>(partial.data<float>());
  const int64_t tiles =
      mostRowTiles(lists.pairs, lists.experts, P::height) * ceilDiv<int64_t>(work.out, P::width);
  const int64_t resident = 16 * std::max(1, call.device.processors());
  if (tiles > 0)
    call.launch("grouped_product", {static_cast<unsigned>(std::min(tiles, resident))}, P::threads,
                work, sizeof(P::Shared));
  return partial;
}

/// y [.., width] = the sum of each row's partials, plus input `residual`.
void sum(Call &call, GroupedCall &work, const Shape &dims, size_t residual) {
  check(!call.has(residual) || (call.shape(residual) == dims && call.type(residual) == DType::F32),
        "residual: expected shape ", toString(dims));
  const Tensor added = call.has(residual) ? call.in(residual) : Tensor();
  work.residual = added.dtype() == DType::None ? nullptr : added.data<float>();
  work.y = call.out(0, DType::F32, dims).data<float>();
  work.width = dims.back();
  work.rows = elementCount(dims) / std::max<int64_t>(1, work.width);
  call.each("grouped_sum", work.rows * work.width, work);
}

/// What a row that has chosen nobody gives, where there are no rows at all.
void sumOfNobody(Call &call, const Shape &dims) {
  call.out(0, DType::F32, dims);
}

struct ProductShape {
  int64_t experts = 0, in = 0, out = 0, heads = 1;
  bool splitInput = false;
  Steps steps;
  int64_t stepExpert = 0;
};

/// As the CPU reads the attributes; false for what does not fit.
bool productShape(const Node &node, ProductShape &p) {
  const Tensor *m = floatsOf(node, kMatrices);
  const int64_t axis = node.integer("axis", 0);
  p.experts = node.integer("experts", 1);
  p.heads = node.integer("heads", 1);
  if (!m || m->rank() != 2 || (axis != 0 && axis != 1) || p.experts < 1 || p.heads < 1 ||
      p.experts % p.heads != 0 || p.experts > (1 << 20))
    return false;
  const bool transposed = (node.integer("transposed", 0) >> kMatrices) & 1;
  const int64_t rows = m->dim(transposed ? 1 : 0), columns = m->dim(transposed ? 0 : 1);
  if ((axis == 0 ? rows : columns) % p.experts != 0)
    return false;
  p.splitInput = axis == 0;
  p.in = axis == 0 ? rows / p.experts : rows;
  p.out = axis == 1 ? columns / p.experts : columns;
  p.steps = transposed ? Steps{1, rows} : Steps{columns, 1};
  p.stepExpert = axis == 0 ? p.in * p.steps.row : p.out * p.steps.column;
  const Tensor *bias = node.constant(kMatrices + 1);
  return p.in >= 1 && p.out >= 1 && p.in < (1 << 30) && p.out < (1 << 30) &&
         (!bias || (bias->dtype() == DType::F32 && bias->size() == p.experts * p.out));
}

struct ProductsState {
  Matrices matrices;
  ProductShape shape;
  Decisions decisions;
};

ProductsState buildProducts(Call &call, const Node &choice) {
  const Node &node = call.node;
  ProductsState state;
  check(productShape(node, state.shape) && decisionsOf(choice, state.decisions),
        "the choice cannot be made on the device");
  const ProductShape &p = state.shape;
  Matrices &m = state.matrices;
  m.experts = static_cast<int32_t>(p.experts);
  m.in = static_cast<int32_t>(p.in);
  m.out = static_cast<int32_t>(p.out);
  Tensor w(DType::F32, {p.experts * p.out, p.in});
  const float *from = call.constant(kMatrices)->data<float>();
  for (int64_t e = 0; e < p.experts; ++e)
    for (int64_t j = 0; j < p.out; ++j)
      for (int64_t i = 0; i < p.in; ++i)
        w.data<float>()[(e * p.out + j) * p.in + i] =
            from[e * p.stepExpert + i * p.steps.row + j * p.steps.column];
  m.w = call.upload(w);
  if (const Tensor *bias = call.constant(kMatrices + 1))
    m.bias = call.upload(*bias);
  if (const std::vector<int64_t> slots = node.integers("slots"); !slots.empty()) {
    Tensor of(DType::I32, {int64_t(slots.size())});
    std::copy(slots.begin(), slots.end(), of.data<int32_t>());
    m.slots = call.upload(of);
  }
  call.device.synchronize("copying the experts' weights to the device");
  return state;
}

// Inputs behind the choice: matrices, bias?, residual?.
bool products(Call &call) {
  if (call.type(0) != DType::F32 || !isChoice(call, 1) || !(*call.producers)[1])
    return false;
  if (!call.state.has_value())
    call.state = buildProducts(call, *(*call.producers)[1]);
  const auto &[matrices, p, decisions] = std::any_cast<const ProductsState &>(call.state);
  const Shape x = call.shape(0);
  const int64_t n = call.shape(2).back(), inWidth = p.splitInput ? p.in * p.heads : p.in;
  const Extent extent = extentOf(x, call.node.integer("tokens", 1), elementCount(call.shape(2)) / n,
                                 /*bySample=*/false);
  check(x.back() == inWidth, "input 0: expected rows of ", inWidth, " elements, found shape ",
        toString(x));
  Shape dims = x;
  dims.back() = p.splitInput ? p.out : p.out * p.heads;
  const Lists lists = listsOf(call, 1, decisions, extent, ProductTile<float>::height);
  if (extent.count() == 0) {
    sumOfNobody(call, dims);
    return true;
  }
  GroupedCall work;
  fill(work, matrices, lists);
  work.perHead = static_cast<int32_t>(p.experts / p.heads);
  work.splitInput = p.splitInput;
  const Tensor in = call.in(0);
  work.x = in.data<float>();
  work.ldx = inWidth;
  work.source = lists.source.data<int32_t>();
  work.weights = lists.weights.data<float>();
  const Tensor partial = multiply(call, work, lists);
  sum(call, work, dims, kMatrices + 2);
  return true;
}

// Inputs of uoe.GatheredAttention behind the choice.
enum Gathered : size_t {
  kQ = 4,
  kK,
  kV,
  kO,
  kBiasQ,
  kBiasK,
  kBiasV,
  kCosines,
  kSines,
  kBias,
  kGatheredResidual
};

struct HeadsShape {
  int64_t experts = 0, heads = 0, kvHeads = 0, in = 0, out = 0, size = 0, valueSize = 0;
  int64_t project() const { return (heads + kvHeads) * size + kvHeads * valueSize; }
};

/// Weight i, of any rank, as a matrix whose rows, or `byColumns` whose columns, are its first or
/// last dimension.
bool weightMatrix(const Node &node, size_t i, bool byColumns, int64_t &rows, int64_t &columns,
                  Steps &steps) {
  const Tensor *t = floatsOf(node, i);
  const bool transposed = (node.integer("transposed", 0) >> i) & 1;
  if (!t || t->rank() < 2 || t->size() == 0 || (transposed && t->rank() != 2))
    return false;
  const int64_t known = byColumns ? t->dim(-1) : t->dim(0), other = t->size() / known;
  rows = transposed ? t->dim(1) : byColumns ? other : known;
  columns = transposed ? t->dim(0) : byColumns ? known : other;
  steps = transposed ? Steps{1, rows} : Steps{columns, 1};
  return true;
}

bool headsShape(const Node &node, HeadsShape &s, Steps (&steps)[4]) {
  s.experts = node.integer("experts", 1);
  s.heads = node.integer("heads", 1);
  s.kvHeads = node.integer("kv_heads", 1);
  int64_t rows[4], columns[4];
  for (size_t i = 0; i < 4; ++i)
    if (!weightMatrix(node, kQ + i, i == 3, rows[i], columns[i], steps[i]))
      return false;
  if (s.experts < 1 || s.heads < 1 || s.kvHeads < 1 || s.heads % s.kvHeads != 0 ||
      s.experts > (1 << 20))
    return false;
  s.in = rows[0];
  s.out = columns[3];
  s.size = columns[0] / (s.experts * s.heads);
  s.valueSize = columns[2] / (s.experts * s.kvHeads);
  for (size_t i : {0, 1, 2})
    if (const Tensor *bias = node.constant(kBiasQ + i))
      if (bias->dtype() != DType::F32 || bias->size() != columns[i])
        return false;
  return rows[1] == s.in && rows[2] == s.in && columns[0] == s.experts * s.heads * s.size &&
         columns[1] == s.experts * s.kvHeads * s.size &&
         columns[2] == s.experts * s.kvHeads * s.valueSize &&
         rows[3] == s.experts * s.heads * s.valueSize && s.size >= 1 && s.valueSize >= 1 &&
         s.size <= kMostFeatures && s.valueSize <= kMostFeatures && s.project() < (1 << 30);
}

struct GatheredState {
  HeadsShape shape;
  Matrices project, output;
  Decisions decisions;
};

GatheredState buildGathered(Call &call, const Node &choice) {
  const Node &node = call.node;
  GatheredState state;
  Steps steps[4];
  check(headsShape(node, state.shape, steps) && decisionsOf(choice, state.decisions),
        "the choice cannot be made on the device");
  const HeadsShape &s = state.shape;
  const int64_t project = s.project(), mixed = s.heads * s.valueSize;
  const int64_t widths[] = {s.heads * s.size, s.kvHeads * s.size, s.kvHeads * s.valueSize};
  Tensor w(DType::F32, {s.experts * project, s.in}), bias(DType::F32, {s.experts * project}),
      o(DType::F32, {s.experts * s.out, mixed});
  bool biased = false;
  for (int64_t e = 0; e < s.experts; ++e) {
    int64_t row = e * project;
    for (size_t part = 0; part < 3; ++part) {
      const float *from = call.constant(kQ + part)->data<float>();
      const Tensor *own = call.constant(kBiasQ + part);
      biased = biased || own;
      for (int64_t j = e * widths[part]; j < (e + 1) * widths[part]; ++j, ++row) {
        bias.data<float>()[row] = own ? own->data<float>()[j] : 0.0f;
        for (int64_t i = 0; i < s.in; ++i)
          w.data<float>()[row * s.in + i] = from[i * steps[part].row + j * steps[part].column];
      }
    }
    const float *from = call.constant(kO)->data<float>();
    for (int64_t j = 0; j < s.out; ++j)
      for (int64_t i = 0; i < mixed; ++i)
        o.data<float>()[(e * s.out + j) * mixed + i] =
            from[(e * mixed + i) * steps[3].row + j * steps[3].column];
  }
  const auto experts = static_cast<int32_t>(s.experts);
  state.project = {call.upload(w),
                   biased ? call.upload(bias) : Tensor(),
                   {},
                   experts,
                   static_cast<int32_t>(s.in),
                   static_cast<int32_t>(project)};
  state.output = {
      call.upload(o), {}, {}, experts, static_cast<int32_t>(mixed), static_cast<int32_t>(s.out)};
  call.device.synchronize("copying the experts' weights to the device");
  return state;
}

/// From one sample to the next of an input whose first dimension is the batch or 1.
int64_t sampleStep(const Shape &shape, int64_t samples, const char *what) {
  check(shape[0] == samples || shape[0] == 1, what, ": expected a batch of ", samples,
        ", found shape ", toString(shape));
  return shape[0] == 1 || samples == 0 ? 0 : elementCount(shape) / samples;
}

bool gatheredAttention(Call &call) {
  if (call.type(0) != DType::F32 || !isChoice(call, 1) || !(*call.producers)[1] ||
      call.shape(0).size() != 3)
    return false;
  if (!call.state.has_value())
    call.state = buildGathered(call, *(*call.producers)[1]);
  const auto &[s, project, output, decisions] = std::any_cast<const GatheredState &>(call.state);
  const Node &node = call.node;
  const Shape x = call.shape(0);
  const int64_t n = call.shape(2).back(), samples = x[0], length = x[1];
  check(x[2] == s.in && n == s.experts, "experts of ", s.in, " features, ", s.experts,
        " of them, for tokens of shape ", toString(x), " and ", n, " scores");
  const Extent extent = extentOf(x, node.integer("tokens", 1), elementCount(call.shape(2)) / n,
                                 /*bySample=*/true);
  Shape dims = x;
  dims.back() = s.out;
  const Lists lists = listsOf(call, 1, decisions, extent, ProductTile<float>::height);
  if (extent.count() == 0) {
    sumOfNobody(call, dims);
    return true;
  }
  GroupedCall work;
  fill(work, project, lists);
  const Tensor in = call.in(0);
  work.x = in.data<float>();
  work.ldx = s.in;
  work.source = lists.source.data<int32_t>();
  const Tensor qkv = multiply(call, work, lists);

  SegmentCall segments;
  const int64_t parts = n * samples;
  Tensor starts = call.arena.allocate(DType::I32, {parts + 1}, "experts' rows of a sample"),
         tokens = call.arena.allocate(DType::I32, {lists.pairs}, "places in a sample"),
         counted = call.arena.allocate(DType::I32, {lists.pairs}, "places among an expert's rows");
  segments.rows = lists.rows;
  segments.experts = lists.experts;
  segments.first = lists.first.data<int32_t>();
  segments.base = lists.base.data<int32_t>();
  segments.source = lists.source.data<int32_t>();
  segments.starts = starts.data<int32_t>();
  segments.tokens = tokens.data<int32_t>();
  segments.counted = counted.data<int32_t>();
  segments.pairs = lists.pairs;
  call.each("segment", std::max(lists.pairs, parts + 1), segments);

  const int64_t width = s.project();
  if (call.has(kCosines) && call.has(kSines)) {
    const Shape table = call.shape(kCosines);
    const int64_t rotated = node.integer("rotated", 0);
    TurnCall turn;
    turn.half = (rotated > 0 ? rotated : s.size) / 2;
    check(call.type(kCosines) == DType::F32 && call.type(kSines) == DType::F32 &&
              table.size() == 3 && call.shape(kSines) == table && table[1] == length &&
              table[2] == turn.half && 2 * turn.half <= s.size,
          "tables: expected shape [batch, ", length, ", ", turn.half, "], found ", toString(table));
    const Tensor cosines = call.in(kCosines), sines = call.in(kSines);
    turn.x = const_cast<float *>(qkv.data<float>());
    turn.width = width;
    turn.heads = s.heads + s.kvHeads; // queries, and keys behind them
    turn.size = s.size;
    turn.cos = cosines.data<float>();
    turn.sin = sines.data<float>();
    turn.stepSample = sampleStep(table, samples, "tables");
    turn.length = length;
    turn.interleaved = node.integer("interleaved", 0) != 0;
    turn.source = segments.source;
    turn.positions = node.integer("compacted_tables", 0) ? segments.counted : segments.tokens;
    turn.count = segments.first + n;
    turn.pairs = lists.pairs;
    call.each("turn", lists.pairs * turn.heads * turn.half, turn);
  }

  AttentionCall mix;
  mix.batch = static_cast<int32_t>(parts);
  mix.samples = static_cast<int32_t>(samples);
  mix.heads = static_cast<int32_t>(s.heads);
  mix.kvHeads = static_cast<int32_t>(s.kvHeads);
  mix.queries = mix.keys = static_cast<int32_t>(length); // of a part, at most
  mix.size = static_cast<int32_t>(s.size);
  mix.valueSize = static_cast<int32_t>(s.valueSize);
  mix.q = qkv.data<float>();
  mix.k = mix.q + s.heads * s.size;
  mix.v = mix.k + s.kvHeads * s.size;
  mix.qs = mix.ks = {0, s.size, width};
  mix.vs = {0, s.valueSize, width};
  const Tensor mixed =
      call.arena.allocate(DType::F32, {lists.pairs, s.heads * s.valueSize}, "mixed values");
  mix.y = const_cast<float *>(mixed.data<float>());
  mix.ys = {0, s.valueSize, s.heads * s.valueSize};
  mix.scale = node.real("scale", 1);
  mix.softcap = node.real("softcap", 0);
  mix.causal = node.integer("causal", 0) != 0;
  mix.window = node.integer("window", 0);
  mix.emptyRow = node.integer("boolean_zero", 0) ? 0.0f : NAN;
  mix.starts = segments.starts;
  mix.places = node.integer("compacted_bias", 0) ? segments.counted : segments.tokens;
  Tensor bias;
  if (call.has(kBias)) {
    const Shape b = call.shape(kBias);
    check((b.size() == 2 || b.size() == 3) && b[1] == length && b.back() == length &&
              (call.type(kBias) == DType::Bool || call.type(kBias) == DType::F32),
          "bias: expected shape [batch, ", length, "] or [batch, ", length, ", ", length,
          "], found ", toString(b));
    bias = call.in(kBias);
    mix.bs = {sampleStep(b, samples, "bias"), 0, b.size() == 3 ? length : 0};
    mix.biasKey = 1;
    if (bias.dtype() == DType::Bool)
      mix.mask = bias.data<uint8_t>();
    else
      mix.bias = bias.data<float>();
  }
  launchAttention(call, mix);

  GroupedCall last;
  fill(last, output, lists);
  last.x = mixed.data<float>();
  last.ldx = s.heads * s.valueSize;
  last.weights = lists.weights.data<float>();
  const Tensor partial = multiply(call, last, lists);
  sum(call, last, dims, kGatheredResidual);
  return true;
}

/// The lists of a choice whose experts' bodies run in operators, with what the host knows of them:
/// made once a run.
struct HandedOut {
  Lists lists;
  std::vector<int32_t> first; // [experts + 1]
};

/// The slot that stands for an expert: -1 for none, -2 for several.
int64_t slotOf(const Node &node) {
  const int64_t expert = node.integer("expert", 0);
  const std::vector<int64_t> slots = node.integers("slots");
  if (slots.empty())
    return expert;
  int64_t found = -1;
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i] == expert)
      found = found == -1 ? int64_t(i) : -2;
  return found;
}

// Results: the rows of x that chose the expert, [1.., rows, d], where they lie, and their weights.
// How many there are is the one number that the host waits for, once for all experts of a choice.
bool rows(Call &call) {
  const Shape x = call.shape(0);
  if (call.type(0) != DType::F32 || !isChoice(call, 1) || !(*call.producers)[1] || x.size() < 2)
    return false;
  const int64_t n = call.shape(2).back(), d = x.back();
  const Extent extent = extentOf(x, call.node.integer("tokens", 1), elementCount(call.shape(2)) / n,
                                 /*bySample=*/false);
  const Tensor masks = call.in(1);
  std::any &kept = (*call.ofRun)[masks.raw()];
  if (!kept.has_value()) {
    HandedOut made;
    Decisions decisions;
    check(decisionsOf(*(*call.producers)[1], decisions), "the choice cannot be made on the device");
    made.lists = listsOf(call, 1, decisions, extent, ProductTile<float>::height);
    made.first.assign(static_cast<size_t>(n) + 1, 0);
    if (extent.count() > 0)
      call.read(made.first.data(), addressOf(made.lists.first),
                made.first.size() * sizeof(int32_t));
    // A choice by patches lists other masks: these must not be taken for another's meanwhile.
    kept = std::make_pair(masks, std::move(made));
  }
  const HandedOut &out = std::any_cast<const std::pair<Tensor, HandedOut> &>(kept).second;
  const int64_t slot = slotOf(call.node);
  check(slot < n, "expert ", slot, " of ", n);
  const int64_t begin = slot < 0 ? 0 : out.first[size_t(slot)],
                count = slot < 0 ? 0 : out.first[size_t(slot) + 1] - begin;
  Shape dims(x.size(), 1);
  dims[dims.size() - 2] = count;
  dims.back() = d;
  Tensor taken = call.out(0, DType::F32, dims), index = call.out(1, DType::I64, {count}),
         weights = call.out(2, DType::F32, {count});
  if (count == 0)
    return true;
  const Tensor in = call.in(0);
  GatherCall gather;
  gather.from = in.raw();
  gather.indices = out.lists.source.data<int32_t>() + begin;
  gather.wide = false;
  gather.to = taken.raw();
  gather.n = count;
  gather.inner = gather.strides[0] = d;
  gather.dims[0] = extent.count();
  gather.flag = call.flag;
  gather.mark = call.mark;
  call.each("gather", count * d, gather);
  PointwiseCall copy;
  copy.types[0] = DType::I32;
  copy.outType = DType::I64;
  copy.in[0] = gather.indices;
  copy.out = index.raw();
  copy.loops.count = copy.loops.dims[0] = count;
  copy.loops.strides[0][0] = 1;
  call.each("pointwise_integer", count, copy);
  copy.types[0] = copy.outType = DType::F32;
  copy.in[0] = out.lists.weights.data<float>() + begin;
  copy.out = weights.raw();
  call.each("pointwise_real", count, copy);
  return true;
}

// Inputs: y?, rows, index, weights, and x whose rows they are.
bool addRows(Call &call) {
  const Shape part = call.shape(1), x = call.shape(4);
  if (call.type(1) != DType::F32 || call.type(2) != DType::I64 || call.type(3) != DType::F32 ||
      part.empty() || x.empty() || (call.has(0) && call.type(0) != DType::F32))
    return false;
  AddRowsCall work;
  work.n = part.back();
  work.count = elementCount(part) / std::max<int64_t>(1, work.n);
  work.all = elementCount(x) / std::max<int64_t>(1, x.back());
  Shape dims = x;
  dims.back() = work.n;
  if (elementCount(call.shape(2)) != work.count || elementCount(call.shape(3)) != work.count ||
      (call.has(0) && call.shape(0) != dims))
    return false;
  const Tensor before = call.has(0) ? call.in(0) : Tensor(), rows = call.in(1), index = call.in(2),
               weights = call.in(3);
  Tensor y = call.out(0, DType::F32, dims);
  if (call.has(0))
    call.copy(before, y.raw());
  else
    call.clear(y);
  work.rows = rows.data<float>();
  work.index = index.data<int64_t>();
  work.weights = weights.data<float>();
  work.y = y.data<float>();
  work.flag = call.flag;
  work.mark = call.mark;
  call.each("add_rows", work.count * work.n, work);
  return true;
}

} // namespace

bool coversProducts(const Node &node) {
  ProductShape shape;
  if (!productShape(node, shape) || node.integer("tokens", 1) < 0)
    return false;
  for (int64_t slot : node.integers("slots"))
    if (slot < -1 || slot >= shape.experts)
      return false;
  return true;
}

bool coversGathered(const Node &node) {
  HeadsShape shape;
  Steps steps[4];
  return headsShape(node, shape, steps) && node.integer("tokens", 1) >= 0 &&
         node.integers("slots").empty();
}

bool coversRows(const Node &node) {
  return slotOf(node) >= -1 && node.integer("tokens", 1) >= 0;
}

void addGrouped(DeviceKernels &table) {
  table[{"uoe", "Products"}] = products;
  table[{"uoe", "GatheredAttention"}] = gatheredAttention;
  table[{"uoe", "Rows"}] = rows;
  table[{"uoe", "AddRows"}] = addRows;
}

} // namespace uoe::rt::cuda
