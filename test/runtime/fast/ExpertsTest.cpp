#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Reference.h"
#include "runtime/cpu/fast/Router.h"
#include <cmath>
#include <cstring>
#include <limits>

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace fast = uoe::rt::fast;

namespace {

class ExpertsTest : public EveryIsa {};
UOE_EVERY_ISA(ExpertsTest);

struct Weights {
  std::vector<float> gate, up, down, gateBias, upBias, downBias;
  FfnSource source;

  Weights(int64_t in, int64_t hidden, int64_t out, bool gated, bool biased, bool transposed) {
    gate = randoms(in * hidden, 11, 0.5f);
    up = randoms(in * hidden, 12, 0.5f);
    down = randoms(hidden * out, 13, 0.5f);
    gateBias = randoms(hidden, 14);
    upBias = randoms(hidden, 15);
    downBias = randoms(out, 16);
    source.in = in;
    source.hidden = hidden;
    source.out = out;
    source.gate = gated ? gate.data() : nullptr;
    source.up = up.data();
    source.down = down.data();
    source.gateTransposed = source.upTransposed = source.downTransposed = transposed;
    if (biased) {
      source.gateBias = gated ? gateBias.data() : nullptr;
      source.upBias = upBias.data();
      source.downBias = downBias.data();
    }
  }
};

TEST_P(ExpertsTest, Dense) {
  for (int64_t tokens : {0, 1, 3, 17, 64, 260, 530})
    for (int variant = 0; variant < 8; ++variant) {
      bool gated = variant & 1, biased = variant & 2, transposed = variant & 4;
      SCOPED_TRACE(testing::Message() << tokens << " tokens, variant " << variant);
      Weights w(19, 50, 37, gated, biased, transposed);
      if (gated && biased)
        w.source.cut = {0.8f, transposed ? 1.0f : 0.0f};
      Activation act = gated ? Activation::Silu : Activation::Gelu;
      PackedFfn block(w.source, act);
      auto x = randoms(tokens * 21, 1), residual = randoms(tokens * 37, 2);
      std::vector<float> y = residual, expected(y.size());
      reference::ffn(w.source, act, x.data(), 21, tokens, nullptr, expected.data(), 37);
      for (size_t i = 0; i < y.size(); ++i)
        expected[i] += 0.5f * residual[i];
      FfnEpilogue e;
      e.residual = y.data(); // in place
      e.ldr = 37;
      e.residualScale = 0.5f;
      ffn(block, x.data(), 21, tokens, y.data(), 37, e);
      ASSERT_NO_FATAL_FAILURE(expectClose(y, expected));
    }
}

/// Masks with a share of about half of the experts, some tokens with none, some with all.
std::vector<float> randomMask(int64_t tokens, int64_t experts, bool weighted) {
  auto mask = randoms(tokens * experts, 5);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t e = 0; e < experts; ++e) {
      float &m = mask[static_cast<size_t>(t * experts + e)];
      bool on = t % 7 == 3 ? false : t % 7 == 5 ? true : m > 0;
      m = on ? (weighted ? 0.5f + std::fabs(m) : 1.0f) : 0.0f;
    }
  return mask;
}

