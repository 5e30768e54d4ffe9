// The structural half of the proof: each weight element of a dense block is used exactly once by
// its experts. Read off the IR of the two models; nothing of the passes that decompose is used.
#pragma once
#include "dialects/uoe/Uoe.h"
#include "lib/Proof/Provenance.h"

namespace uoe {

struct Structure {
  int64_t weights = 0; // elements, biases included
  std::string problem; // empty: every one is used as often as in the dense block
};

/// `dense` is a uoe.ffn or uoe.attention of one model, `parts` are the uoe.experts of another model
/// that stand for it: one, or several in a row where something between them needs all experts'
/// results. Both must be of one context.
Structure checkStructure(mlir::Operation *dense, llvm::ArrayRef<ExpertsOp> parts,
                         Provenance &provenance);

} // namespace uoe
