// Time of prefill and of token-by-token decoding.
#pragma once
#include "Decoder.h"

namespace uoe {

struct DecodeTiming {
  double prefill = 0;        // seconds from an empty past to the logits of all tokens
  std::vector<double> steps; // seconds of each single-token step that followed
};

/// Resets the decoder, runs `past` tokens at once, then `steps` tokens one by one: those of `text`,
/// again from its start when it ends, or, if there is none, random ones and then each the likeliest
/// after the one before. Raises rt::Error if the model has no cache.
DecodeTiming timeDecoding(Decoder &decoder, int64_t past, int64_t steps, uint64_t seed,
                          const std::vector<int64_t> &text = {});

} // namespace uoe
