// Incremental decoding: feeds a decoder tokens and hands its keys and values on from run to run.
#pragma once
#include "Inputs.h"
#include "Ports.h"

namespace uoe {

class Decoder {
public:
  /// Finds the ports. Inputs that are no part of a decoder's interface (an encoder's states, say)
  /// are generated once from `options`. Raises rt::Error if the model has no token ids or no
  /// logits.
  explicit Decoder(Session &session, const InputOptions &options = {});

  /// Whether keys and values are handed on; without, only whole sequences can be run.
  bool cached() const { return !pairs.empty(); }
  int64_t past() const { return length; }
  void reset();

  /// Runs `ids` ([batch, n] in row-major order) behind what was run since the last reset, without a
  /// mask. Returns the logits [batch, n, vocabulary] in the model's own type.
  const rt::Tensor &run(const std::vector<int64_t> &ids, int64_t batch = 1);
  /// Rows of the embedding table, -1 if unknown.
  int64_t vocabulary() const { return vocabularySize; }

private:
  void fill(const std::vector<int64_t> &ids, int64_t batch);
  rt::Tensor emptyPast(size_t index, int64_t batch) const;

  Session &session;
  InputOptions options;
  std::vector<CachePair> pairs;
  std::vector<rt::Value> values, results;
  int idsPort, logitsPort = -1;
  int64_t length = 0, vocabularySize;
  bool encoderTaken = false;
};

} // namespace uoe
