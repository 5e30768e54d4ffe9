// A feed-forward block as routed experts against the same block dense: how much of the skipped work
// becomes time.
#include "Measure.h"
#include "runtime/cpu/fast/Router.h"
#include <cstdio>

namespace uoe::bench {
using namespace rt::fast;

namespace {

/// A gated block of 4 bits, its way out in 8: dense as three products, and half of its experts of
/// 16, chosen at random, against the same with float16 weights.
void benchPacked() {
  const int64_t d = 576, hidden = 1536, experts = hidden / 16;
  std::printf("\nA block of %ld and %ld neurons in 4 bits (blocks of 32, way out 8 bits), ms\n",
              long(d), long(hidden));
  std::printf("%6s %14s %14s %14s\n", "tokens", "dense, 4 bits", "half, float16", "half, packed");
  std::vector<int64_t> starts;
  for (int64_t e = 0; e <= experts; ++e)
    starts.push_back(e * 16);
  std::vector<uint8_t> codes(static_cast<size_t>(d * hidden));
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  std::vector<float> scales(codes.size() / 16, 0.01f), floats = randoms(d * hidden);
  const QuantizedSource in{d, hidden, 32, 4, codes.data(), scales.data()},
      out{hidden, d, 32, 4, codes.data(), scales.data()},
      refitted{hidden, d, 16, 8, codes.data(), scales.data()};
  FfnSource wide;
  wide.in = wide.out = d;
  wide.hidden = hidden;
  wide.gate = wide.up = wide.down = floats.data();
  FfnSource packed = wide;
  packed.gateCodes = packed.upCodes = &in;
  packed.downCodes = &refitted;
  for (int64_t tokens : {1, 2, 4, 8, 16, 128}) {
    const int64_t copies = tokens <= 8 ? 32 : 1; // weights come from memory
    std::vector<QuantizedMatrix> ups, downs;
    std::vector<PackedFfn> halves, groups;
    for (int64_t i = 0; i < copies; ++i) {
      ups.emplace_back(in);
      ups.emplace_back(in);
      downs.emplace_back(out);
      halves.emplace_back(wide, Activation::Silu, starts, std::vector<int64_t>(),
                          FfnTypes{ElementType::F16, ElementType::F16});
      groups.push_back(packExact(packed, Activation::Silu, starts));
    }
    auto x = randoms(tokens * d, 3), scores = randoms(tokens * experts, 4);
    std::vector<float> y(x.size()), h(static_cast<size_t>(tokens * hidden)), g = h;
    Choice choice = chooseTop(scores.data(), tokens, experts, experts / 2);
    auto routed = [&](const std::vector<PackedFfn> &blocks) {
      return seconds([&] {
               for (const PackedFfn &block : blocks)
                 rt::fast::experts(block, x.data(), d, tokens, choice.routing(), y.data(), d);
             }) /
             double(copies);
    };
    const double dense = seconds([&] {
                           for (size_t i = 0; i < downs.size(); ++i) {
                             gemm(x.data(), d, tokens, ups[2 * i], h.data(), hidden);
                             gemm(x.data(), d, tokens, ups[2 * i + 1], g.data(), hidden);
                             gemm(h.data(), hidden, tokens, downs[i], y.data(), d);
                           }
                         }) /
                         double(copies);
    std::printf("%6ld %14.3f %14.3f %14.3f\n", long(tokens), 1e3 * dense, 1e3 * routed(halves),
                1e3 * routed(groups));
  }
}

} // namespace

void benchExperts() {
  double peak = peakGflops();
  std::printf("\nFeed-forward blocks, dense fused, and half of the experts chosen at random per "
              "token; realised = "
              "(dense - routed) / (dense * skipped share)\n");
  std::printf("%5s %5s %6s %6s %6s %10s %8s %10s %8s %9s\n", "d", "F", "gated", "expert", "tokens",
              "dense ms", "of peak", "routed ms", "of peak", "realised");
  struct Case {
    int64_t d, hidden;
    bool gated;
    int64_t size;
  };
  for (Case c :
       {Case{576, 1536, true, 16}, Case{576, 1536, true, 48}, Case{384, 1536, false, 16}}) {
    auto gate = randoms(c.d * c.hidden), up = gate, down = gate;
    FfnSource source;
    source.in = source.out = c.d;
    source.hidden = c.hidden;
    source.gate = c.gated ? gate.data() : nullptr;
    source.up = up.data();
    source.down = down.data();
    Activation act = c.gated ? Activation::Silu : Activation::Gelu;
    const int64_t experts = c.hidden / c.size;
    std::vector<int64_t> starts;
    for (int64_t e = 0; e <= experts; ++e)
      starts.push_back(e * c.size);
    // Few tokens: as many copies as exceed the caches, so that weights come from memory.
    for (int64_t tokens : {1, 2, 4, 32, 128, 1024}) {
      double bytes = 4.0 * double((c.gated ? 3 : 2) * c.d * c.hidden);
      int64_t copies = tokens <= 4 ? static_cast<int64_t>(256e6 / bytes) : 1;
      std::vector<PackedFfn> dense, routed;
      for (int64_t i = 0; i < copies; ++i) {
        dense.emplace_back(source, act);
        routed.emplace_back(source, act, starts);
      }
      auto x = randoms(tokens * c.d, 3), scores = randoms(tokens * experts, 4);
      std::vector<float> y(x.size());
      Choice choice = chooseTop(scores.data(), tokens, experts, experts / 2);
      double all = seconds([&] {
                     for (auto &block : dense)
                       ffn(block, x.data(), c.d, tokens, y.data(), c.d);
                   }) /
                   double(copies);
      double some =
          seconds([&] {
            for (auto &block : routed)
              rt::fast::experts(block, x.data(), c.d, tokens, choice.routing(), y.data(), c.d);
          }) /
          double(copies);
      double work = 2e-9 * double(tokens * c.d * c.hidden * (c.gated ? 3 : 2));
      // At a few tokens the experts in use are those that any of them chose.
      std::vector<bool> used(static_cast<size_t>(experts));
      for (int32_t e : choice.ids)
        used[static_cast<size_t>(e)] = true;
      double touched = double(std::count(used.begin(), used.end(), true)) / double(experts);
      double skipped = tokens <= 4 ? 1 - touched : 0.5;
      std::printf("%5ld %5ld %6s %6ld %6ld %10.4f %7.0f%% %10.4f %7.0f%% %9.2f", long(c.d),
                  long(c.hidden), c.gated ? "yes" : "no", long(c.size), long(tokens), 1e3 * all,
                  100 * work / all / peak, 1e3 * some, 50 * work / some / peak,
                  (all - some) / (all * skipped));
      if (tokens <= 4)
        std::printf("  (%.1f and %.1f GB/s)", 1e-9 * bytes / all, 1e-9 * bytes * touched / some);
      std::printf("\n");
    }
  }
  benchPacked();
}

} // namespace uoe::bench
