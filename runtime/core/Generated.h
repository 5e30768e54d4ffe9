// What the runtime knows of a kernel that a compiler has made: a function and its types. Who made
// it, and from what, is not its concern.
#pragma once
#include "DType.h"
#include <memory>
#include <vector>

namespace uoe::rt {

/// A loop over one run of elements, for a group of elementwise operators; or over one row, where
/// some of them reduce rows.
struct GeneratedKernel {
  /// Computes n elements of every result; n > 0 but for rows. Operand k begins at operands[k]; its
  /// element i is at i·steps[k], where a step is 1 or 0 (one element for the whole run), in
  /// elements. Results are contiguous, or one element where rowResults says so; one may be the same
  /// array as an operand of step 1 and equal element size. Nothing is read or written beyond n
  /// elements. bool is a byte, 0 or 1. `scratch`, aligned to 64 bytes, holds scratchBytes for each
  /// of n + 16 elements.
  using Function = void (*)(const void *const *operands, const int64_t *steps, void *const *results,
                            int64_t n, void *scratch);
  Function function = nullptr;
  std::vector<DType> operands, results;
  bool rows = false;            // a run must be a whole row, the innermost dimension
  std::vector<bool> rowResults; // per result: one element a row
  int64_t scratchBytes = 0;     // for rows: an element's intermediate values
  int64_t cost = 1;             // arithmetic operations an element, roughly
  std::shared_ptr<void> code;   // keeps the machine code
};

} // namespace uoe::rt
