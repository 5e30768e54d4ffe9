// Two grouped products with attention between them: an expert's part of a token's projections lies
// where it would lie if all experts had all tokens, so that the products find it by the token;
// attention gets the chosen parts one after the other.
#include "GatheredAttention.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include "simd/Table.h"
#include <cstring>

namespace uoe::rt::fast {

namespace {

/// Tokens that are computed at once, unless a sample has more: as many as the products group.
constexpr int64_t tileTokens = 1024;

/// Of some samples, the tokens that each expert has: those of expert e and sample b are
/// token[first[b * experts + e]] .. token[first[b * experts + e + 1] - 1], ascending, counted
/// within the sample.
struct Segments {
  std::vector<int64_t> first;
  std::vector<int32_t> token;

  Segments(const GatheredArgs &a, int64_t experts, int64_t b0, int64_t b1)
      : first(static_cast<size_t>((b1 - b0) * experts + 1)) {
    const int64_t *offsets = a.routing.offsets;
    token.resize(static_cast<size_t>(offsets[b1 * a.length] - offsets[b0 * a.length]));
    auto each = [&](auto visit) {
      for (int64_t b = b0; b < b1; ++b)
        for (int64_t t = 0; t < a.length; ++t)
          for (int64_t i = offsets[b * a.length + t]; i < offsets[b * a.length + t + 1]; ++i)
            visit(static_cast<size_t>((b - b0) * experts + a.routing.ids[i]), t);
    };
    for (int64_t i = offsets[b0 * a.length]; i < offsets[b1 * a.length]; ++i)
      check(a.routing.ids[i] >= 0 && a.routing.ids[i] < experts, "experts: chosen expert ",
            a.routing.ids[i], " of ", experts);
    each([&](size_t segment, int64_t) { ++first[segment + 1]; });
    for (size_t i = 1; i < first.size(); ++i)
      first[i] += first[i - 1];
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    each([&](size_t segment, int64_t t) {
      token[static_cast<size_t>(next[segment]++)] = static_cast<int32_t>(t);
    });
  }
  int64_t count() const { return static_cast<int64_t>(first.size()) - 1; }
  int64_t pairs() const { return first.back(); }
};

/// Calls visit(segment, its pairs begin .. end) for pairs on all threads.
template <typename Visit> void forPairs(const Segments &segments, int64_t width, Visit visit) {
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, width));
  ThreadPool::global().parallelFor(segments.pairs(), grain, [&](int64_t begin, int64_t end) {
    int64_t s = std::upper_bound(segments.first.begin(), segments.first.end(), begin) -
                segments.first.begin() - 1;
    for (int64_t i = begin; i < end; ++s) {
      const int64_t last = std::min(end, segments.first[size_t(s) + 1]);
      if (i < last)
        visit(s, i, last);
      i = std::max(i, last);
    }
  });
}

