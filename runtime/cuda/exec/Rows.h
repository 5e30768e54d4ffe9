// Norms, softmax and the like of rows on a device, for operators that contain one.
#pragma once
#include "Call.h"
#include "runtime/cuda/ops/Rows.h"

namespace uoe::rt::cuda {

void launchRows(Call &call, const RowCall &work);

} // namespace uoe::rt::cuda
