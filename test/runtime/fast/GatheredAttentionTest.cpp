// Attention experts on their own tokens against the naive form.
#include "runtime/cpu/fast/GatheredAttention.h"
#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"
#include <cstring>

namespace uoe::rt::fast::test {
namespace {

/// Random weights of experts; a layout of each kind.
struct Heads {
  HeadsSource source;
  std::vector<std::vector<float>> data;

  Heads(int64_t in, int64_t out, int64_t experts, int64_t heads, int64_t kvHeads, int64_t size,
        int64_t valueSize, bool transposed = false, bool biased = false) {
    source.in = in;
    source.out = out;
    source.experts = experts;
    source.heads = heads;
    source.kvHeads = kvHeads;
    source.size = size;
    source.valueSize = valueSize;
    unsigned seed = 3;
    auto fill = [&](HeadsSource::Matrix &matrix, int64_t rows, int64_t columns, bool hasBias) {
      data.push_back(randoms(rows * columns, seed++, 0.5f));
      matrix.data = data.back().data();
      matrix.stepRow = transposed ? 1 : columns;
      matrix.stepColumn = transposed ? rows : 1;
      if (!hasBias)
        return;
      data.push_back(randoms(columns, seed++));
      matrix.bias = data.back().data();
    };
    data.reserve(8);
    fill(source.q, in, experts * heads * size, biased);
    fill(source.k, in, experts * kvHeads * size, false);
    fill(source.v, in, experts * kvHeads * valueSize, biased);
    fill(source.o, experts * heads * valueSize, out, false);
  }
};

/// A routing as weights [tokens, experts], 0 where not chosen, and as lists.
struct Chosen {
  std::vector<float> dense;
  Choice lists;

  // Expert 1 is chosen by nobody, expert 2 by all.
  Chosen(int64_t tokens, int64_t experts, bool weighted, unsigned seed = 7) {
    dense = randoms(tokens * experts, seed);
    for (size_t i = 0; i < dense.size(); ++i) {
      const size_t e = i % size_t(experts);
      dense[i] = e == 1 || (dense[i] < 0 && e != 2) ? 0.0f : weighted ? dense[i] + 1.5f : 1.0f;
    }
    lists = chooseMasked(dense.data(), tokens, experts, weighted);
  }
};

class GatheredAttentionTest : public EveryIsa {
protected:
  /// Runs both forms on random tokens of `args`' sizes.
  static void compare(const Heads &heads, GatheredArgs args, bool weighted) {
    const HeadsSource &s = heads.source;
    const int64_t tokens = args.samples * args.length, ldy = s.out + 2;
    const Chosen chosen(tokens, s.experts, weighted);
    args.ldx = s.in + 3;
    const auto x = randoms(tokens * args.ldx, 1);
    args.x = x.data();
    args.routing = chosen.lists.routing();
    std::vector<float> y(static_cast<size_t>(tokens * ldy), -1.0f), expected = y;
    reference::gatheredAttention(s, args, chosen.dense.data(), expected.data(), ldy);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t j = 0; j < s.out; ++j)
        expected[size_t(t * ldy + j)] += 2 * x[size_t(t * args.ldx + j % s.in)];
    auto residual = randoms(tokens * s.out, 1);
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t j = 0; j < s.out; ++j)
        residual[size_t(t * s.out + j)] = x[size_t(t * args.ldx + j % s.in)];
    FfnEpilogue epilogue;
    epilogue.residual = residual.data();
    epilogue.ldr = s.out;
    epilogue.residualScale = 2;
    const PackedHeads block(s);
    gatheredAttention(block, args, y.data(), ldy, epilogue);
    expectClose(y, expected, 5e-6f);
  }
};

TEST_P(GatheredAttentionTest, Shapes) {
  struct Sizes {
    int64_t heads, kvHeads, size, valueSize;
  };
  for (auto [heads, kvHeads, size, valueSize] :
       {Sizes{1, 1, 8, 8}, Sizes{4, 2, 5, 19}, Sizes{3, 1, 16, 4}})
    for (int64_t samples : {1, 3})
      for (int64_t length : {0, 1, 2, 7, 40})
        for (bool causal : {false, true}) {
          GatheredArgs args;
          args.samples = samples;
          args.length = length;
          args.attention.scale = 0.6f;
          args.attention.causal = causal;
          const Heads weights(13, 21, 5, heads, kvHeads, size, valueSize, causal, samples == 3);
          ASSERT_NO_FATAL_FAILURE(compare(weights, args, causal));
        }
}

