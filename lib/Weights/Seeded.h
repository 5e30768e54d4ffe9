// Weights that are made rather than read: from a seed, equal on every machine.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace uoe {

/// Fills `values` with uniformly distributed numbers of mean 0 and this standard deviation. Every
/// name has a stream of its own, so that another size of one tensor leaves the others as they are.
void fillUniform(llvm::StringRef name, uint64_t seed, double deviation,
                 llvm::MutableArrayRef<float> values);

} // namespace uoe
