// Recognition of attention.
#pragma once
#include "passes/raise/Match.h"

namespace uoe::raise {

/// What is done to the scores between their product and the softmax, from the softmax inwards.
struct ScoreTerm {
  enum Kind {
    add,  ///< + factor · value
    mask, ///< where value (negated: not value) stay, else fill
    clamp ///< max(·, fill)
  } kind = add;
  mlir::Value value = {};
  double factor = 1.0;
  bool negated = false;
  double fill = 0.0;
  /// Rank of the scores where the term applies, and the scores there.
  int64_t rank = 4;
  mlir::Value scores = {};
};

struct AttentionMatch {
  onnx::NodeOp softmax;
  Product scores, output;
  /// Operands after stripping factors and transposition.
  mlir::Value query, key, value;
  /// If not empty, the permutation that makes the key [.., T, D] from `key`.
  llvm::SmallVector<int64_t> keyPermutation;
  double scale = 1.0, softcap = 0.0;
  /// Factors that are equal for all keys, [.., 1]: the query's, beside `scale`.
  llvm::SmallVector<mlir::Value> factors, divisors;
  /// One more score for each row, [.., 1], times `sinkFactor`: it takes its share of the softmax
  /// and has no value. Null if there is none.
  mlir::Value sink;
  double sinkFactor = 1.0;
  bool booleanZero = false;
  llvm::SmallVector<ScoreTerm> terms;
  /// Heads, where the products are over [B·H, S, D]; 0 otherwise.
  int64_t heads = 0;
  mlir::Value root;
  Nodes nodes;
  /// Why the operands cannot be given in the block's layout; the block is then its spelling alone.
  std::string opaque;
};

struct AttentionOutcome {
  std::optional<AttentionMatch> match;
  std::optional<Reason> reason;
};

/// Outcome for one Softmax: a match, or a reason if it looked like attention (it follows or feeds a
/// product of activations).
AttentionOutcome matchAttention(onnx::NodeOp softmax, Constants &facts);

/// Outcome for a product of activations that may be attention whose weights are no softmax of the
/// scores (sigmoid, ReLU): [B, H, S, T] by elementwise nodes from a product of queries and keys.
/// Such a block has no operands; its heads are independent of each other all the same.
AttentionOutcome matchUnnormalised(onnx::NodeOp product, Constants &facts);

/// [B, G, T, D] behind its repetition to [B, H, T, D], group by group; null if it is none. What is
/// crossed is added to `nodes`.
mlir::Value ungroup(mlir::Value value, Constants &facts, Nodes &nodes);

/// True for an operator that holds an attention.
bool isFusedAttention(onnx::NodeOp node);

} // namespace uoe::raise