TEST_P(GatheredAttentionTest, ManyTokens) {
  GatheredArgs args; // more than one block of keys, and of samples
  args.samples = 3;
  args.length = 600;
  args.attention.scale = 0.5f;
  args.attention.causal = true;
  args.attention.window = 200;
  args.attention.softcap = 3;
  compare(Heads(8, 8, 3, 2, 1, 4, 4), args, true);
}

TEST_P(GatheredAttentionTest, TablesOfPositions) {
  const int64_t samples = 2, length = 19, half = 3;
  const auto cosines = randoms(samples * length * half, 2),
             sines = randoms(samples * length * half, 3);
  for (bool interleaved : {false, true})
    for (bool compacted : {false, true})
      for (bool shared : {false, true}) {
        GatheredArgs args;
        args.samples = samples;
        args.length = length;
        args.tables = {cosines.data(), sines.data(), shared ? 0 : length * half, half, half,
                       interleaved,    compacted};
        ASSERT_NO_FATAL_FAILURE(compare(Heads(9, 9, 4, 2, 1, 7, 5), args, false));
      }
}

TEST_P(GatheredAttentionTest, BiasAndMask) {
  const int64_t samples = 2, length = 23;
  const auto bias = randoms(samples * length * length, 2, 3);
  std::vector<uint8_t> mask(static_cast<size_t>(samples * length));
  for (size_t i = 0; i < mask.size(); ++i)
    mask[i] = i % 5 != 2 && i > 2;
  for (bool compacted : {false, true})
    for (bool keys : {false, true}) {
      GatheredArgs args;
      args.samples = samples;
      args.length = length;
      args.biasCompacted = compacted;
      args.attention.causal = keys;
      args.attention.emptyRow = 0;
      if (keys) { // padding: the first tokens see nothing
        args.attention.mask = mask.data();
        args.attention.maskStrides = {length, 0, 0, 1};
      } else {
        args.attention.bias = bias.data();
        args.attention.biasStrides = {length * length, 0, length, 1};
      }
      ASSERT_NO_FATAL_FAILURE(compare(Heads(9, 9, 4, 2, 2, 6, 6), args, true));
    }
}

TEST_P(GatheredAttentionTest, ASampleDoesNotDependOnOthers) {
  const int64_t samples = 3, length = 50;
  const Heads heads(16, 16, 4, 2, 1, 8, 8);
  const PackedHeads block(heads.source);
  const auto x = randoms(samples * length * 16, 1);
  const Chosen chosen(samples * length, 4, true);
  GatheredArgs args;
  args.x = x.data();
  args.ldx = 16;
  args.samples = samples;
  args.length = length;
  args.routing = chosen.lists.routing();
  std::vector<float> all(x.size()), one(static_cast<size_t>(length * 16));
  gatheredAttention(block, args, all.data(), 16);
  args.samples = 1;
  for (int64_t b = 0; b < samples; ++b) {
    args.x = x.data() + b * length * 16;
    args.routing.offsets = chosen.lists.offsets.data() + b * length;
    gatheredAttention(block, args, one.data(), 16);
    ASSERT_EQ(0, std::memcmp(one.data(), all.data() + b * length * 16, one.size() * sizeof(float)));
  }
}

TEST_P(GatheredAttentionTest, Refusals) {
  EXPECT_THROW(PackedHeads(Heads(4, 4, 2, 3, 2, 4, 4).source), uoe::rt::Error);
  const Heads heads(4, 4, 2, 1, 1, 4, 4);
  const PackedHeads block(heads.source);
  const int64_t offsets[] = {0, 1};
  const int32_t id = 2;
  float x[4] = {}, y[4];
  GatheredArgs args;
  args.x = x;
  args.ldx = 4;
  args.samples = args.length = 1;
  args.routing = {offsets, &id, nullptr};
  EXPECT_THROW(gatheredAttention(block, args, y, 4), uoe::rt::Error);
}

UOE_EVERY_ISA(GatheredAttentionTest);

} // namespace
} // namespace uoe::rt::fast::test