TEST_P(ExpertsTest, Routed) {
  const std::vector<std::vector<int64_t>> partitions = {
      {0, 16, 32, 48, 64, 80, 96}, // experts of 16, no core
      {32, 48, 64, 80, 96},        // a core
      {5, 6, 6, 30, 59, 96},       // uneven, one of them empty
      {96},                        // core only
      {0, 96},                     // one expert
  };
  for (const auto &starts : partitions)
    for (int64_t tokens : {0, 1, 2, 4, 9, 70, 300, 1300})
      for (int variant = 0; variant < 4; ++variant) {
        SCOPED_TRACE(testing::Message()
                     << tokens << " tokens, first start " << starts[0] << ", variant " << variant);
        const int64_t in = 33, hidden = 96, out = 50;
        const int64_t experts = static_cast<int64_t>(starts.size()) - 1;
        bool gated = variant & 1, weighted = variant & 2;
        Weights w(in, hidden, out, gated, variant == 3, false);
        if (variant == 3)
          w.source.cut = {0.6f, 1.0f};
        Activation act = gated ? Activation::Silu : Activation::GeluTanh;
        PackedFfn block(w.source, act, starts);
        auto x = randoms(tokens * in, 1), mask = randomMask(tokens, experts, weighted);
        Choice choice = chooseMasked(mask.data(), tokens, experts, weighted);
        std::vector<float> units(static_cast<size_t>(tokens * hidden), 1.0f);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t e = 0; e < experts; ++e)
            for (int64_t j = starts[size_t(e)]; j < starts[size_t(e) + 1]; ++j)
              units[static_cast<size_t>(t * hidden + j)] =
                  mask[static_cast<size_t>(t * experts + e)];
        std::vector<float> y(static_cast<size_t>(tokens * out)), expected(y.size());
        reference::ffn(w.source, act, x.data(), in, tokens, units.data(), expected.data(), out);
        fast::experts(block, x.data(), in, tokens, choice.routing(), y.data(), out);
        ASSERT_NO_FATAL_FAILURE(expectClose(y, expected));

        auto skip = randoms(experts * out, 8);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t e = 0; e < experts; ++e)
            for (int64_t i = 0; mask[static_cast<size_t>(t * experts + e)] == 0 && i < out; ++i)
              expected[static_cast<size_t>(t * out + i)] += skip[static_cast<size_t>(e * out + i)];
        block.setSkipVectors(skip.data());
        fast::experts(block, x.data(), in, tokens, choice.routing(), y.data(), out);
        ASSERT_NO_FATAL_FAILURE(expectClose(y, expected));
      }
}

TEST_P(ExpertsTest, CutsNeedAGate) {
  Weights w(3, 5, 2, false, false, false);
  w.source.cut.limit = 1.0f;
  EXPECT_THROW(PackedFfn(w.source, Activation::Silu), uoe::rt::Error);
}

// What no comparison holds for stays what it is.
TEST_P(ExpertsTest, CutsKeepNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Weights w(2, 20, 1, true, false, false);
  w.source.cut = {1.0f, 1.0f};
  PackedFfn block(w.source, Activation::Silu);
  const float x[] = {nan, 1.0f};
  float y = 0;
  ffn(block, x, 2, 1, &y, 1);
  EXPECT_TRUE(std::isnan(y));
}

TEST_P(ExpertsTest, AllExpertsEqualTheDenseBlock) {
  Weights w(40, 80, 24, true, true, true);
  const int64_t tokens = 33;
  auto x = randoms(tokens * 40, 1);
  std::vector<float> mask(static_cast<size_t>(tokens) * 5, 1.0f),
      dense(static_cast<size_t>(tokens) * 24), routed = dense;
  ffn(PackedFfn(w.source, Activation::Silu), x.data(), 40, tokens, dense.data(), 24);
  Choice all = chooseMasked(mask.data(), tokens, 5);
  fast::experts(PackedFfn(w.source, Activation::Silu, {0, 16, 32, 48, 64, 80}), x.data(), 40,
                tokens, all.routing(), routed.data(), 24);
  // The same chains of multiply-adds: equal to the last bit.
  EXPECT_EQ(0, std::memcmp(dense.data(), routed.data(), dense.size() * sizeof(float)));
}

TEST_P(ExpertsTest, OneTokenEqualsTheSameTokenOfABatch) {
  const int64_t tokens = 300, in = 36, out = 44;
  for (auto type : {ElementType::F32, ElementType::BF16, ElementType::F16}) {
    Weights w(in, 96, out, true, true, false);
    PackedFfn block(w.source, Activation::Silu, {16, 32, 48, 64, 80, 96}, {}, {type, type});
    auto x = randoms(tokens * in, 1), mask = randomMask(tokens, 5, true);
    Choice choice = chooseMasked(mask.data(), tokens, 5, true);
    std::vector<float> batch(static_cast<size_t>(tokens * out)), row(static_cast<size_t>(out)),
        serial = batch;
    fast::experts(block, x.data(), in, tokens, choice.routing(), batch.data(), out);
    for (int64_t t = 0; t < tokens; ++t) {
      Choice own = chooseMasked(mask.data() + t * 5, 1, 5, true);
      fast::experts(block, x.data() + t * in, in, 1, own.routing(), row.data(), out);
      ASSERT_EQ(0, std::memcmp(row.data(), batch.data() + t * out, row.size() * sizeof(float)))
          << t;
    }
    uoe::rt::ThreadPool::setGlobalThreads(1);
    fast::experts(block, x.data(), in, tokens, choice.routing(), serial.data(), out);
    uoe::rt::ThreadPool::setGlobalThreads(0);
    EXPECT_EQ(0, std::memcmp(serial.data(), batch.data(), batch.size() * sizeof(float)));
  }
}

