// Fused scaled dot-product attention in float32: no score matrix is ever stored, no operand is
// transposed. Blocks of keys with a running maximum and sum, as in Dao et al., FlashAttention
// (2022); few query rows split the keys over threads instead and read keys and values once, as they
// lie.
#pragma once
#include <cmath>
#include <cstdint>
#include <vector>

namespace uoe::rt::fast {

/// Elements from one index to the next of the dimensions (batch, head, position, feature); 0
/// repeats.
struct Strides4 {
  int64_t batch = 0, head = 0, position = 0, feature = 1;
};

/// output[b,h,s,:] = sum over t of softmax_t(x[b,h,s,t]) v[b,h/group,t,:] with
/// x = softcap(scale * q[b,h,s,:] . k[b,h/group,t,:]) + bias[b,h,s,t], group = heads / kvHeads.
/// A key is left out, as by a bias of -inf, where the mask is 0, t >= kvLengths[b], causal and t >
/// s + offset, or a window is set and t <= s + offset - window. Everything else is the plain
/// softmax: a row of equal, very negative scores has equal weights.
struct AttentionArgs {
  int64_t batch = 0, heads = 0, kvHeads = 0; // heads is a multiple of kvHeads
  int64_t queries = 0, keys = 0;
  int64_t size = 0, valueSize = 0; // of q and k; of v and output
  const float *q = nullptr, *k = nullptr, *v = nullptr;
  Strides4 qStrides, kStrides, vStrides;
  float *output = nullptr;
  Strides4 outputStrides;
  float scale = 1.0f;

  const float *bias = nullptr; // strides: batch, head, position = query, feature = key
  Strides4 biasStrides;
  const uint8_t *mask = nullptr; // 0 leaves the key out; strides as of bias
  Strides4 maskStrides;
  /// Which query and key of the bias and the mask a position is; null: the position itself.
  const int32_t *places = nullptr;
  bool causal = false;
  int64_t offset = 0;                 // position of query 0 among the keys
  const int64_t *offsets = nullptr;   // [batch], instead of offset
  const int64_t *kvLengths = nullptr; // [batch], at most `keys`
  int64_t window = 0;                 // keys up to and including a query's own position; 0 for all
  float softcap = 0.0f;               // cap * tanh(x / cap); 0 for none
  bool softcapAfterBias = false;      // cap the biased score instead
  const float *sink = nullptr;        // [heads]: one more score in the denominator, without a value
  float emptyRow = NAN;               // the output where every key is left out
};

/// Raises Error for sizes that do not fit together.
void attention(const AttentionArgs &args);
/// Several at once, of any sizes: the threads share all of them.
void attention(const std::vector<AttentionArgs> &list);

} // namespace uoe::rt::fast
