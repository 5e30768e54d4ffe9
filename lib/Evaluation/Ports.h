// What the inputs and outputs of a transformer are for, by their names and types as exporters give
// them.
#pragma once
#include "lib/Execution/Session.h"

namespace uoe {

enum class Role {
  Ids,         // token ids, [batch, sequence]
  TokenTypes,  // segment ids
  Positions,   // position ids
  Mask,        // 1 or true where there is a token; a float mask of rank 4 is added to scores
  Past,        // keys or values of the past, [batch, heads, past, head size]
  CacheSwitch, // a Boolean of a merged decoder: whether the past is to be used
  PastLengths, // total length less one, per batch row (as GroupQueryAttention takes it)
  TotalLength, // past and new tokens together, one number
  Other,
};
Role roleOf(const PortInfo &port);

/// Index of the input with this role, the first if several have; -1 if none has.
int inputOf(const Session &session, Role role);

/// Output that holds next-token scores, [batch, sequence, vocabulary]: the one named "logits", or
/// the one whose declared last dimension is `vocabulary`; -1 if there is none.
int logitsOf(const Session &session, int64_t vocabulary);
/// Output that holds hidden states [batch, sequence, width], or an embedding [batch, width]; -1 if
/// none.
int hiddenOf(const Session &session);

/// A past input and the present output that continues it.
struct CachePair {
  int past, present;
  bool fixed; // keys and values of an encoder, which do not grow
};
/// All pairs, by name ("past_key_values.3.key" and "present.3.key", and similar). Raises rt::Error
/// for a past input without a present output.
std::vector<CachePair> cachePairs(const Session &session);

/// Rows of the table that a graph input looks up (Gather on constant data, embedding operators),
/// the smallest if it is used by several; -1 if that can't be told.
int64_t vocabularyOf(const rt::Program &program, int slot);
/// Size of one attention head where the operator that reads this past input determines it, else -1.
int64_t headSizeOf(const rt::Program &program, int slot);

/// What an encoder of images or spectra takes at this input, [batch, channels, length...], as its
/// convolutions and its table of positions determine it.
struct ConvolvedSize {
  int64_t channels = -1; // -1: no convolution reads the input
  int64_t length = -1;   // of each axis after the channels (images are square); -1: any
  /// Of waves, [batch, samples]: samples of which the convolutions make `places`; -1: no wave.
  int64_t samples = -1;
};
ConvolvedSize convolvedSizeOf(const rt::Program &program, int slot, int64_t places = 1);

} // namespace uoe
