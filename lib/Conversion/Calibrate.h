// The calibration run: a raised model is executed on the user's text, and what its blocks receive
// goes into a profile.
#pragma once
#include "lib/Evaluation/Tokens.h"
#include "lib/Execution/Session.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>

namespace uoe {

struct CalibrationOptions {
  std::string tokens;     // .npy: a stream of token ids, or rows of them padded with 0
  int64_t samples = 8192; // tokens kept for each block
  int64_t window = 512;   // length of the windows cut out of a stream, evenly spread over it
  int threads = 0;
};

/// Windows that together hold at least `samples` tokens, if there are so many, spread evenly over
/// the file: pieces of a stream of `window` tokens, or whole sentences.
std::vector<std::vector<int64_t>> tokenWindows(const TokenFile &file, int64_t samples,
                                               int64_t window);

/// A raised or routed model, compiled, that runs windows of token ids; other inputs are generated.
class TokenModel {
public:
  /// Raises rt::Error if the model does not compile or takes no token ids, or if `file`, read from
  /// options.tokens, has ids that it does not know.
  TokenModel(mlir::OwningOpRef<mlir::ModuleOp> module, const CalibrationOptions &options,
             const TokenFile &file);
  std::vector<rt::Value> run(const std::vector<int64_t> &window);

  std::unique_ptr<Session> session;
  int64_t vocabulary = -1; // -1: unknown

private:
  int ids = -1;
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