// Weights of a narrow type give the bits of the same weights as floats: dense, routed, with a
// vector for what is skipped, of many groups and few, for few tokens and many.
TEST_P(ExpertsTest, ExactTypes) {
  const int64_t in = 36, hidden = 1100, out = 44;
  for (bool gated : {true, false})
    for (FfnTypes types : {FfnTypes{ElementType::BF16, ElementType::F32},
                           FfnTypes{ElementType::F32, ElementType::F16},
                           FfnTypes{ElementType::F16, ElementType::BF16}}) {
      Weights w(in, hidden, out, gated, true, false);
      roundTo(types.inner, w.up);
      roundTo(types.inner, w.gate);
      roundTo(types.outer, w.down);
      FfnTypes exact = PackedFfn::exactTypes(w.source);
      ASSERT_EQ(exact.inner, types.inner);
      ASSERT_EQ(exact.outer, types.outer);
      const std::vector<int64_t> starts{1000, 1016, 1020, 1060, 1100};
      PackedFfn wide(w.source, Activation::Silu, starts),
          narrow(w.source, Activation::Silu, starts, {}, exact);
      EXPECT_LT(narrow.bytes(), wide.bytes());
      auto skip = randoms(4 * out, 7);
      wide.setSkipVectors(skip.data());
      narrow.setSkipVectors(skip.data());
      for (int64_t tokens : {1, 3, 14, 15, 40, 300}) {
        SCOPED_TRACE(tokens);
        auto x = randoms(tokens * in, 1), mask = randomMask(tokens, 4, true);
        Choice choice = chooseMasked(mask.data(), tokens, 4, true);
        std::vector<float> y(static_cast<size_t>(tokens * out)), expected = y;
        ffn(narrow, x.data(), in, tokens, y.data(), out);
        ffn(wide, x.data(), in, tokens, expected.data(), out);
        ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)));
        fast::experts(narrow, x.data(), in, tokens, choice.routing(), y.data(), out);
        fast::experts(wide, x.data(), in, tokens, choice.routing(), expected.data(), out);
        ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)));
      }
    }
}

