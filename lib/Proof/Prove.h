// Proof, on the user's own model, that a decomposition into experts equals the dense model.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "passes/Passes.h"
#include "runtime/core/DType.h"
#include <optional>
#include <string>
#include <vector>

namespace uoe {

struct ProofOptions {
  DecomposeFfnPassOptions ffn;             // how to split feed-forward blocks
  DecomposeAttentionPassOptions attention; // and attention
  std::string samples; // text or arrays, lib/Evaluation/Samples.h; empty: random inputs only
  int64_t windows = 4; // of them
  int64_t windowLength = 128;
  int64_t length = 16; // of random inputs
  int threads = 0;
  /// On a block's difference, and on the whole model's, relative to the largest output; by default
  /// what the type of arithmetic allows.
  std::optional<double> blockTolerance, modelTolerance;
};

/// How two float tensors differ, over all runs.
struct Deviation {
  rt::DType type = rt::DType::F32;  // of the tensors
  double maxAbs = 0, magnitude = 0; // largest |a - b| and largest |a|
  double relative() const { return magnitude > 0 ? maxAbs / magnitude : maxAbs; }
  /// The difference in units of the last place of the largest magnitude in `type`.
  double ulps(rt::DType type) const;
};

/// What came of a block.
struct BlockProof {
  std::string name, kind;     // "layer.3.ffn"; "ffn", "attention" or "moe"
  std::string kept;           // not empty: why it stays as it is; then nothing below is set
  std::vector<int64_t> sizes; // of its experts: neurons, or key and value heads
  int64_t parts = 0;          // experts ops that stand for it
  int64_t weights = 0;
  std::string structure; // empty: every weight element is used exactly once; else what is wrong
  Deviation deviation;
  bool measured = false, passed = false;
};

struct Proof {
  std::vector<BlockProof> blocks;
  std::vector<std::pair<std::string, Deviation>> outputs; // of the whole model
  /// Those of the model as it runs: its own element type, and rounding that its operators permit.
  std::vector<std::pair<std::string, Deviation>> native;
  rt::DType modelType = rt::DType::F32; // that of its products
  std::string arithmetic; // what both forms are computed in, where that is not as the model runs
  double blockTolerance = 0, modelTolerance = 0;
  int64_t runs = 0;
  bool passed = false;
  int64_t decomposed() const;
};

/// Decomposes a copy of the imported model, checks that each weight element is used exactly once,
/// and runs dense and decomposed form on random and on given inputs: block by block on the same
/// input, and the whole model against the model as imported, node by node. Experts are computed one
/// by one and added up. Fails with a diagnostic if nothing can be proved or something does not run;
/// a proof that does not hold succeeds with passed = false.
mlir::FailureOr<Proof> prove(mlir::ModuleOp model, const ProofOptions &options);

/// The same for a model that was decomposed before (and maybe edited since) against the dense model
/// it was made from: the structure of every block, and the whole model's outputs.
mlir::FailureOr<Proof> proveAgainst(mlir::ModuleOp decomposed, mlir::ModuleOp dense,
                                    const ProofOptions &options);

/// The proof as text, a line per block.
std::string toText(const Proof &proof);
/// As JSON, into a file. Fails with a diagnostic at `module`.
mlir::LogicalResult writeJson(const Proof &proof, const std::string &path, mlir::ModuleOp module);

} // namespace uoe
