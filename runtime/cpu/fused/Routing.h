// Lists of chosen experts as inputs of fused entries.
#pragma once
#include "runtime/core/Kernel.h"
#include "runtime/cpu/fast/Select.h"

namespace uoe::rt {

/// The routing of x's tokens, from the inputs first (offsets), first + 1 (ids), first + 2
/// (weights?) and the attribute "tokens", what a row speaks for: 1 or p tokens, 0 for a sample.
/// `own` keeps the lists where they are not the inputs' own. Raises Error if the rows do not fit x.
fast::Routing routingOf(KernelCall &call, size_t first, const Tensor &x,
                        const std::vector<int64_t> &slots, fast::Choice &own);

/// The attribute "slots": per router output its expert of `experts`, -1 for none; empty if the
/// outputs are the experts.
std::vector<int64_t> slotsOf(const Node &node, int64_t experts);

} // namespace uoe::rt
