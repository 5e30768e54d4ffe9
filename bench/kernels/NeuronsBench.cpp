// Single neurons chosen at random: products of the chosen pairs, the same with weights a panel at a
// time in L1, dense products under a mask, and the dense block; and what experts() chooses.
#include "Measure.h"
#include "runtime/cpu/fast/Neurons.h"
#include "runtime/cpu/fast/Router.h"
#include <algorithm>
#include <cstdio>

namespace uoe::bench {
using namespace rt::fast;

void benchNeurons() {
  constexpr int64_t d = 1024, hidden = 4096;
  std::printf("\nSingle neurons, d = %ld, F = %ld\n", long(d), long(hidden));
  std::printf("%6s %6s %10s %10s %10s %10s %10s\n", "tokens", "share", "dense ms", "pairs ms",
              "panels ms", "masked ms", "chosen ms");
  auto weights = randoms(d * hidden);
  FfnSource source;
  source.in = source.out = d;
  source.hidden = hidden;
  source.up = source.down = weights.data();
  source.upTransposed = true;
  std::vector<int64_t> starts;
  for (int64_t j = 0; j <= hidden; ++j)
    starts.push_back(j);
  PackedFfn dense(source, Activation::Relu);
  PackedNeurons neurons(source, Activation::Relu, starts);
  for (int64_t tokens : {1, 2, 4, 8, 16, 32, 64, 256, 1024}) {
    // On lines of the cache, as tensors are.
    auto values = randoms(tokens * d, 3), scores = randoms(tokens * hidden, 4);
    Buffer memory(values.size() * sizeof(float));
    float *x = memory.as<float>();
    std::copy(values.begin(), values.end(), x);
    std::vector<float> y(values.size());
    double all = seconds([&] { ffn(dense, x, d, tokens, y.data(), d); });
    for (double share : {0.05, 0.1, 0.25, 0.5, 0.75}) {
      Choice choice = chooseAbove(scores.data(), tokens, hidden, {float(1 - 2 * share)});
      auto time = [&](NeuronProducts products) {
        return seconds(
            [&] { experts(neurons, x, d, tokens, choice.routing(), y.data(), d, {}, products); });
      };
      std::printf("%6ld %6.2f %10.3f %10.3f %10.3f %10.3f %10.3f\n", long(tokens), share, 1e3 * all,
                  1e3 * time(NeuronProducts::Pairs), 1e3 * time(NeuronProducts::Panels),
                  1e3 * time(NeuronProducts::Dense), 1e3 * time(NeuronProducts::Faster));
    }
  }
}

} // namespace uoe::bench
