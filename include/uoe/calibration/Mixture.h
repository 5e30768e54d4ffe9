// Mixtures of experts that a model came with: what each expert does on calibration tokens, which
// experts may be merged, which may be dropped.
#pragma once
#include "Ffn.h"

namespace uoe::calibration {

/// How weights come from scores, in the terms of uoe.select.
struct Selection {
  enum class Scoring { Raw, Softmax, Sigmoid } scoring = Scoring::Softmax;
  enum class Rule { All, Threshold, TopK } rule = Rule::TopK;
  int64_t k = 1;           // TopK: the k highest gates, ties to the lower index
  float threshold = 0;     // Threshold: gates above it
  float temperature = 1;   // scores are divided by it first
  bool normalized = false; // chosen gates are divided by their sum
  bool unit = false;       // weights are 1 rather than the gates
  float factor = 1;        // weights are multiplied by it
  std::vector<float> bias; // [slots] or empty: added to gates for the choice alone
  /// The group of each slot, or empty: then only those of the groupK best groups may be chosen, by
  /// the highest of their biased gates, or with groupTop2 by the sum of the two highest.
  std::vector<int64_t> groups;
  int64_t groupK = 0;
  bool groupTop2 = false;
};

/// Weights [tokens, slots] for scores of that shape: of the chosen slots, 0 elsewhere.
Status selectExperts(const Selection &selection, MatrixView scores, Matrix &weights);

/// y = Σ_s weight_s · expert_{slots[s]}(x).
struct Mixture {
  std::vector<FfnWeights> experts; // of equal inputs and outputs; each with a bias of its own
  std::vector<int64_t> slots; // the expert behind each slot, -1: none; empty: slot e is expert e
  Selection selection;

  int64_t count() const { return static_cast<int64_t>(experts.size()); }
  int64_t slotCount() const { return slots.empty() ? count() : static_cast<int64_t>(slots.size()); }
  int64_t expertOf(int64_t slot) const { return slots.empty() ? slot : slots[slot]; }
};

struct MixtureData {
  const Tokens *inputs = nullptr; // [tokens, d]
  const Tokens *scores = nullptr; // [tokens, slots]: the router's logits
  double heldOut = 0.2;           // share of the tokens kept for the error
};

/// Checks shapes, slots, selection, and the data if it has any.
Status check(const Mixture &mixture, const MixtureData &data);

/// The mixture itself: y [tokens, n] for x [tokens, d] and scores [tokens, slots].
Status runMixture(const Mixture &mixture, MatrixView x, MatrixView scores, Matrix &y);

/// What each expert did on the tokens that are not held out.
struct ExpertUse {
  std::vector<double> tokens;   // how many chose it
  std::vector<double> weight;   // the sum of the weights that they gave it
  std::vector<double> saliency; // mean of weight·‖output‖ over them; 0 if there are none
  Matrix meanOutput;            // [experts, n] over all tokens, whoever they chose; if asked for
};
Status measureUse(const Mixture &mixture, const MixtureData &data, bool meanOutputs,
                  ExpertUse &use);

/// Relative squared error of `changed` against `mixture` on held-out tokens; `keptSlots` (empty:
/// all) are the slots that the changed one's scores still have.
Status mixtureError(const Mixture &mixture, const Mixture &changed,
                    const std::vector<int64_t> &keptSlots, const MixtureData &data, double &error);

/// Groups the rows of `points` by agglomerative clustering (Euclidean distance, average linkage)
/// until `clusters` groups are left; equal distances merge the pair of the lowest first members.
/// Gives each row its group, numbered by first members.
std::vector<int64_t> clusterRows(MatrixView points, int64_t clusters);

/// HC-SMoE (arXiv 2410.08589): experts of similar mean output become one.
struct MergeExpertsPlan {
  std::vector<int64_t> cluster; // [experts]: the merged expert that takes its place
  std::vector<double> share;    // [experts]: f_e / Σ f over its cluster, or equal parts
  std::vector<double> usage;    // [experts]: f_e, tokens that chose it
  double error = 0;             // relative, on held-out tokens
};
Status planMergeExperts(const Mixture &mixture, const MixtureData &data, int64_t keep,
                        MergeExpertsPlan &plan);

/// A block of matrices that somebody else's data does not outlive.
struct OwnedFfn {
  Matrix gate, up, down;
  std::vector<float> gateBias, upBias, downBias;
  Activation activation = Activation::Silu;
  float limit = std::numeric_limits<float>::infinity();
  float upOffset = 0;
  FfnWeights view() const;
};
/// Σ share_e · expert_e of each cluster, summed in double precision: equal experts give their own
/// bytes.
std::vector<OwnedFfn> mergeExperts(const Mixture &mixture, const MergeExpertsPlan &plan);

enum class PruneCriterion {
  Reap,     // mean over its tokens of weight·‖output‖
  SeerHard, // how many tokens chose it
  SeerSoft, // the sum of their weights
};
/// Whether the slots of dropped experts leave the router, so that others are chosen instead, or
/// stay and give nothing.
enum class PruneRouter { Drop, Keep };

struct PruneExpertsPlan {
  std::vector<int64_t> kept;      // ascending
  std::vector<int64_t> dropped;   // the least first
  std::vector<int64_t> keptSlots; // ascending; all with PruneRouter::Keep
  std::vector<double> score;      // [experts]
  double error = 0;               // relative, on held-out tokens
};
/// Ties drop the higher index first.
Status planPruneExperts(const Mixture &mixture, const MixtureData &data, int64_t keep,
                        PruneCriterion criterion, PruneRouter router, PruneExpertsPlan &plan);
/// The mixture that a plan leaves; views of the same weights.
Mixture pruneExperts(const Mixture &mixture, const PruneExpertsPlan &plan);

} // namespace uoe::calibration
