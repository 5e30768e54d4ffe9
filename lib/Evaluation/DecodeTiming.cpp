#include "DecodeTiming.h"
#include "Metrics.h"
#include <chrono>

namespace uoe {

using Clock = std::chrono::steady_clock;
static double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

static int64_t likeliest(const rt::Tensor &logits) {
  std::vector<float> row(static_cast<size_t>(logits.dim(2)));
  int64_t width = logits.dim(2);
  readNumbers(logits, (logits.dim(1) - 1) * width, width, row.data());
  return argmax(row.data(), width);
}

DecodeTiming timeDecoding(Decoder &decoder, int64_t past, int64_t steps, uint64_t seed,
                          const std::vector<int64_t> &text) {
  rt::check(decoder.cached(), "the model has no inputs for past keys and values: it cannot decode");
  rt::check(past > 0, "decoding needs at least one token to start from");
  std::mt19937_64 random(seed);
  int64_t bound = decoder.vocabulary() > 0 ? decoder.vocabulary() : 16;
  std::vector<int64_t> ids(static_cast<size_t>(past));
  auto word = [&](int64_t at) { return text[static_cast<size_t>(at) % text.size()]; };
  for (int64_t i = 0; i < past; ++i)
    ids[static_cast<size_t>(i)] =
        text.empty() ? static_cast<int64_t>(random() % static_cast<uint64_t>(bound)) : word(i);
  decoder.reset();
  DecodeTiming timing;
  auto begin = Clock::now();
  int64_t next = likeliest(decoder.run(ids));
  timing.prefill = since(begin);
  for (int64_t i = 0; i < steps; ++i) {
    begin = Clock::now();
    next = likeliest(decoder.run({text.empty() ? next : word(past + i)}));
    timing.steps.push_back(since(begin));
  }
  return timing;
}

} // namespace uoe
