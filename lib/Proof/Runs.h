// The inputs that a proof runs a model on.
#pragma once
#include "lib/Execution/Session.h"
#include "lib/Proof/Prove.h"

namespace uoe {

/// A session of a copy of the module, by a textual pipeline. Raises rt::Error.
std::unique_ptr<Session> sessionOf(mlir::ModuleOp module, const std::string &pipeline, int threads);

/// Random inputs, one batch row and two; with a past where the model takes one, so that both
/// branches of a merged decoder run; then windows of the token file. Raises rt::Error.
std::vector<std::vector<rt::Value>> proofInputs(const Session &session,
                                                const ProofOptions &options);

/// Takes a pair of results into account. Raises rt::Error if they differ in type or shape.
void compare(const rt::Tensor &a, const rt::Tensor &b, Deviation &deviation);

} // namespace uoe
