// Recognition of mixtures of experts that a model came with.
#pragma once
#include "passes/raise/Ffn.h"
#include <vector>

namespace uoe::raise {

/// Columns start, start + step, .. of one stacked matrix, `size` of them, applied expert by expert.
struct StackedBranch {
  mlir::Value value;
  /// [E, out, in] if `transposed`, else [E, in, out]; a bias [E, out] or null.
  mlir::Value matrix, bias;
  bool transposed = false;
  int64_t start = 0, size = 0, step = 1;
  /// `matrix` is [in, E·out] instead: the experts' side by side.
  bool sideBySide = false;
  /// Of a mixture that runs all experts on all tokens: `value` is [E, T.., out], not [T.., E, out].
  bool expertsFirst = false;
  /// The product's other operand: the tokens, repeated for the experts that they chose.
  mlir::Value tokens;
  Nodes nodes;
};

/// How a mixture chooses by its scores and weighs what it chose, as uoe.moe says it.
struct Gating {
  Scoring scoring = Scoring::softmax;
  bool normalized = false; // by the sum of the chosen
  mlir::Value selectionBias;
  llvm::SmallVector<int64_t> groups; // of each expert, or empty
  int64_t groupK = 0;
  GroupScore groupScore = GroupScore::max;
  double factor = 1.0;
};

struct MoeMatch {
  onnx::NodeOp topk;
  int64_t k = 1;
  Gating gating;
  std::optional<double> limit;
  double upOffset = 0.0;
  Activation activation = Activation::identity;
  mlir::Value input, scores;
  /// The result is [T, d], the input has more axes of tokens.
  bool flattens = false;
  /// Of a choice by another rule: experts and their weights [tokens, k]. `scores` is then what the
  /// rule reads, and the mixture's scores are the weights, each in its expert's column of zeros.
  mlir::Value indices, weights;
  StackedBranch up, down;
  std::optional<StackedBranch> gate;
  /// Experts that the model spells one after the other, by their numbers; `up`, `gate` and `down`
  /// are then not set.
  std::vector<FfnMatch> experts;
  mlir::Value root;
  Nodes nodes;
  /// Why the operands cannot be given; the block is then its spelling alone.
  std::string opaque;
};

struct MoeOutcome {
  std::optional<MoeMatch> match;
  std::optional<Reason> reason;
};

/// Outcome for one TopK (or ArgMax): a match, a reason if its choice selects among constant
/// matrices, or neither.
MoeOutcome matchMoe(onnx::NodeOp topk, Constants &facts);

/// Finds the experts of a mixture spelled one after the other: for each expert the tokens that
/// chose it are looked up, sent through a feed-forward block, weighted, and added into their rows.
/// `blocks` are the feed-forward blocks within, `gates` the weights of the chosen [T, k], `scores`
/// the number of experts. Sets `match.experts` and `tokens`, the rows that the experts read; a
/// reason if some step is another.
std::string matchDispatch(MoeMatch &match, mlir::ArrayRef<FfnMatch> blocks, mlir::Value gates,
                          const Nodes &within, Constants &facts, mlir::Value &tokens);

/// True if all elements are known to be `fill`, whatever the shape is.
bool isFilled(mlir::Value value, double fill, Constants &facts);

/// True for an operator that holds a mixture of experts.
bool isFusedMoe(onnx::NodeOp node);

/// What a fused operator means, as uoe.moe says it.
struct FusedMoe {
  int64_t k = 1;
  Activation activation = Activation::identity;
  bool normalized = false;
  std::optional<double> limit;
  double upOffset = 0.0;
  mlir::Value input, scores, up, gate, down, biasUp, biasGate, biasDown;
  /// Why the operands cannot be given; they are then null.
  std::string opaque;
};
/// The operands of com.microsoft.MoE and QMoE, as nodes on its weights at the builder's position.
FusedMoe fusedMoe(mlir::OpBuilder &builder, mlir::Location loc, onnx::NodeOp node);

} // namespace uoe::raise
