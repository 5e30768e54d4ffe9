// The cascade of exact thresholds against the dense block, at the shares that half of the
// multiply-adds leave.
#include "Measure.h"
#include "runtime/cpu/fast/Cascade.h"
#include "runtime/cpu/fast/Experts.h"
#include <cmath>
#include <cstdio>

namespace uoe::bench {
using namespace rt::fast;

/// The threshold that leaves `share` of |values| above it.
static float quantile(std::vector<float> values, double share) {
  for (float &v : values)
    v = std::fabs(v);
  std::sort(values.begin(), values.end());
  double at = (1 - share) * double(values.size() - 1);
  return values[static_cast<size_t>(at)];
}

void benchCascade() {
  std::printf("\nCascade, d=576 F=1536 SwiGLU, weights from memory; bytes: share of the dense "
              "block's that is read\n");
  std::printf("%7s %10s %11s %8s %8s %9s\n", "tokens", "dense ms", "cascade ms", "bytes", "speedup",
              "realised, or with masked products for many tokens");
  const int64_t d = 576, hidden = 1536;
  auto first = randoms(d * hidden, 1, 0.1f), up = randoms(d * hidden, 2, 0.1f),
       down = randoms(d * hidden, 3, 0.1f);
  std::vector<float> ones(static_cast<size_t>(hidden), 1.0f);
  for (int64_t tokens : {1, 2, 4, 8, 16, 32, 64, 128, 512}) {
    auto x = randoms(tokens * d, 4);
    std::vector<float> y(x.size());
    CascadeSource s;
    s.in = s.out = d;
    s.hidden = hidden;
    s.first = first.data();
    s.up = up.data();
    s.down = down.data();
    s.gateScale = s.upScale = s.activeScale = s.downScale = ones.data();
    s.gateThreshold = quantile(x, 0.58);
    s.upThreshold = quantile(x, 0.68);
    // The thresholds on g and h, from one token's values.
    std::vector<float> g, h;
    for (int64_t j = 0; j < hidden; ++j) {
      float gate = 0, value = 0;
      for (int64_t i = 0; i < d; ++i) {
        float z = x[static_cast<size_t>(i)];
        gate += std::fabs(z) > s.gateThreshold ? z * first[static_cast<size_t>(i * hidden + j)] : 0;
        value += std::fabs(z) > s.upThreshold ? z * up[static_cast<size_t>(i * hidden + j)] : 0;
      }
      gate = gate / (1 + std::exp(-gate));
      g.push_back(gate);
      h.push_back(gate * value);
    }
    s.activeThreshold = quantile(g, 0.68);
    s.downThreshold = quantile(h, 0.39);
    FfnSource plain;
    plain.in = plain.out = d;
    plain.hidden = hidden;
    plain.gate = first.data();
    plain.up = up.data();
    plain.down = down.data();
    const double bytes = 12.0 * double(d * hidden);
    const int64_t copies = tokens <= 8 ? static_cast<int64_t>(256e6 / bytes) : 1;
    std::vector<PackedCascade> sparse;
    std::vector<PackedFfn> dense;
    for (int64_t i = 0; i < copies; ++i) {
      sparse.emplace_back(s, Activation::Silu);
      dense.emplace_back(plain, Activation::Silu);
    }
    double all = seconds([&] {
                   for (auto &block : dense)
                     ffn(block, x.data(), d, tokens, y.data(), d);
                 }) /
                 double(copies);
    CascadeCounts counts;
    double some = seconds([&] {
                    for (auto &block : sparse)
                      cascade(block, x.data(), d, tokens, y.data(), d, nullptr, 0, &counts);
                  }) /
                  double(copies);
    // Rows of up are read whole.
    double share =
        (double(counts.gateChannels) / double(d) + double(counts.activeNeurons) / double(hidden) +
         double(counts.downNeurons) / double(hidden)) /
        3 / double(counts.tokens);
    std::printf("%7ld %10.4f %11.4f %8.2f %7.2fx", long(tokens), 1e3 * all, 1e3 * some, share,
                all / some);
    if (tokens == 1)
      std::printf(" %9.2f  (%.1f and %.1f GB/s)", (all - some) / (all * (1 - share)),
                  1e-9 * bytes / all, 1e-9 * bytes * share / some);
    if (tokens > 8)
      std::printf(" %9.2fx", all / seconds([&] {
                               cascade(sparse[0], x.data(), d, tokens, y.data(), d, nullptr, 0,
                                       nullptr, CascadeProducts::Dense);
                             }));
    std::printf("\n");
  }
}

} // namespace uoe::bench
