// The choice of one row of scores: steps 1 to 4 of Select.h. Internal to runtime/cpu/fast.
#pragma once
#include "Select.h"
#include <cstring>

namespace uoe::rt::fast {

/// Value and index as one number: larger is better, ties go to the lower index, NaN is last.
inline uint64_t rankKey(float value, uint32_t index) {
  value += 0.0f; // -0 is 0
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = value != value ? 0 : bits >> 31 ? ~bits : bits | 0x80000000u;
  return uint64_t(bits) << 32 | (0xffffffffu - index);
}
inline uint32_t rankIndex(uint64_t key) {
  return 0xffffffffu - static_cast<uint32_t>(key);
}

/// Appends the indices of the k highest of x [n] to out, in ascending order; of those whose flag in
/// `eligible` (null: all) is set. `keys` is scratch.
void chooseHighest(const float *x, const uint8_t *eligible, int64_t n, int64_t k,
                   std::vector<uint64_t> &keys, std::vector<int32_t> &out);

/// One thread's scratch for rows of one selection.
class RowSelector {
public:
  RowSelector(const SelectSpec &spec, const SelectInput &in, bool wantGates);
  /// Appends the experts of row r, ascending, and their gates if wanted.
  void choose(int64_t r, std::vector<int32_t> &ids, std::vector<float> &gatesOut);

private:
  const uint8_t *findEligible(int64_t r);
  void groupsByScore(int64_t r);
  void above(const float *x, const float *limits, float limit, std::vector<int32_t> &ids);
  void topP(const float *ranked, std::vector<int32_t> &ids);

  const SelectSpec &spec;
  const SelectInput &in;
  const int64_t n, groups;
  const bool wantGates;
  const uint8_t *allowed = nullptr; // of this row; null: all
  const float *gates = nullptr;     // of this row
  const float *biasedGates = nullptr;
  std::vector<float> gateRow, biased, groupRow;
  std::vector<uint8_t> eligible;
  std::vector<int32_t> list;
  std::vector<uint64_t> keys;
  std::vector<std::vector<int32_t>> members;
};

} // namespace uoe::rt::fast
