// Pad and CenterCropPad.
#include "Register.h"
#include "StridedCopy.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt {
namespace {

/// For every index of a padded axis the source index, or -1 for the constant.
std::vector<int64_t> sourceIndices(int64_t dim, int64_t before, int64_t after,
                                   const std::string &mode) {
  constexpr int64_t most = int64_t(1) << 40;
  check(std::max(before, after) < most && std::min(before, after) > -most, "padding an axis of ",
        dim, " by ", before, " and ", after, " is too much");
  int64_t length = dim + before + after;
  check(length >= 0, "padding an axis of ", dim, " by ", before, " and ", after,
        " leaves a negative length");
  check(length == 0 || dim > 0 || mode == "constant", "mode ", mode, " cannot pad an empty axis");
  // Refuses what does not fit in memory.
  (void)Tensor(DType::I64, {length});
  std::vector<int64_t> source(static_cast<size_t>(length));
  for (int64_t i = 0; i < length; ++i) {
    int64_t at = i - before;
    if (mode == "constant") {
      at = at >= 0 && at < dim ? at : -1;
    } else if (mode == "edge") {
      at = std::min(std::max<int64_t>(at, 0), dim - 1);
    } else if (mode == "wrap") {
      at = (at % dim + dim) % dim;
    } else if (dim == 1) {
      at = 0;
    } else { // reflect: there and back again, without repeating the ends
      int64_t period = 2 * (dim - 1);
      at = (at % period + period) % period;
      at = at < dim ? at : period - at;
    }
    source[i] = at;
  }
  return source;
}

/// Fills rows of the last axis; the elements that stay together are copied as one.
template <typename T>
void padRows(const Tensor &x, const std::vector<std::vector<int64_t>> &sources, T filler,
             Tensor &y) {
  size_t rank = sources.size();
  const std::vector<int64_t> &last = sources[rank - 1];
  auto length = static_cast<int64_t>(last.size());
  int64_t first = 0;
  while (first < length && last[first] != 0)
    ++first;
  int64_t together = 0;
  while (first + together < length && last[first + together] == together)
    ++together;
  Shape strides = stridesOf(x.shape());
  const T *from = x.data<T>();
  T *to = y.data<T>();
  int64_t rows = length ? y.size() / length : 0;
  parallel(rows, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, length)),
           [&](int64_t begin, int64_t end) {
             for (int64_t row = begin; row < end; ++row) {
               int64_t rest = row, offset = 0;
               bool constant = false;
               for (size_t d = rank - 1; d-- > 0;) {
                 auto dim = static_cast<int64_t>(sources[d].size());
                 int64_t source = sources[d][rest % dim];
                 rest /= dim;
                 constant |= source < 0;
                 offset += source * strides[d];
               }
               T *target = to + row * length;
               if (constant) {
                 std::fill_n(target, length, filler);
                 continue;
               }
               const T *origin = from + offset;
               for (int64_t i = 0; i < first; ++i)
                 target[i] = last[i] < 0 ? filler : origin[last[i]];
               if (together)
                 std::memcpy(target + first, origin, static_cast<size_t>(together) * sizeof(T));
               for (int64_t i = first + together; i < length; ++i)
                 target[i] = last[i] < 0 ? filler : origin[last[i]];
             }
           });
}

/// Pads; `value` is the constant as one element of x's type, or null for zero.
Tensor padded(const Tensor &x, const std::vector<int64_t> &before,
              const std::vector<int64_t> &after, const std::string &mode, const void *value) {
  if (x.rank() == 0)
    return x;
  std::vector<std::vector<int64_t>> sources;
  Shape dims;
  for (size_t d = 0; d < before.size(); ++d) {
    sources.push_back(sourceIndices(x.shape()[d], before[d], after[d], mode));
    dims.push_back(static_cast<int64_t>(sources.back().size()));
  }
  Tensor y(x.dtype(), dims);
  auto run = [&](auto filler) {
    if (value)
      std::memcpy(&filler, value, sizeof filler);
    padRows(x, sources, filler, y);
  };
  switch (elementBytes(x)) {
  case 1:
    run(uint8_t(0));
    break;
  case 2:
    run(uint16_t(0));
    break;
  case 4:
    run(uint32_t(0));
    break;
  case 8:
    run(uint64_t(0));
    break;
  default:
    run(Sixteen{0, 0});
  }
  return y;
}

void pad(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::string mode = call.node.string("mode", "constant");
  check(mode == "constant" || mode == "reflect" || mode == "edge" || mode == "wrap",
        "attribute 'mode': expected constant, reflect, edge or wrap, found ", mode);
  auto rank = static_cast<size_t>(x.rank());
  std::vector<int64_t> pads, axes;
  if (call.count() > 1)
    pads = toInts(call.in(1), "the pads");
  else
    pads = call.node.integers(call.node.has("paddings") ? "paddings" : "pads");
  if (call.has(3)) {
    axes = toInts(call.in(3), "the axes");
  } else {
    for (size_t d = 0; d < rank; ++d)
      axes.push_back(static_cast<int64_t>(d));
  }
  check(pads.size() == 2 * axes.size(), "there are ", pads.size(), " pads for ", axes.size(),
        " axes, expected two for each");
  std::vector<int64_t> before(rank), after(rank);
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t axis = axisIn(axes[i], x.rank());
    before[axis] = pads[i];
    after[axis] = pads[axes.size() + i];
  }
  if (const Tensor *value = call.maybe(2)) {
    check(value->dtype() == x.dtype() && value->size() == 1, "the constant must be one ",
          nameOf(x.dtype()), ", found ", describe(*value));
    return call.set(0, padded(x, before, after, mode, value->raw()));
  }
  // Before opset 11 the constant is an attribute.
  float value = call.node.real("value", 0);
  if (value == 0)
    return call.set(0, padded(x, before, after, mode, nullptr));
  dispatch(RealTypes(), x.dtype(), "an input", [&](auto type) {
    typename decltype(type)::type constant(value);
    call.set(0, padded(x, before, after, mode, &constant));
  });
}

void centerCropPad(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> target = toInts(call.in(1), "the shape"), axes = call.node.integers("axes");
  if (!call.node.has("axes"))
    for (int64_t d = 0; d < x.rank(); ++d)
      axes.push_back(d);
  check(target.size() == axes.size(), "the shape has ", target.size(), " dimensions for ",
        axes.size(), " axes");
  std::vector<int64_t> before(x.shape().size()), after(before);
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t axis = axisIn(axes[i], x.rank());
    check(target[i] >= 0, "the shape ", toString(target), " has a negative dimension");
    int64_t more = target[i] - x.dim(axis);
    before[axis] = more >= 0 ? more / 2 : -(-more / 2);
    after[axis] = more - before[axis];
  }
  call.set(0, padded(x, before, after, "constant", nullptr));
}

} // namespace

void registerPad(KernelTable &table) {
  table.add("", "Pad", pad);
  table.add("", "CenterCropPad", centerCropPad);
}

} // namespace uoe::rt
