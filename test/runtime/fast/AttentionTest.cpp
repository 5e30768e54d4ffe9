#include "runtime/cpu/fast/Attention.h"
#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class AttentionTest : public EveryIsa {};
UOE_EVERY_ISA(AttentionTest);

/// Operands for the sizes in `args`, in the layout [batch, head, position, feature] or [batch,
/// position, head, feature].
struct Operands {
  std::vector<float> q, k, v, output, expected;
  AttentionArgs args;

  Operands(AttentionArgs a, bool headsInner) : args(a) {
    q = randoms(a.batch * a.heads * a.queries * a.size, 1, 2);
    k = randoms(a.batch * a.kvHeads * a.keys * a.size, 2, 2);
    v = randoms(a.batch * a.kvHeads * a.keys * a.valueSize, 3);
    output.assign(static_cast<size_t>(a.batch * a.heads * a.queries * a.valueSize), 9.0f);
    auto strides = [&](int64_t heads, int64_t length, int64_t size) {
      return headsInner ? Strides4{heads * length * size, size, heads * size, 1}
                        : Strides4{heads * length * size, length * size, size, 1};
    };
    args.qStrides = strides(a.heads, a.queries, a.size);
    args.kStrides = strides(a.kvHeads, a.keys, a.size);
    args.vStrides = strides(a.kvHeads, a.keys, a.valueSize);
    args.outputStrides = strides(a.heads, a.queries, a.valueSize);
    args.q = q.data();
    args.k = k.data();
    args.v = v.data();
    args.output = output.data();
  }
  void run(float tolerance = 3e-6f) {
    AttentionArgs plain = args;
    expected = output;
    plain.output = expected.data();
    reference::attention(plain);
    attention(args);
    expectClose(output, expected, tolerance);
  }
};

AttentionArgs sizes(int64_t batch, int64_t heads, int64_t kvHeads, int64_t queries, int64_t keys,
                    int64_t size, int64_t valueSize) {
  AttentionArgs a;
  a.batch = batch;
  a.heads = heads;
  a.kvHeads = kvHeads;
  a.queries = queries;
  a.keys = keys;
  a.size = size;
  a.valueSize = valueSize;
  a.scale = 0.3f;
  return a;
}

TEST_P(AttentionTest, Shapes) {
  for (bool inner : {false, true})
    for (auto a :
         {sizes(1, 1, 1, 1, 1, 1, 1), sizes(2, 4, 4, 1, 7, 64, 64), sizes(1, 6, 2, 1, 300, 64, 64),
          sizes(2, 4, 2, 3, 50, 20, 33), sizes(1, 2, 1, 40, 40, 64, 64),
          sizes(2, 3, 3, 33, 70, 17, 5), sizes(1, 2, 2, 20, 1100, 32, 48),
          sizes(1, 1, 1, 100, 0, 8, 8), sizes(0, 2, 2, 5, 5, 8, 8), sizes(2, 2, 2, 0, 5, 8, 8),
          sizes(1, 8, 1, 30, 64, 16, 16), sizes(1, 2, 2, 3, 0, 16, 16)}) {
      SCOPED_TRACE(testing::Message() << a.batch << " " << a.heads << " " << a.kvHeads << " "
                                      << a.queries << " " << a.keys << " " << a.size);
      Operands(a, inner).run();
    }
}

TEST_P(AttentionTest, Causal) {
  for (int64_t queries : {1, 5, 64, 150})
    for (int64_t past : {0, 3, 600})
      for (int64_t window : {0, 1, 9}) {
        SCOPED_TRACE(testing::Message() << queries << " after " << past << " window " << window);
        AttentionArgs a = sizes(1, 4, 2, queries, past + queries, 32, 32);
        a.causal = true;
        a.offset = past;
        a.window = window;
        Operands(a, true).run();
      }
}

TEST_P(AttentionTest, CausalRowsWithoutKeys) {
  for (int64_t queries : {3, 40}) {
    AttentionArgs a = sizes(1, 2, 2, queries, 20, 16, 16);
    a.causal = true;
    a.offset = -2; // the first two queries see nothing
    Operands nan(a, false);
    nan.run();
    EXPECT_TRUE(std::isnan(nan.output[0]));
    a.emptyRow = 0.0f;
    Operands zero(a, false);
    zero.run();
    EXPECT_EQ(zero.output[0], 0.0f);
  }
}