// Matrices in 4 or 8 bits against the same weights as floats, whose bits many tokens have: dense
// and routed, with inputs that fill no whole block, zero points, gates that are stored in another
// way, and experts whose units share no block.
TEST_P(ExpertsTest, Quantised) {
  const int64_t hidden = 96, out = 50;
  struct Case {
    int64_t in;
    int innerBits, innerZeros;
    int64_t innerBlock;
    int outerBits, outerZeros; // 0 bits: floats
    int64_t outerBlock;
    std::vector<int64_t> starts;
  };
  const std::vector<int64_t> even{0, 16, 32, 48, 64, 80, 96}, core{32, 48, 64, 96},
      uneven{5, 6, 6, 30, 59, 96}, padded{16, 32, 40, 96};
  const Case cases[] = {
      {64, 4, 0, 32, 8, 0, 16, even},   {33, 4, 1, 16, 8, 0, 16, core},
      {70, 8, 0, 16, 4, 0, 32, even},   {128, 8, 2, 64, 0, 0, 0, uneven},
      {64, 0, 0, 0, 8, 1, 48, core},    {37, 4, 2, 8, 4, 1, 96, padded},
      {64, 4, 0, 32, 8, 0, 16, uneven}, {64, 4, 0, 32, 8, 2, 16, even},
      {9, 8, 1, 128, 4, 0, 16, {96}},   {1, 4, 0, 16, 8, 0, 8, {0, 96}},
  };
  for (const Case &c : cases)
    for (bool gated : {true, false}) {
      const int64_t experts = static_cast<int64_t>(c.starts.size()) - 1;
      Weights w(c.in, hidden, out, gated, true, false);
      FfnSource codes = w.source;
      // Gate and up in one format, or (the last case of zeros) in two.
      std::vector<QuantizedWeight> parts;
      parts.reserve(3);
      if (c.innerBits) {
        parts.emplace_back(c.in, hidden, c.innerBlock, c.innerBits, c.innerZeros, 21);
        w.up = parts.back().wide;
        codes.upCodes = &parts.back().source;
        parts.emplace_back(c.in, hidden, c.innerBlock, c.innerBits,
                           c.outerZeros == 2 ? 1 : c.innerZeros, 22);
        w.gate = parts.back().wide;
        codes.gateCodes = gated ? &parts.back().source : nullptr;
        codes.up = codes.gate = nullptr;
      }
      if (c.outerBits) {
        parts.emplace_back(hidden, out, c.outerBlock, c.outerBits, c.outerZeros, 23);
        w.down = parts.back().wide;
        codes.downCodes = &parts.back().source;
        codes.down = nullptr;
      }
      w.source.up = w.up.data();
      w.source.gate = gated ? w.gate.data() : nullptr;
      w.source.down = w.down.data();
      const Activation act = gated ? Activation::Silu : Activation::Sigmoid;
      PackedFfn wide(w.source, act, c.starts), narrow = packExact(codes, act, c.starts);
      if (&c == cases)
        EXPECT_LT(3 * narrow.bytes(), wide.bytes());
      auto skip = randoms(experts * out, 7);
      wide.setSkipVectors(skip.data());
      narrow.setSkipVectors(skip.data());
      for (int64_t tokens : {0, 1, 2, 3, 5, 7, 8, 9, 40, 300}) {
        SCOPED_TRACE(testing::Message() << tokens << " tokens, case " << &c - cases);
        auto x = randoms(tokens * (c.in + 1), 1), mask = randomMask(tokens, experts, true);
        Choice choice = chooseMasked(mask.data(), tokens, experts, true);
        std::vector<float> y(static_cast<size_t>(tokens * out)), expected = y;
        auto compare = [&] {
          if (tokens <= fewTokens)
            expectClose(y, expected, 2e-5f);
          else
            ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)));
        };
        ffn(narrow, x.data(), c.in + 1, tokens, y.data(), out);
        ffn(wide, x.data(), c.in + 1, tokens, expected.data(), out);
        ASSERT_NO_FATAL_FAILURE(compare());
        fast::experts(narrow, x.data(), c.in + 1, tokens, choice.routing(), y.data(), out);
        fast::experts(wide, x.data(), c.in + 1, tokens, choice.routing(), expected.data(), out);
        ASSERT_NO_FATAL_FAILURE(compare());
        // One of few tokens has the bits that it has alone.
        if (tokens > 0 && tokens <= fewTokens) {
          Choice own = chooseMasked(mask.data() + (tokens - 1) * experts, 1, experts, true);
          std::vector<float> row(static_cast<size_t>(out));
          fast::experts(narrow, x.data() + (tokens - 1) * (c.in + 1), c.in, 1, own.routing(),
                        row.data(), out);
          ASSERT_EQ(0, std::memcmp(row.data(), &y[static_cast<size_t>((tokens - 1) * out)],
                                   row.size() * sizeof(float)));
        }
      }
    }
}

TEST_P(ExpertsTest, QuantisedRefusals) {
  Weights w(32, 16, 4, false, false, false);
  QuantizedWeight up(32, 16, 16, 4, 0), other(32, 15, 16, 4, 0);
  w.source.upCodes = &other.source;
  EXPECT_THROW(PackedFfn(w.source, Activation::Relu), uoe::rt::Error);
  up.source.bits = 2;
  w.source.upCodes = &up.source;
  EXPECT_THROW(PackedFfn(w.source, Activation::Relu), uoe::rt::Error);
}

