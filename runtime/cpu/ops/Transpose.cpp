// Transpose, Expand, Tile, and the rearrangements of depth and space.
#include "Broadcast.h"
#include "Register.h"
#include "StridedCopy.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt {
namespace {

Tensor transposed(const Tensor &x, const std::vector<int64_t> &order) {
  Shape strides = stridesOf(x.shape()), dims, from;
  for (int64_t axis : order) {
    dims.push_back(x.shape()[axis]);
    from.push_back(strides[axis]);
  }
  // If only axes of length 1 move, the elements stay where they are.
  std::vector<int64_t> moved;
  for (int64_t axis : order)
    if (x.shape()[axis] != 1)
      moved.push_back(axis);
  if (std::is_sorted(moved.begin(), moved.end()))
    return x.reshaped(std::move(dims));
  return onBytes(x, [&](const Tensor &bytes) {
    Tensor result(bytes.dtype(), dims);
    stridedCopy(dims, bytes.raw(), from, result.raw(), stridesOf(dims), elementBytes(bytes));
    return result;
  });
}

void transpose(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> order = call.node.integers("perm");
  if (!call.node.has("perm"))
    for (int64_t axis = x.rank(); axis-- > 0;)
      order.push_back(axis);
  check(static_cast<int64_t>(order.size()) == x.rank(), "attribute 'perm' ", toString(order),
        " does not fit the shape ", toString(x.shape()));
  std::vector<bool> seen(order.size());
  for (int64_t &axis : order) {
    axis = axisIn(axis, x.rank(), "attribute 'perm': axis");
    check(!seen[axis], "attribute 'perm' ", toString(order), " names an axis twice");
    seen[axis] = true;
  }
  call.set(0, transposed(x, order));
}

void expand(KernelCall &call) {
  const Tensor &x = call.in(0);
  Shape wanted = toInts(call.in(1), "the new shape");
  for (int64_t dim : wanted)
    check(dim >= 0, "the new shape ", toString(wanted), " has a negative dimension");
  Shape dims = broadcastShapes(x.shape(), wanted);
  if (elementCount(dims) == x.size())
    return call.set(0, x.reshaped(std::move(dims)));
  Shape strides = stridesOf(x.shape()), from(dims.size());
  size_t missing = dims.size() - strides.size();
  for (size_t i = 0; i < strides.size(); ++i)
    from[missing + i] = x.shape()[i] == 1 ? 0 : strides[i];
  call.set(0, onBytes(x, [&](const Tensor &bytes) {
             Tensor result(bytes.dtype(), dims);
             stridedCopy(dims, bytes.raw(), from, result.raw(), stridesOf(dims),
                         elementBytes(bytes));
             return result;
           }));
}

void tile(KernelCall &call) {
  const Tensor &x = call.in(0);
  std::vector<int64_t> repeats = toInts(call.in(1), "the repeats");
  check(static_cast<int64_t>(repeats.size()) == x.rank(), "the repeats ", toString(repeats),
        " do not fit the shape ", toString(x.shape()));
  // Every axis splits in two: how often, with stride 0, and the axis itself.
  Shape strides = stridesOf(x.shape()), dims, from, result;
  for (size_t i = 0; i < repeats.size(); ++i) {
    check(repeats[i] >= 0, "the repeats ", toString(repeats), " have a negative one");
    dims.insert(dims.end(), {repeats[i], x.shape()[i]});
    from.insert(from.end(), {0, strides[i]});
    result.push_back(0);
    check(!__builtin_mul_overflow(repeats[i], x.shape()[i], &result.back()), "repeating ",
          toString(x.shape()), " ", toString(repeats), " times is too large");
  }
  call.set(0, onBytes(x, [&](const Tensor &bytes) {
             Tensor tiled(bytes.dtype(), result);
             stridedCopy(dims, bytes.raw(), from, tiled.raw(), stridesOf(dims),
                         elementBytes(bytes));
             return tiled;
           }));
}

/// (N, C, H, W) as six axes, permuted, and seen as four again.
void rearrange(KernelCall &call, const Shape &split, const std::vector<int64_t> &order,
               Shape result) {
  call.set(0, transposed(call.in(0).reshaped(split), order).reshaped(std::move(result)));
}

int64_t blockSize(const KernelCall &call) {
  const Tensor &x = call.in(0);
  check(x.rank() == 4, "expected rank 4, found ", describe(x));
  int64_t block = call.node.integer("blocksize", 0);
  check(block > 0 && block < int64_t(1) << 31,
        "attribute 'blocksize': expected a positive number, found ", block);
  return block;
}

/// Depth, column, row or column, row, depth.
std::string modeOf(const Node &node) {
  std::string mode = node.string("mode", "DCR");
  check(mode == "DCR" || mode == "CRD", "attribute 'mode': expected DCR or CRD, found ", mode);
  return mode;
}

void depthToSpace(KernelCall &call) {
  int64_t b = blockSize(call);
  const Shape &d = call.in(0).shape();
  check(d[1] % (b * b) == 0, d[1], " channels are no multiple of the block's ", b * b);
  int64_t c = d[1] / (b * b);
  std::string mode = modeOf(call.node);
  Shape result = {d[0], c, d[2] * b, d[3] * b};
  if (mode == "DCR")
    rearrange(call, {d[0], b, b, c, d[2], d[3]}, {0, 3, 4, 1, 5, 2}, result);
  else
    rearrange(call, {d[0], c, b, b, d[2], d[3]}, {0, 1, 4, 2, 5, 3}, result);
}

void spaceToDepth(KernelCall &call) {
  int64_t b = blockSize(call);
  const Shape &d = call.in(0).shape();
  check(d[2] % b == 0 && d[3] % b == 0, "the plane ", d[2], "x", d[3],
        " is no multiple of block size ", b);
  std::vector<int64_t> order = {0, 3, 5, 1, 2, 4};
  if (modeOf(call.node) == "CRD")
    order = {0, 1, 3, 5, 2, 4};
  rearrange(call, {d[0], d[1], d[2] / b, b, d[3] / b, b}, order,
            {d[0], d[1] * b * b, d[2] / b, d[3] / b});
}

} // namespace

void registerTranspose(KernelTable &table) {
  table.add("", "Transpose", transpose);
  table.add("", "Expand", expand);
  table.add("", "Tile", tile);
  table.add("", "DepthToSpace", depthToSpace);
  table.add("", "SpaceToDepth", spaceToDepth);
}

} // namespace uoe::rt
