// The calibration run: a raised model is executed on the user's samples, and what its blocks
// receive goes into a profile.
#pragma once
#include "lib/Evaluation/Samples.h"
#include "lib/Execution/Session.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace uoe {

struct CalibrationOptions {
  std::string samples;   // text or arrays, lib/Evaluation/Samples.h; empty: none
  int64_t tokens = 8192; // kept for each block: rows of its input
  int64_t window = 512;  // length of the windows cut out of a stream, evenly spread over it
  int threads = 0;
};

/// A raised or routed model, compiled, that runs samples; other inputs are generated.
class SampledModel {
public:
  /// Raises rt::Error if the model does not compile or does not take the samples.
  SampledModel(mlir::OwningOpRef<mlir::ModuleOp> module, const Samples &samples, int threads);
  std::vector<rt::Value> run(const Samples::Run &run);

  std::unique_ptr<Session> session;
  int64_t vocabulary = -1; // of its token ids; -1: unknown, or it has none

private:
  const Samples &samples;
};

/// Name of the probe at a block's input.
std::string inputProbe(const std::string &block);
/// Name of the probe at the scores of a mixture of experts.
std::string scoresProbe(const std::string &block);

/// Runs the model and writes `profile`. Every uoe.ffn and every mixture of experts (uoe.moe, routed
/// uoe.experts that were one) of known width is probed. Fails with a diagnostic.
mlir::LogicalResult calibrate(mlir::ModuleOp raised, const CalibrationOptions &options,
                              const std::string &profile);

} // namespace uoe
