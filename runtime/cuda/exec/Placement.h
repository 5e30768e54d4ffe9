// Where a step runs: shapes and sizes are reckoned on the host, everything else on the device.
#pragma once
#include "runtime/core/Kernel.h"

namespace uoe::rt::cuda {

/// Reads shapes alone and gives numbers: runs on the host whatever its inputs are.
bool readsShapesOnly(const Node &node);
/// Gives its input's elements under another shape: moves nothing.
bool isView(const Node &node);
/// One operand of a step, which lies on the host.
struct HostOperand {
  DType type;
  const Shape &shape;
};
/// True for shape arithmetic: all operands lie on the host and are numbers or short vectors.
bool isShapeArithmetic(const Node &node, const std::vector<HostOperand> &operands);

} // namespace uoe::rt::cuda
