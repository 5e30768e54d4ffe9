// From scores to a routing, in the steps that dialects/uoe/Routing.td numbers for uoe.select. Rows
// become lists of chosen experts at once; what is dense over experts is only ever one row long.
#pragma once
#include "Router.h"

namespace uoe::rt::fast {

/// The decisions; names and values are those of uoe.select.
struct SelectSpec {
  enum class Rule { All, Threshold, TopK, TopP };
  enum class Scoring { Raw, Softmax, Sigmoid };
  enum class Empty { None, Argmax, All };
  enum class Normalize { None, Experts, Tokens, Batch };
  enum class Scaling { None, OneOverActive, NOverActive };
  Rule rule = Rule::All;
  Scoring scoring = Scoring::Raw;
  Empty empty = Empty::None;
  Normalize normalize = Normalize::None;
  Scaling scaling = Scaling::None;
  float temperature = 1, tau = 0, p = 1;
  int64_t k = 0;
  std::vector<int64_t> groups; // of each expert; empty: none
  int64_t groupK = 0;          // 0: all groups
  bool groupTop2 = false;
  float groupTemperature = 1;
  int64_t capacity = 0;    // 0: none
  float capacityShare = 0; // 0: none
  bool capacityTakers = false;
  bool padWithTokens = false;
  bool gateWeights = false;
  float factor = 1;

  bool hasCapacity() const { return capacity > 0 || capacityShare > 0 || capacityTakers; }
  int64_t groupCount() const;
  /// Every weight is 1.
  bool unitWeights() const { return !gateWeights && factor == 1 && scaling == Scaling::None; }
};

/// `samples` times `rows` rows of scores. The outermost dimension of the samples is the batch: row
/// r of all has the position r % (samples * rows / batch).
struct SelectInput {
  int64_t samples = 0, rows = 0, batch = 1, experts = 0;
  const float *scores = nullptr;        // [samples, rows, experts]
  const float *thresholds = nullptr;    // [experts] or null: tau
  const float *selectionBias = nullptr; // [experts] or null
  const float *groupScores = nullptr;   // [samples, rows, groups] or null
  /// The choice that this one lies within, if `within.offsets` is given: row r of a sample lies in
  /// row r / withinRows of the sample's withinPerSample rows.
  Routing within;
  int64_t withinRows = 1, withinPerSample = 0;
};

struct Selected {
  Choice choice;        // weights are empty if all are 1
  int64_t capacity = 0; // c
  /// With a capacity: [samples, c, experts], for each expert its c places: the rows it keeps in
  /// ascending order, then others of the sample, the earliest first.
  std::vector<int64_t> places;
};

/// Raises Error for input that does not fit the spec.
Selected select(const SelectSpec &spec, const SelectInput &input);

/// Step 1: the gates of one row.
void selectGates(const SelectSpec &spec, int64_t experts, const float *scores,
                 const float *groupScores, float *gates);

/// A routing of tokens to experts from one of rows to slots: token t of a sample of `tokens` lies
/// in row t / tokensPerRow of the sample's `rows`; slot s stands for expert slots[s], -1 for none,
/// and those of one expert add up. Experts of a token ascend. Empty slots: slot s is expert s.
Choice spread(const Routing &rows, int64_t samples, int64_t rowsPerSample, int64_t tokens,
              int64_t tokensPerRow, const std::vector<int64_t> &slots);

} // namespace uoe::rt::fast
