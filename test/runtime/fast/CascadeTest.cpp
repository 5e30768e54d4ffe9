#include "runtime/cpu/fast/Cascade.h"
#include "Common.h"
#include "runtime/core/Error.h"
#include "runtime/cpu/fast/Gemm.h"
#include "runtime/cpu/fast/Reference.h"
#include <cstring>

using namespace uoe::rt::fast;
using namespace uoe::rt::fast::test;

namespace {

class CascadeTest : public EveryIsa {};
UOE_EVERY_ISA(CascadeTest);

struct Weights {
  std::vector<float> first, up, down, firstBias, upBias, downBias, mean, gate, active, upScale,
      last;
  CascadeSource source;

  Weights(int64_t in, int64_t hidden, int64_t out, bool gated, bool masked, bool transposed) {
    first = randoms(in * hidden, 1, 0.5f);
    up = randoms(in * hidden, 2, 0.5f);
    down = randoms(hidden * out, 3, 0.5f);
    firstBias = randoms(hidden, 4);
    upBias = randoms(hidden, 5);
    downBias = randoms(out, 6);
    mean = randoms(in, 7, 0.3f);
    gate = positive(in, 8);
    active = positive(hidden, 9);
    upScale = positive(in, 10);
    last = positive(hidden, 11);
    source.in = in;
    source.hidden = hidden;
    source.out = out;
    source.first = first.data();
    source.up = gated ? up.data() : nullptr;
    source.down = down.data();
    source.firstTransposed = source.upTransposed = source.downTransposed = transposed;
    if (masked) {
      source.mean = mean.data();
      source.firstBias = firstBias.data();
      source.upBias = upBias.data();
      source.downBias = downBias.data();
      source.gateScale = gate.data();
      source.activeScale = active.data();
      source.upScale = upScale.data();
      source.downScale = last.data();
      source.gateThreshold = 0.4f;
      source.activeThreshold = 0.2f;
      source.upThreshold = 0.3f;
      source.downThreshold = 0.5f;
    }
  }
  static std::vector<float> positive(int64_t n, unsigned seed) {
    auto v = randoms(n, seed);
    for (float &x : v)
      x = 1 + 0.5f * x;
    return v;
  }
};

TEST_P(CascadeTest, AgreesWithTheEquations) {
  for (int64_t tokens : {0, 1, 2, 3, 5, 8, 9, 40, 520})
    for (auto size :
         {std::vector<int64_t>{20, 70, 18}, {48, 130, 48}, {16, 1100, 16}, {210, 300, 410}})
      for (int variant = 0; variant < 8; ++variant) {
        if ((tokens > 40 && size[1] > 1000) || (size[0] > 200 && (tokens < 8 || tokens > 40)))
          continue; // the reference is slow
        bool gated = variant & 1, masked = variant & 2, transposed = variant & 4;
        SCOPED_TRACE(testing::Message()
                     << tokens << " tokens, hidden " << size[1] << ", variant " << variant);
        Weights w(size[0], size[1], size[2], gated, masked, transposed);
        Activation act = gated ? Activation::Silu : Activation::Gelu;
        auto x = randoms(tokens * (size[0] + 1), 20), residual = randoms(tokens * size[2], 21);
        std::vector<float> y = residual, expected(y.size());
        CascadeCounts counts, exact, again;
        reference::cascade(w.source, act, x.data(), size[0] + 1, tokens, expected.data(), size[2],
                           &exact);
        for (size_t i = 0; i < y.size(); ++i)
          expected[i] += residual[i];
        PackedCascade block(w.source, act);
        cascade(block, x.data(), size[0] + 1, tokens, y.data(), size[2], y.data(), size[2],
                &counts);
        ASSERT_NO_FATAL_FAILURE(expectClose(y, expected, 1e-5f));
        // The products that are taken change no bit and no count.
        for (CascadeProducts products : {CascadeProducts::Sparse, CascadeProducts::Dense}) {
          std::vector<float> other = residual;
          cascade(block, x.data(), size[0] + 1, tokens, other.data(), size[2], other.data(),
                  size[2], &again, products);
          ASSERT_EQ(y, other);
        }
        EXPECT_EQ(again.downNeurons, 2 * exact.downNeurons);
        EXPECT_EQ(again.activeNeurons, 2 * exact.activeNeurons);
        EXPECT_EQ(counts.tokens, tokens);
        EXPECT_EQ(counts.gateChannels, exact.gateChannels);
        EXPECT_EQ(counts.upChannels, exact.upChannels);
        EXPECT_EQ(counts.activeNeurons, exact.activeNeurons);
        EXPECT_EQ(counts.downNeurons, exact.downNeurons);
        if (masked && tokens > 8) { // the test is one of masks that do drop something
          EXPECT_LT(counts.gateChannels, tokens * size[0]);
          EXPECT_LT(counts.downNeurons, tokens * size[1]);
        }
      }
}

// Weights of a narrow type give the bits of the same weights as floats, whichever products are
// taken.
TEST_P(CascadeTest, ExactTypes) {
  const int64_t in = 52, out = 70;
  const CascadeTypes lists[] = {{ElementType::BF16, ElementType::F32, ElementType::F16},
                                {ElementType::F16, ElementType::BF16, ElementType::F32},
                                {ElementType::F32, ElementType::F16, ElementType::BF16}};
  for (int64_t hidden : {70, 1100})
    for (bool gated : {true, false})
      for (const CascadeTypes &types : lists) {
        Weights w(in, hidden, out, gated, true, false);
        roundTo(types.first, w.first);
        roundTo(types.up, w.up);
        roundTo(types.down, w.down);
        CascadeTypes exact = PackedCascade::exactTypes(w.source);
        ASSERT_EQ(exact.first, types.first);
        ASSERT_EQ(exact.down, types.down);
        PackedCascade wide(w.source, Activation::Silu), narrow(w.source, Activation::Silu, exact);
        EXPECT_LT(narrow.bytes(), wide.bytes());
        for (int64_t tokens : {1, 3, 8, 9, 15, 130})
          for (auto products : {CascadeProducts::Sparse, CascadeProducts::Dense}) {
            SCOPED_TRACE(testing::Message() << hidden << " hidden, " << tokens << " tokens");
            auto x = randoms(tokens * in, 20);
            std::vector<float> y(static_cast<size_t>(tokens * out)), expected = y;
            cascade(narrow, x.data(), in, tokens, y.data(), out, nullptr, 0, nullptr, products);
            cascade(wide, x.data(), in, tokens, expected.data(), out, nullptr, 0, nullptr,
                    products);
            ASSERT_EQ(0, std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)));
          }
      }
}

