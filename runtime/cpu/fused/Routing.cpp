#include "runtime/cpu/fused/Routing.h"

namespace uoe::rt {

fast::Routing routingOf(KernelCall &call, size_t first, const Tensor &x,
                        const std::vector<int64_t> &slots, fast::Choice &own) {
  const Tensor &offsets = call.in(first), &ids = call.in(first + 1);
  expectType(offsets, DType::I64, "offsets");
  expectType(ids, DType::I32, "ids");
  fast::Routing rows{offsets.data<int64_t>(), ids.data<int32_t>(), nullptr};
  if (const Tensor *weights = call.maybe(first + 2)) {
    expectType(*weights, DType::F32, "weights");
    rows.weights = weights->data<float>();
  }
  const int64_t count = offsets.size() - 1, perRow = call.node.integer("tokens", 1);
  int64_t length = x.rank() >= 2 ? x.dim(-2) : 1, samples = 1;
  for (int64_t axis = 0; axis + 2 < x.rank(); ++axis)
    samples *= x.dim(axis);
  if (perRow == 1) {
    check(count == samples * length, "a routing of ", count, " rows for tokens of shape ",
          toString(x.shape()));
    if (slots.empty())
      return rows;
    own = fast::spread(rows, 1, count, count, 1, slots);
    return own.routing();
  }
  const int64_t tokensPerRow = perRow == 0 ? std::max<int64_t>(1, length) : perRow;
  const int64_t perSample = perRow == 0 ? 1 : (length + perRow - 1) / perRow;
  check(count == samples * perSample, "a routing of ", count, " rows for tokens of shape ",
        toString(x.shape()), ", ", perSample, " for each sample");
  own = fast::spread(rows, samples, perSample, length, tokensPerRow, slots);
  return own.routing();
}

std::vector<int64_t> slotsOf(const Node &node, int64_t experts) {
  std::vector<int64_t> slots = node.integers("slots");
  for (int64_t expert : slots)
    check(expert >= -1 && expert < experts, "a slot for expert ", expert, " of ", experts);
  return slots;
}

} // namespace uoe::rt
