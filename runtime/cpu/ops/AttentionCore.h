// Scaled dot-product attention over strided operands: the one core behind every attention operator
// here.
#pragma once
#include "runtime/core/Kernel.h"

namespace uoe::rt {

/// Where an operand's rows lie, in elements; a row itself is contiguous.
struct AttentionStrides {
  int64_t batch = 0, head = 0, row = 0;
};

/// out = softmax(cap(scale·Q·Kᵀ) + bias)·V for batch × heads × queries rows (Vaswani et al. 2017,
/// equation 1). Head h reads the keys and values of head h / (heads / kvHeads). A row without any
/// key, or whose logits are all -inf, gives zeros.
template <typename T> struct AttentionProblem {
  int64_t batch = 0, heads = 0, kvHeads = 0, queries = 0, keys = 0, headSize = 0, valueSize = 0;
  const T *q = nullptr, *k = nullptr, *v = nullptr;
  T *out = nullptr;
  AttentionStrides qs, ks, vs, os;
  T scale = 1;
  T softcap = 0; // cap(x) = softcap·tanh(x / softcap); 0: none

  /// Added to the logits; strides of 0 broadcast. Keys from `biasKeys` on count as -inf.
  const T *bias = nullptr;
  AttentionStrides bs;
  int64_t biasKeys = 0;

  /// Query i of batch b stands at position i + offset[b] among the keys. Null: all zero.
  const int64_t *offset = nullptr;
  bool causal = false; // sees keys up to its own position
  int64_t leftWindow = -1,
          rightWindow = -1;           // and at most so many to the left and right; -1: no bound
  const int64_t *validKeys = nullptr; // per batch: keys from here on do not exist; null: all do

  /// A logit per head that takes part in the normalisation alone; null: none.
  const T *sink = nullptr;

  /// If set, receives (batch, heads, queries, keys): the logits scaled (0), capped (1), biased and
  /// masked (2), or the probabilities (3).
  T *scores = nullptr;
  int scoresStage = 0;
};

void attend(const AttentionProblem<float> &problem);
void attend(const AttentionProblem<double> &problem);

/// Concatenates (batch, heads, past, size) and rows given by strides into a fresh (batch, heads,
/// past + fresh, size).
template <typename T>
Tensor appendRows(const Tensor *past, const T *fresh, AttentionStrides strides, int64_t batch,
                  int64_t heads, int64_t freshRows, int64_t size);

/// Strides of a contiguous (batch, heads, rows, size) and of a contiguous (batch, rows, heads ·
/// size).
AttentionStrides headMajor(int64_t heads, int64_t rows, int64_t size);
AttentionStrides rowMajor(int64_t heads, int64_t rows, int64_t size);

} // namespace uoe::rt