TEST_P(AttentionTest, Lengths) {
  const int64_t lengths[] = {5, 0, 300}, offsets[] = {4, 0, 290};
  for (int64_t queries : {1, 4, 30}) {
    AttentionArgs a = sizes(3, 2, 1, queries, 310, 16, 16);
    a.kvLengths = lengths;
    a.offsets = offsets;
    a.causal = true;
    Operands o(a, false);
    // What lies beyond a length must not matter.
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t i = lengths[b] * 16; i < 310 * 16; ++i)
        o.v[static_cast<size_t>(b * 310 * 16 + i)] = o.k[static_cast<size_t>(b * 310 * 16 + i)] =
            std::nanf("");
    o.run();
  }
}

TEST_P(AttentionTest, BiasAndMaskWithBroadcast) {
  for (int64_t queries : {2, 45}) {
    const int64_t keys = 83;
    AttentionArgs a = sizes(2, 4, 2, queries, keys, 24, 24);
    auto bias = randoms(4 * queries * keys, 7, 3);
    std::vector<uint8_t> mask;
    for (int64_t i = 0; i < 2 * keys * queries; ++i)
      mask.push_back(i * 7 % 5 != 0);
    Operands biased(a, false);
    biased.args.bias = bias.data();
    biased.args.biasStrides = {0, queries * keys, keys, 1};
    biased.run();
    Operands turned(a, false); // keys outermost: not contiguous
    turned.args.bias = bias.data();
    turned.args.biasStrides = {0, 0, 1, queries};
    turned.args.mask = mask.data();
    turned.args.maskStrides = {queries * keys, 0, 1, queries};
    turned.run();
    Operands padded(a, true);
    padded.args.mask = mask.data();
    padded.args.maskStrides = {keys, 0, 0, 1};
    padded.run();
  }
}

TEST_P(AttentionTest, AdditiveMasks) {
  for (int64_t queries : {2, 30})
    for (float low : {-3.4028235e38f, -10000.0f, -INFINITY}) {
      const int64_t keys = 40;
      AttentionArgs a = sizes(1, 2, 2, queries, keys, 8, 8);
      std::vector<float> bias(static_cast<size_t>(queries * keys), 0.0f);
      for (int64_t t = 0; t < keys; ++t) {
        bias[static_cast<size_t>(t)] = low; // row 0 entirely: uniform weights, or NaN for -inf
        bias[static_cast<size_t>(keys + t)] = t % 3 ? low : 0.0f;
      }
      Operands o(a, false);
      o.args.bias = bias.data();
      o.args.biasStrides = {0, 0, keys, 1};
      o.run();
      EXPECT_EQ(std::isnan(o.output[0]), std::isinf(low));
    }
}

TEST_P(AttentionTest, SoftcapAndSink) {
  const float sink[] = {0.5f, -1.0f};
  for (int64_t queries : {1, 40}) {
    AttentionArgs a = sizes(1, 2, 1, queries, 60, 16, 16);
    a.softcap = 2.0f;
    Operands(a, false).run();
    a.sink = sink;
    Operands(a, false).run();
    auto bias = randoms(queries * 60, 7, 3);
    Operands after(a, false);
    after.args.softcapAfterBias = true;
    after.args.bias = bias.data();
    after.args.biasStrides = {0, 0, 60, 1};
    after.run();
  }
}

TEST_P(AttentionTest, FeaturesApart) {
  for (int64_t queries : {2, 37}) {
    // k as [batch, head, feature, position], output with features outermost.
    AttentionArgs a = sizes(1, 2, 2, queries, 29, 12, 12);
    Operands o(a, false);
    o.args.kStrides = {0, 12 * 29, 1, 29};
    o.args.vStrides = {0, 12 * 29, 1, 29};
    o.args.qStrides = {0, 12 * queries, 1, queries};
    o.args.outputStrides = {0, 12 * queries, 1, queries};
    o.run();
  }
}

TEST_P(AttentionTest, RefusesUnequalGroups) {
  EXPECT_THROW(attention(sizes(1, 4, 3, 1, 1, 8, 8)), uoe::rt::Error);
}

} // namespace
