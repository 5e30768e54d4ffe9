// A feed-forward block as routed experts against the same block dense: how much of the skipped work
// becomes time.
#include "Measure.h"
#include "runtime/cpu/fast/Router.h"
#include <cstdio>

namespace uoe::bench {
using namespace rt::fast;

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
}

} // namespace uoe::bench
