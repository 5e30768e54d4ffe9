// Building blocks that the presets share: embedding, norms, attention, experts, the stack of
// layers.
#pragma once
#include "lib/Presets/Graph.h"
#include <functional>

namespace uoe::presets {

enum class Norm { Layer, Rms };

/// What all layers of a stack have in common.
struct Stack {
  int64_t vocabulary, width, layers, heads, kvHeads, headSize;
  int64_t rotated;     // leading dimensions of a head that are rotated (RoFormer); even, 0: none
  double base = 10000; // of the rotary frequencies
  Norm norm = Norm::Rms;
  bool causal = true;
  bool tied = false;   // the output weight is the embedding, transposed
  bool cached = false; // keys and values of earlier tokens come in, and go out with the new ones

  /// Standard deviation of matrices [fanIn, ...] whose result is added to the residual stream, so
  /// that it does not grow with the number of layers.
  double residual(double fanIn) const;
};

Value normalize(Graph &graph, const Stack &stack, const std::string &name, Value x);

/// The graph's ids as rows of an embedding; where the stack rotates nothing, with sines and cosines
/// of their positions added (Vaswani et al., 2017).
struct Embedding {
  Value table, rows;
};
Embedding embed(Graph &graph, const Stack &stack);
/// Final norm and output weight.
Value head(Graph &graph, const Stack &stack, const Embedding &embedding, Value x);

/// Keys and values of earlier tokens, which a run of the next ones continues: for each layer that a
/// token passes the inputs past_key_values.N.key and .value, [batch, kvHeads, past, headSize],
/// where past may be 0, and the outputs present.N.key and .value, [batch, kvHeads, past + sequence,
/// headSize]. Layers that share weights share no cache.
class Caches {
public:
  /// Makes the inputs if the stack is cached; then the rest does something.
  Caches(Graph &graph, const Stack &stack);
  /// The number of earlier tokens, a float32; null without caches.
  Value length();
  /// Makes the attention that is built next that of this layer.
  void enter(int64_t layer);
  /// Rounds of a group of layers with weights of their own; `body` gets x, the layer in the group,
  /// and of `each` the parts that belong to the round.
  using Layer = std::function<Value(Value x, int64_t layer, ValueRange each)>;
  Value rounds(Value x, int64_t group, ValueRange each, const Layer &body);
  /// Makes the outputs.
  void finish();

private:
  struct KeyValue {
    Value key, value;
  };
  Value stacked(int64_t layer, int64_t group, Value KeyValue::*part);

  Graph &graph;
  Stack stack;
  llvm::SmallVector<KeyValue> past, present; // of each layer that a token passes
};

/// Cosines and sines [batch, sequence, size/2] of the positions 0, 1, ..., or from `first`, a
/// float32, on, each at the frequencies base^(-2i/size).
struct Rotary {
  Value cosines, sines;
};
Rotary rotary(Graph &graph, int64_t size, double base, Value first = {});

/// x [batch, sequence, heads·size] as [batch, heads, sequence, size], and back.
Value splitHeads(Graph &graph, Value x, int64_t heads);
Value mergeHeads(Graph &graph, Value x);
/// Rotates heads [batch, heads, sequence, size]; as they are if the stack rotates nothing.
Value rotate(Graph &graph, const Stack &stack, const Rotary &rotary, Value heads);
/// Attention of heads [batch, heads, sequence, size], scaled by 1/√size. `valid`, bool
/// [batch, 1, 1, sequence], may hide keys.
Value attend(Graph &graph, Value q, Value k, Value v, bool causal, Value valid = {});

/// Multi-head self-attention of normalised x, its projections q, k, v and o made by `project`
/// (null: plain matrices).
using Project = std::function<Value(const std::string &name, Value x, int64_t columns)>;
Value selfAttention(Graph &graph, const Stack &stack, const Rotary &rotary, Value x,
                    const Project &project = nullptr);

/// How a block's feed-forward functions look.
struct Ffn {
  Activation activation;
  bool gated;
  int64_t hidden;
};
Value denseFfn(Graph &graph, const Stack &stack, const Ffn &ffn, Value x);

Value score(Graph &graph, Value x, int64_t experts, Value bias = {});

/// Calls `set` on a fresh select op and gives its routing.
Value select(Graph &graph, Rule rule, Value scores, llvm::function_ref<void(SelectOp)> set);

/// What of the experts a routing may choose, and what of them is behind its slots.
struct Experts {
  int64_t count;
  double active;                      // that a token is expected to use, for the weights' scale
  llvm::SmallVector<int64_t> slots{}; // empty: slot e is expert e
};
/// `count` feed-forward experts on x, chosen by `routing`.
Value expertFfns(Graph &graph, const Stack &stack, const Ffn &ffn, const Experts &experts, Value x,
                 Value routing);

/// An expert's part of `matrix` along `axis`, times x: `experts` products summed by `routing`.
Value expertProducts(Graph &graph, Value x, Value matrix, int64_t axis, int64_t experts,
                     Value routing);

/// Sets an experts op up, body included. `fill` gets the shared values, then the expert's slices.
struct ExpertsSpec {
  llvm::SmallVector<Value> shared, sliced;
  llvm::SmallVector<int64_t> axes, sizes, slots;
  Value routing;
  Combine combine = Combine::sum;
  bool gathered = false; // the body gets one more argument: which places are valid
};
Value makeExperts(Graph &graph, const ExpertsSpec &spec, Type result,
                  llvm::function_ref<Value(ValueRange)> fill);

/// A stack of pre-norm layers: x + attention(norm(x)), then x + ffn(norm(x)); embedding and head
/// around it. `attention` null: self-attention of plain projections.
using Layer = std::function<Value(Value x, int64_t layer, const Rotary &rotary)>;
Value transformer(Graph &graph, const Stack &stack, const Layer &ffn,
                  const Layer &attention = nullptr);

} // namespace uoe::presets
