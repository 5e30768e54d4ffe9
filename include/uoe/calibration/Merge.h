// Neurons that duplicate each other.
#pragma once
#include "Ffn.h"

namespace uoe::calibration {

struct MergeOptions {
  /// Two neurons are near duplicates if their directions differ by at most this, ‖v_i/‖v_i‖ −
  /// v_j/‖v_j‖‖, for the gate's row (its bias included) and the up row. 0 merges exact duplicates
  /// alone.
  double tolerance = 0;
};

/// Neuron `from` is removed; where merging is exact h_from = scale · h_into for every input. A
/// neuron that contributes nothing (a zero row of W_u or W_d, or of W_g where act(0) = 0) has into
/// −1 and scale 0.
struct MergedNeuron {
  int64_t from, into;
  float scale;
  bool exact;
};

struct MergePlan {
  std::vector<int64_t> kept;        // ascending neurons of the dense block that remain
  std::vector<MergedNeuron> merged; // ascending by `from`
  Matrix down;                      // [kept, n]: the rows of W_d with the removed ones added in
  std::vector<float> outputBias;    // [n] to be added to the output, after near merges; else empty
  double error = 0; // relative, on held-out tokens; not 0 for exact merges only by rounding
};

/// Exact: rows of W_g (with bias) that are equal, or positive multiples under ReLU; rows of W_u
/// that are any multiple; their rows of W_d are summed with that factor. Up to the tolerance: the
/// removed neuron is replaced by the least-squares multiple of the kept one over the tokens, and a
/// ridge of what is then missing on all that remain is added, if that helps on held-out tokens.
/// `data` may be null if the tolerance is 0.
Status mergeNeurons(const FfnWeights &weights, const CalibrationData *data,
                    const MergeOptions &options, MergePlan &plan);

} // namespace uoe::calibration
