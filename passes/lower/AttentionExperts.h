// Experts that are heads of an attention over the tokens they gather (SMHA), as one runtime entry
// has them: projections of the tokens, rotary tables, one attention, the output projection.
#pragma once
#include "passes/lower/Lower.h"

namespace uoe {

/// Operands of the experts op. Matrices are [d, all columns] or seen so, [d, groups, columns of a
/// group]; `o` is [all rows, e] or [groups, rows of a group, e]; biases in the same order.
struct AttentionExperts {
  mlir::Value x;
  mlir::Value q, k, v, o;
  mlir::Value biasQ, biasK, biasV;
  mlir::Value cosines, sines; // null: nothing is rotated
  mlir::Value bias;           // of keys [batch, tokens] or pairs [batch, tokens, tokens], or null
  AttentionOp attention;
  int64_t heads = 0, kvHeads = 0; // of an expert
  bool interleaved = false, compactedTables = false, compactedBias = false;
  double scale = 1;    // of the scores, times the attention's own
  int64_t rotated = 0; // leading features of a head; 0: all, if there are tables

  explicit operator bool() const { return static_cast<bool>(o); }
};

/// None if the experts are something else, see no or the wrong blank places, or differ in size.
AttentionExperts matchAttentionExperts(ExpertsOp experts);

} // namespace uoe