TEST_P(ExpertsTest, OrderAndBfloat16) {
  const int64_t in = 20, hidden = 40, out = 30, tokens = 21;
  Weights w(in, hidden, out, true, true, false);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < hidden; ++i)
    order.push_back(i * 7 % hidden);
  auto x = randoms(tokens * in, 1);
  std::vector<float> y(static_cast<size_t>(tokens * out)), expected = y, units, mask;
  for (int64_t t = 0; t < tokens; ++t)
    mask.insert(mask.end(), {float(t % 2), float(t % 3 == 0)});
  units.resize(static_cast<size_t>(tokens * hidden));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t j = 0; j < hidden; ++j)
      units[static_cast<size_t>(t * hidden + order[size_t(j)])] =
          mask[static_cast<size_t>(t * 2 + (j >= 10))];
  Choice choice = chooseMasked(mask.data(), tokens, 2);
  reference::ffn(w.source, Activation::Silu, x.data(), in, tokens, units.data(), expected.data(),
                 out);
  fast::experts(PackedFfn(w.source, Activation::Silu, {0, 10, 40}, order), x.data(), in, tokens,
                choice.routing(), y.data(), out);
  expectClose(y, expected);
  fast::experts(PackedFfn(w.source, Activation::Silu, {0, 10, 40}, order,
                          {ElementType::BF16, ElementType::BF16}),
                x.data(), in, tokens, choice.routing(), y.data(), out);
  expectClose(y, expected, 0.02f);
}

/// The matrices of `experts` experts, side by side along columns or rows, or stored transposed.
struct Matrices {
  std::vector<float> weight, bias;
  ProductSource source;

  Matrices(int64_t in, int64_t out, int64_t experts, int64_t heads, bool splitInput,
           bool transposed, bool biased) {
    weight = randoms(in * out * experts, 31, 0.5f);
    bias = randoms(out * experts, 32);
    source.in = in;
    source.out = out;
    source.experts = experts;
    source.weight = weight.data();
    source.bias = biased ? bias.data() : nullptr;
    source.heads = heads;
    source.splitInput = splitInput;
    const int64_t rows = splitInput ? in * experts : in, columns = splitInput ? out : out * experts;
    source.stepIn = transposed ? 1 : columns;
    source.stepOut = transposed ? rows : 1;
    source.stepExpert = splitInput ? in * source.stepIn : out * source.stepOut;
  }
  int64_t inWidth() const { return source.splitInput ? source.heads * source.in : source.in; }
  int64_t outWidth() const { return source.splitInput ? source.out : source.heads * source.out; }
};

TEST_P(ExpertsTest, OneMatrix) {
  // In and out of a matrix, experts, heads.
  const int64_t shapes[][4] = {{33, 50, 6, 1}, {33, 50, 6, 2}, {16, 7, 12, 4},
                               {1, 1, 1, 1},   {82, 20, 8, 2}, {48, 300, 5, 5}};
  for (const auto &shape : shapes)
    for (int64_t tokens : {0, 1, 2, 7, 70, 1100})
      for (int variant = 0; variant < 16; ++variant) {
        SCOPED_TRACE(testing::Message() << tokens << " tokens, " << shape[0] << " in, " << shape[3]
                                        << " heads, variant " << variant);
        if (tokens > 100 && variant % 7 != 1)
          continue; // the reference takes its time
        const bool weighted = variant & 8;
        const int64_t experts = shape[2];
        Matrices m(shape[0], shape[1], experts, shape[3], variant & 1, variant & 2, variant & 4);
        PackedProducts block(m.source);
        ASSERT_EQ(block.inWidth(), m.inWidth());
        ASSERT_EQ(block.outWidth(), m.outWidth());
        const int64_t ldx = m.inWidth() + 3, ldy = m.outWidth();
        auto x = randoms(tokens * ldx, 1), mask = randomMask(tokens, experts, weighted);
        Choice choice = chooseMasked(mask.data(), tokens, experts, weighted);
        std::vector<float> y = randoms(tokens * ldy, 2), expected(y.size());
        reference::products(m.source, x.data(), ldx, tokens, mask.data(), expected.data(), ldy);
        for (size_t i = 0; i < y.size(); ++i)
          expected[i] += 0.5f * y[i];
        FfnEpilogue e;
        e.residual = y.data(); // in place
        e.ldr = ldy;
        e.residualScale = 0.5f;
        fast::products(block, x.data(), ldx, tokens, choice.routing(), y.data(), ldy, e);
        ASSERT_NO_FATAL_FAILURE(expectClose(y, expected));
      }
}