TEST_P(CascadeTest, OneTokenEqualsTheSameOfAFew) {
  Weights w(48, 300, 48, true, true, false);
  PackedCascade block(w.source, Activation::Silu);
  auto x = randoms(7 * 48, 20);
  std::vector<float> few(7 * 48), row(48), serial = few;
  cascade(block, x.data(), 48, 7, few.data(), 48);
  for (int64_t t = 0; t < 7; ++t) {
    cascade(block, x.data() + t * 48, 48, 1, row.data(), 48);
    EXPECT_EQ(0, std::memcmp(row.data(), few.data() + t * 48, 48 * sizeof(float))) << t;
  }
  uoe::rt::ThreadPool::setGlobalThreads(1);
  cascade(block, x.data(), 48, 7, serial.data(), 48);
  uoe::rt::ThreadPool::setGlobalThreads(0);
  EXPECT_EQ(few, serial);
}

TEST_P(CascadeTest, ThreadsChangeNothing) {
  const int64_t tokens = 150;
  Weights w(48, 300, 48, true, true, false);
  PackedCascade block(w.source, Activation::Silu);
  auto x = randoms(tokens * 48, 20);
  std::vector<float> y(x.size()), serial = y;
  cascade(block, x.data(), 48, tokens, y.data(), 48);
  uoe::rt::ThreadPool::setGlobalThreads(1);
  cascade(block, x.data(), 48, tokens, serial.data(), 48);
  uoe::rt::ThreadPool::setGlobalThreads(0);
  EXPECT_EQ(y, serial);
}

TEST_P(CascadeTest, EverythingDropped) {
  Weights w(20, 70, 18, true, true, false);
  w.source.gateThreshold = w.source.downThreshold = INFINITY;
  PackedCascade block(w.source, Activation::Silu);
  for (int64_t tokens : {2, 30}) {
    auto x = randoms(tokens * 20, 20);
    std::vector<float> y(static_cast<size_t>(tokens) * 18);
    CascadeCounts counts;
    cascade(block, x.data(), 20, tokens, y.data(), 18, nullptr, 0, &counts);
    EXPECT_EQ(counts.gateChannels + counts.downNeurons, 0);
    for (size_t i = 0; i < y.size(); ++i)
      ASSERT_EQ(y[i], w.downBias[i % 18]);
  }
}

TEST(CascadeRefusalTest, NegativeThreshold) {
  Weights w(4, 8, 4, true, true, false);
  w.source.upThreshold = -1;
  EXPECT_THROW(PackedCascade(w.source, Activation::Silu), uoe::rt::Error);
}

} // namespace
