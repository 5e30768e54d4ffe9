// What a model is calibrated and compared on: text, or arrays for any of its inputs.
#pragma once
#include "lib/Evaluation/Tokens.h"
#include "lib/Execution/Session.h"
#include <map>

namespace uoe {

/// Samples from one file, each a run of a model with a batch of one:
///   FILE.npy of integers, rank 1 or 2   token ids, a stream or sentences padded with 0
///   FILE.npy of floats                  for the model's one input of floats, samples along axis 0
///                                       (images [samples, channels, height, width])
///   FILE.npz                            arrays by input name, samples along axis 0 of each
/// Inputs that a file does not give are generated (lib/Evaluation/Inputs.h).
class Samples {
public:
  /// Raises rt::Error that names the file if it is none of these or has no samples.
  explicit Samples(std::string path);

  /// One run: a window of token ids, or the index of a sample.
  struct Run {
    std::vector<int64_t> window;
    int64_t index = -1;
  };
  /// Runs spread evenly over the file: windows of `window` ids or sentences that together hold at
  /// least `tokens` ids, if there are so many; of arrays, at most `arrays` samples, in an order
  /// whose beginnings are spread evenly too.
  std::vector<Run> runs(int64_t tokens, int64_t window, int64_t arrays) const;
  /// Rows that the runs give at every block; -1 if only a run can tell.
  static int64_t rowsOf(const std::vector<Run> &runs);

  /// The inputs of a run by name. Raises rt::Error if the model has no inputs for the file, or
  /// other types or ranks.
  std::map<std::string, rt::Value> given(const Session &session, const Run &run) const;
  /// Raises rt::Error for token ids that the model does not know, and as `given`.
  void check(const Session &session) const;

  const std::string &path() const { return file; }

private:
  std::string file;
  TokenFile tokens;
  bool text = false;
  std::vector<std::pair<std::string, rt::Tensor>> arrays; // one without a name from .npy
};

} // namespace uoe
