// Sentence embeddings of an encoder against a reference encoder.
#pragma once
#include "Inputs.h"
#include "Tokens.h"

namespace uoe {

struct EmbeddingOptions {
  int64_t batch = 32;
  int64_t sentences = 0; // at most; 0: all
};

struct EmbeddingAgreement {
  int64_t sentences = 0, tokens = 0;
  double mean = 0, min = 0, fifth = 0; // cosines: mean, least, fifth percentile
  double seconds = 0;                  // in the model (not the reference)
};

/// One vector per sentence, [n, width] in row-major order: the mean of the hidden states over the
/// tokens that are not padding, or what the model itself gives as embedding (rank 2).
std::vector<float> embed(Session &session, const std::vector<std::vector<int64_t>> &sentences,
                         int64_t &width);
/// Batches are padded with 0 to their longest sentence; sentences without tokens are skipped.
EmbeddingAgreement compareEmbeddings(Session &model, Session &reference, const TokenFile &tokens,
                                     const EmbeddingOptions &options);

} // namespace uoe
