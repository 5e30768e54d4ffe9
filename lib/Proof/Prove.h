// Proof, on the user's own model, that a decomposition into experts equals the dense model.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace uoe {

struct ProofOptions {
  int64_t experts = 8;         // of a feed-forward block
  int64_t attentionGroups = 2; // experts of an attention block; at most its key and value heads
  std::string tokens;          // .npy of token ids; empty: random inputs only
  int64_t windows = 4;         // of the token file
  int64_t windowLength = 128;
  double blockTolerance = 1e-5; // on a block's difference, relative to its largest output
  double modelTolerance = 1e-4; // on the whole model's
  int threads = 0;
};

/// How two float tensors differ, over all runs.
struct Deviation {
  double maxAbs = 0, magnitude = 0; // largest |a - b| and largest |a|
  double relative() const { return magnitude > 0 ? maxAbs / magnitude : maxAbs; }
  /// The difference in units of the last place of the largest magnitude.
  double ulps() const;
};

struct BlockProof {
  std::string name, kind; // "layer.3.ffn", "ffn" or "attention"
  int64_t experts = 0, weights = 0;
  std::string structure; // empty: every weight element is used exactly once; else what is wrong
  Deviation deviation;
  bool measured = false, passed = false;
};

struct Proof {
  std::vector<BlockProof> blocks;
  std::vector<std::pair<std::string, Deviation>> outputs; // of the whole model
  int64_t runs = 0;
  bool passed = false;
};

/// Decomposes a copy of the raised module (a block's own attributes uoe.sizes and uoe.permutation
/// go before `experts`), checks that each weight element is used exactly once, and runs dense and
/// decomposed form on random and on given inputs: block by block on the same input, and the whole
/// model. Experts are computed one by one and added up. Fails with a diagnostic if nothing can be
/// proved or something does not run; a proof that does not hold succeeds with passed = false.
mlir::FailureOr<Proof> prove(mlir::ModuleOp raised, const ProofOptions &options);

/// The proof as text, a line per block.
std::string toText(const Proof &proof, const ProofOptions &options);

} // namespace uoe
