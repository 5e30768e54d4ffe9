// Attention on a device, as the operators that contain it need it.
#pragma once
#include "Call.h"
#include "runtime/cuda/ops/Attention.h"

namespace uoe::rt::cuda {

/// A block a tile of queries of each head.
void launchAttention(Call &call, const AttentionCall &work);

} // namespace uoe::rt::cuda
