// Perplexity of a decoder, and what sets it apart from a reference decoder.
#pragma once
#include "Decoder.h"
#include "Tokens.h"
#include "lib/Report/Progress.h"

namespace uoe {

struct PerplexityOptions {
  int64_t window = 1024; // tokens; the longest for sentences
  int64_t windows = 0;   // at most; 0: all
  int64_t chunk = 0; // tokens that the model (not the reference) takes at a time; 0: whole windows
};

struct Perplexity {
  int64_t windows = 0, predictions = 0;
  double loss = 0;       // mean negative log-likelihood of the next token, in nats
  double seconds = 0;    // in the model (not the reference)
  bool compared = false; // the rest is set
  double referenceLoss = 0;
  double divergence = 0; // mean KL(reference || model) per position, in nats
  double agreement = 0;  // share of positions where both prefer the same token
};

/// Runs each window alone from an empty past, and scores positions 1 to window - 1 against the
/// tokens before them. A stream is cut into whole windows; what is left at its end is not scored.
/// Sentences are a window each, those of one token are skipped. `reference` may be null. Logits of
/// one window are held at a time. Raises rt::Error if there is no whole window.
Perplexity perplexity(Decoder &model, Decoder *reference, const TokenFile &tokens,
                      const PerplexityOptions &options);

} // namespace uoe