void attend(const PackedHeads &block, const GatheredArgs &a, int64_t b0, int64_t b1, float *y,
            int64_t ldy, const FfnEpilogue &epilogue) {
  const Segments segments(a, block.experts, b0, b1);
  const int64_t t0 = b0 * a.length, tokens = (b1 - b0) * a.length, n = block.experts;
  const int64_t width = block.projectWidth(), mixedWidth = block.mixedWidth();
  const int64_t heads = block.heads + block.kvHeads; // that may be rotated
  Routing routing = a.routing;
  routing.offsets += t0;
  Routing whole = routing;
  whole.weights = nullptr;
  float *projected = scratch<float>(Scratch::Projected, tokens * n * width);
  products(block.project, a.x + t0 * a.ldx, a.ldx, tokens, whole, projected, n * width);

  float *rows = scratch<float>(Scratch::Gathered, segments.pairs() * (width + mixedWidth));
  float *own = rows + segments.pairs() * width;
  forPairs(segments, width, [&](int64_t s, int64_t begin, int64_t end) {
    const int64_t sample = s / n, e = s % n;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = segments.token[size_t(i)];
      std::memcpy(rows + i * width, projected + ((sample * a.length + t) * n + e) * width,
                  static_cast<size_t>(width) * sizeof(float));
      if (!a.tables.cosines)
        continue;
      const int64_t at = a.tables.compacted ? i - segments.first[size_t(s)] : t;
      const int64_t angles = (b0 + sample) * a.tables.stepSample + at * a.tables.stepToken;
      for (int64_t h = 0; h < heads; ++h) {
        float *head = rows + i * width + h * block.size;
        kernels().rotateHead(head, head, a.tables.cosines + angles, a.tables.sines + angles,
                             a.tables.half, a.tables.interleaved);
      }
    }
  });

  std::vector<AttentionArgs> list;
  for (int64_t s = 0; s < segments.count(); ++s) {
    const int64_t first = segments.first[size_t(s)], sample = b0 + s / n;
    AttentionArgs one = a.attention;
    one.batch = 1;
    one.heads = block.heads;
    one.kvHeads = block.kvHeads;
    one.queries = one.keys = segments.first[size_t(s) + 1] - first;
    one.size = block.size;
    one.valueSize = block.valueSize;
    one.q = rows + first * width;
    one.k = one.q + block.heads * block.size;
    one.v = one.k + block.kvHeads * block.size;
    one.qStrides = one.kStrides = {0, block.size, width, 1};
    one.vStrides = {0, block.valueSize, width, 1};
    one.output = own + first * mixedWidth;
    one.outputStrides = {0, block.valueSize, mixedWidth, 1};
    one.offset = 0;
    one.places = a.biasCompacted ? nullptr : segments.token.data() + first;
    if (one.bias)
      one.bias += sample * one.biasStrides.batch;
    if (one.mask)
      one.mask += sample * one.maskStrides.batch;
    if (one.queries > 0)
      list.push_back(one);
  }
  attention(list);

  // What no expert has is not read.
  float *mixed = scratch<float>(Scratch::Mixed, tokens * n * mixedWidth);
  forPairs(segments, mixedWidth, [&](int64_t s, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(mixed + ((s / n * a.length + segments.token[size_t(i)]) * n + s % n) * mixedWidth,
                  own + i * mixedWidth, static_cast<size_t>(mixedWidth) * sizeof(float));
  });
  FfnEpilogue rest = epilogue;
  if (rest.residual)
    rest.residual += t0 * rest.ldr;
  products(block.output, mixed, n * mixedWidth, tokens, routing, y + t0 * ldy, ldy, rest);
}

} // namespace

PackedHeads::PackedHeads(const HeadsSource &s)
    : in(s.in), out(s.out), experts(s.experts), heads(s.heads), kvHeads(s.kvHeads), size(s.size),
      valueSize(s.valueSize) {
  check(in >= 0 && out >= 0 && experts >= 0 && size >= 0 && valueSize >= 0,
        "experts: negative size");
  check(kvHeads > 0 && heads > 0 && heads % kvHeads == 0, "experts: ", heads,
        " heads are no multiple of ", kvHeads, " key heads");
  // The experts' columns of q, k and v side by side, [experts][in][width].
  const int64_t width = projectWidth();
  std::vector<float> columns(static_cast<size_t>(experts * in * width)), biases;
  if (s.q.bias || s.k.bias || s.v.bias)
    biases.resize(static_cast<size_t>(experts * width));
  int64_t at = 0;
  for (auto [matrix, n] : {std::pair(&s.q, heads * size), std::pair(&s.k, kvHeads * size),
                           std::pair(&s.v, kvHeads * valueSize)}) {
    for (int64_t e = 0; e < experts; ++e) {
      for (int64_t i = 0; i < in; ++i)
        for (int64_t j = 0; j < n; ++j)
          columns[size_t((e * in + i) * width + at + j)] =
              matrix->data[i * matrix->stepRow + (e * n + j) * matrix->stepColumn];
      for (int64_t j = 0; matrix->bias && j < n; ++j)
        biases[size_t(e * width + at + j)] = matrix->bias[e * n + j];
    }
    at += n;
  }
  ProductSource source;
  source.in = in;
  source.out = width;
  source.experts = source.heads = experts;
  source.weight = columns.data();
  source.stepExpert = in * width;
  source.stepIn = width;
  source.bias = biases.empty() ? nullptr : biases.data();
  if (experts > 0)
    project = PackedProducts(source);
  source.in = mixedWidth();
  source.out = out;
  source.weight = s.o.data;
  source.stepExpert = source.in * s.o.stepRow;
  source.stepIn = s.o.stepRow;
  source.stepOut = s.o.stepColumn;
  source.bias = nullptr;
  source.splitInput = true;
  if (experts > 0)
    output = PackedProducts(source);
}

void gatheredAttention(const PackedHeads &block, const GatheredArgs &args, float *y, int64_t ldy,
                       const FfnEpilogue &epilogue) {
  if (args.length <= 0)
    return;
  const int64_t step = std::max<int64_t>(1, tileTokens / args.length);
  for (int64_t b = 0; b < args.samples; b += step)
    attend(block, args, b, std::min(args.samples, b + step), y, ldy, epilogue);
}

} // namespace uoe::rt::fast
