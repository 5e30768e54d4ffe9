// A choice of experts on a device: what a uoe.Route says, and its lists in the experts' order.
#pragma once
#include "Call.h"

namespace uoe::rt::cuda {

/// The rule of a uoe.Route, without what its inputs give; what it says beside that.
struct Decisions {
  SelectRule rule;
  std::vector<int32_t> groups;
  Across across = Across::None;
  int64_t capacity = 0;
  float capacityShare = 0;
  bool pad = false;
  bool takers = false; // filled up to the most rows that any expert has
  int32_t heads = 1;   // equal parts of a row of scores that choose by themselves

  /// The patches of a sample of `rows` that an expert keeps; 0: any number.
  int32_t kept(int64_t rows) const;
};

/// False for what dispatch does not have.
bool decisionsOf(const Node &route, Decisions &d);

/// Inputs `first` and the next are a choice as it travels: masks [rows, words] in place of offsets,
/// gates [.., experts] in place of ids and weights.
bool isChoice(Call &call, size_t first);

/// How a choice lies over the tokens x [.., length, d]. `bySample` keeps samples apart; else they
/// are one where each token chooses for itself.
struct Extent {
  int64_t samples = 1, rows = 0, patch = 1; // tokens of a sample; that share a choice
  int64_t count() const { return samples * rows; }
};
/// Raises Error if `choices` rows of a choice do not fit.
Extent extentOf(const Shape &x, int64_t tokens, int64_t choices, bool bySample);

/// Pairs of rows and experts by expert, and within one by row (dispatch/Permute.h); all on the
/// device. Null fields are those of an empty choice.
struct Lists {
  RowBlocks rows;
  int32_t experts = 0;
  int64_t pairs = 0; // at most
  Tensor masks, gates, columns, base, first, tiles, offset, ids, place, source, weights;
};
/// Of the choice of inputs `first` and the next over x's tokens, made by `decisions`. Tiles are of
/// `tileHeight` rows.
Lists listsOf(Call &call, size_t first, const Decisions &decisions, const Extent &extent,
              int32_t tileHeight);

/// Whether uoe.Products, uoe.GatheredAttention and uoe.Rows of this node can run on a device, their
/// choice being made there.
bool coversProducts(const Node &node);
bool coversGathered(const Node &node);
bool coversRows(const Node &node);

} // namespace uoe::rt::cuda
