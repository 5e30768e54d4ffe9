// Attention as in small encoders and decoders: arithmetic rate of prefill, bandwidth of decoding.
#include "Measure.h"
#include "runtime/cpu/fast/Attention.h"
#include <cstdio>

namespace uoe::bench {
using namespace rt::fast;

void benchAttention() {
  double peak = peakGflops(), bandwidth = readBandwidth();
  std::printf("\nAttention, prefill (causal counted as half the work), GFLOP/s (peak %.0f)\n",
              peak);
  std::printf("%6s %6s %8s %6s %6s %7s %9s %8s\n", "batch", "heads", "kvheads", "S", "T", "causal",
              "ours", "of peak");
  struct Case {
    int64_t batch, heads, kvHeads, queries, keys, size;
    bool causal;
  };
  for (Case c : {Case{1, 12, 12, 32, 32, 32, false}, Case{1, 12, 12, 128, 128, 32, false},
                 Case{8, 12, 12, 128, 128, 32, false}, Case{1, 9, 3, 128, 128, 64, true},
                 Case{1, 9, 3, 512, 512, 64, true}, Case{1, 9, 3, 1024, 1024, 64, true},
                 Case{1, 32, 8, 2048, 2048, 128, true}}) {
    AttentionArgs a;
    a.batch = c.batch;
    a.heads = c.heads;
    a.kvHeads = c.kvHeads;
    a.queries = c.queries;
    a.keys = c.keys;
    a.size = a.valueSize = c.size;
    a.causal = c.causal;
    a.scale = 0.125f;
    auto q = randoms(c.batch * c.heads * c.queries * c.size),
         k = randoms(c.batch * c.kvHeads * c.keys * c.size, 2),
         v = randoms(c.batch * c.kvHeads * c.keys * c.size, 3), out = q;
    a.q = q.data();
    a.k = k.data();
    a.v = v.data();
    a.output = out.data();
    a.qStrides = a.outputStrides = {c.heads * c.queries * c.size, c.size, c.heads * c.size, 1};
    a.kStrides = a.vStrides = {c.kvHeads * c.keys * c.size, c.size, c.kvHeads * c.size, 1};
    double work =
        4e-9 * double(c.batch * c.heads * c.queries * c.keys * c.size) * (c.causal ? 0.5 : 1);
    double rate = work / seconds([&] { attention(a); });
    std::printf("%6ld %6ld %8ld %6ld %6ld %7s %9.1f %7.0f%%\n", long(c.batch), long(c.heads),
                long(c.kvHeads), long(c.queries), long(c.keys), c.causal ? "yes" : "no", rate,
                100 * rate / peak);
  }
  std::printf(
      "\nAttention, one query, cache from memory, GB/s of keys and values (read bandwidth %.1f)\n",
      bandwidth);
  for (Case c : {Case{1, 9, 3, 1, 2048, 64, true}, Case{1, 32, 8, 1, 4096, 128, true},
                 Case{1, 12, 12, 1, 1024, 64, true}}) {
    int64_t floats = c.kvHeads * c.keys * c.size;
    int64_t copies = std::max<int64_t>(1, (128 << 20) / (floats * 8));
    auto q = randoms(c.heads * c.size), k = randoms(copies * floats), v = k, out = q;
    AttentionArgs a;
    a.batch = 1;
    a.heads = c.heads;
    a.kvHeads = c.kvHeads;
    a.queries = 1;
    a.keys = c.keys;
    a.size = a.valueSize = c.size;
    a.q = q.data();
    a.output = out.data();
    a.qStrides = a.outputStrides = {0, c.size, 0, 1};
    a.kStrides = a.vStrides = {0, c.keys * c.size, c.size, 1};
    double t = seconds([&] {
      for (int64_t i = 0; i < copies; ++i) {
        a.k = k.data() + i * floats;
        a.v = v.data() + i * floats;
        attention(a);
      }
    });
    std::printf("%6ld heads, %2ld of keys, %5ld keys of %3ld: %6.1f\n", long(c.heads),
                long(c.kvHeads), long(c.keys), long(c.size), 8e-9 * double(floats * copies) / t);
  }
}

} // namespace uoe::bench