TEST_P(ExpertsTest, OneMatrixOfOneTokenEqualsTheSameTokenOfABatch) {
  const int64_t tokens = 200, experts = 12;
  for (bool splitInput : {false, true}) {
    Matrices m(37, 45, experts, 3, splitInput, false, true);
    PackedProducts block(m.source);
    const int64_t ldx = m.inWidth(), ldy = m.outWidth();
    auto x = randoms(tokens * ldx, 1), mask = randomMask(tokens, experts, true);
    Choice choice = chooseMasked(mask.data(), tokens, experts, true);
    std::vector<float> batch(static_cast<size_t>(tokens * ldy)), row(static_cast<size_t>(ldy));
    fast::products(block, x.data(), ldx, tokens, choice.routing(), batch.data(), ldy);
    for (int64_t t = 0; t < tokens; ++t) {
      Choice own = chooseMasked(mask.data() + t * experts, 1, experts, true);
      fast::products(block, x.data() + t * ldx, ldx, 1, own.routing(), row.data(), ldy);
      ASSERT_EQ(0, std::memcmp(row.data(), batch.data() + t * ldy, row.size() * sizeof(float)))
          << t;
    }
  }
}

TEST_P(ExpertsTest, Refusals) {
  EXPECT_THROW(PackedProducts(Matrices(4, 4, 6, 4, true, false, false).source), uoe::rt::Error);

  Weights w(4, 8, 4, false, false, false);
  EXPECT_THROW(PackedFfn(w.source, Activation::Relu, {0, 4}), uoe::rt::Error);
  EXPECT_THROW(PackedFfn(w.source, Activation::Relu, {4, 2, 8}), uoe::rt::Error);
  EXPECT_THROW(PackedFfn(w.source, Activation::Relu, {0, 8}, {0, 1, 2, 3, 4, 5, 6, 6}),
               uoe::rt::Error);
  PackedFfn block(w.source, Activation::Relu, {0, 4, 8});
  const int64_t offsets[] = {0, 1};
  const int32_t id = 2;
  float x[4] = {}, y[4];
  EXPECT_THROW(fast::experts(block, x, 4, 1, {offsets, &id, nullptr}, y, 4), uoe::rt::Error);
}

TEST(RouterTest, TopTakesTheLowerIndexOfEquals) {
  const float nan = std::nanf("");
  const float scores[] = {1, 3, 3, 2, nan, nan, -1, -INFINITY};
  EXPECT_EQ(chooseTop(scores, 2, 4, 2).ids, (std::vector<int32_t>{1, 2, 2, 3}));
  EXPECT_EQ(chooseTop(scores, 2, 4, 1, true).weights, (std::vector<float>{3, -1}));
  EXPECT_EQ(chooseTop(scores, 2, 4, 9).ids.size(), 8u);
  EXPECT_EQ(chooseTop(scores, 2, 4, 0).offsets, (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(chooseTop(scores + 4, 1, 4, 3).ids, (std::vector<int32_t>{0, 2, 3}));
}

TEST(RouterTest, Thresholds) {
  const float scores[] = {1, 3, 3, 2, std::nanf(""), 0};
  Choice one = chooseAbove(scores, 2, 3, {2}, true);
  EXPECT_EQ(one.offsets, (std::vector<int64_t>{0, 2, 2}));
  EXPECT_EQ(one.ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(one.weights, (std::vector<float>{3, 3}));
  EXPECT_EQ(chooseAbove(scores, 2, 3, {0, 5, -1}).ids, (std::vector<int32_t>{0, 2, 0, 2}));
  EXPECT_THROW(chooseAbove(scores, 2, 3, {0, 1}), uoe::rt::Error);
}

} // namespace
