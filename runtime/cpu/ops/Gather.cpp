// Gather, GatherElements, GatherND: reading by index.
#include "Indices.h"
#include "Register.h"
#include "StridedCopy.h"
#include <cstring>

namespace uoe::rt {

std::vector<int64_t> indicesIn(const Tensor &indices, int64_t dim, const char *what) {
  std::vector<int64_t> result(static_cast<size_t>(indices.size()));
  auto convert = [&](const auto *from) {
    for (size_t i = 0; i < result.size(); ++i) {
      int64_t index = from[i];
      check(index >= -dim && index < dim, what, ": index ", index, " is outside [", -dim, ", ",
            dim - 1, "]");
      result[i] = index < 0 ? index + dim : index;
    }
  };
  if (indices.dtype() == DType::I64)
    convert(indices.data<int64_t>());
  else if (indices.dtype() == DType::I32)
    convert(indices.data<int32_t>());
  else
    fail(what, ": indices must be int32 or int64, found ", nameOf(indices.dtype()));
  return result;
}

TupleIndices tupleIndices(const Tensor &data, const Tensor &indices, int64_t batchDims) {
  check(indices.rank() >= 1, "the indices must have rank 1 or more");
  int64_t depth = indices.dim(-1);
  check(batchDims >= 0 && batchDims < indices.rank() && batchDims + depth <= data.rank(),
        "indices of shape ", toString(indices.shape()), " with ", batchDims,
        " batch dimensions do not fit data of shape ", toString(data.shape()));
  for (int64_t d = 0; d < batchDims; ++d)
    check(indices.dim(d) == data.dim(d), "batch dimension ", d, " is ", indices.dim(d),
          " in the indices and ", data.dim(d), " in the data");
  auto batch = static_cast<size_t>(batchDims), last = static_cast<size_t>(batchDims + depth);
  TupleIndices result;
  result.inner = Shape(data.shape().begin() + static_cast<int64_t>(last), data.shape().end());
  result.block = elementCount(result.inner);
  result.outer = Shape(indices.shape().begin(), indices.shape().end() - 1);
  int64_t count = elementCount(result.outer), batches = productOf(data.shape(), 0, batch);
  int64_t perBatch = batches ? count / batches : 0;
  int64_t batchStride = productOf(data.shape(), batch, data.shape().size());
  check(indices.dtype() == DType::I64 || indices.dtype() == DType::I32,
        "indices must be int32 or int64, found ", nameOf(indices.dtype()));
  Shape strides = stridesOf(data.shape());
  result.offsets.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    int64_t offset = perBatch ? i / perBatch * batchStride : 0;
    for (int64_t d = 0; d < depth; ++d) {
      int64_t index = indices.dtype() == DType::I64 ? indices.data<int64_t>()[i * depth + d]
                                                    : indices.data<int32_t>()[i * depth + d];
      int64_t dim = data.dim(batchDims + d);
      check(index >= -dim && index < dim, "index ", index, " of axis ", batchDims + d,
            " is outside [", -dim, ", ", dim - 1, "]");
      offset += (index < 0 ? index + dim : index) * strides[batchDims + d];
    }
    result.offsets[i] = offset;
  }
  return result;
}

namespace {

void gather(KernelCall &call) {
  const Tensor &indices = call.in(1);
  int64_t axis = axisIn(call.node.integer("axis", 0), call.in(0).rank());
  call.set(0, onBytes(call.in(0), [&](const Tensor &x) {
             int64_t dim = x.dim(axis);
             auto at = static_cast<size_t>(axis);
             Shape dims(x.shape().begin(), x.shape().begin() + axis);
             dims.insert(dims.end(), indices.shape().begin(), indices.shape().end());
             dims.insert(dims.end(), x.shape().begin() + axis + 1, x.shape().end());
             std::vector<int64_t> index = indicesIn(indices, dim, "Gather");
             Tensor result(x.dtype(), dims);
             int64_t outer = productOf(x.shape(), 0, at), n = indices.size();
             auto bytes = productOf(x.shape(), at + 1, x.shape().size()) *
                          static_cast<int64_t>(elementBytes(x));
             if (result.size() == 0)
               return result;
             const char *from = x.data<char>();
             char *to = result.data<char>();
             parallel(outer * n, std::max<int64_t>(1, (64 << 10) / bytes),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t i = begin; i < end; ++i)
                          std::memcpy(to + i * bytes, from + (i / n * dim + index[i % n]) * bytes,
                                      static_cast<size_t>(bytes));
                      });
             return result;
           }));
}

void gatherElements(KernelCall &call) {
  const Tensor &x = call.in(0), &indices = call.in(1);
  int64_t axis = axisIn(call.node.integer("axis", 0), x.rank());
  check(indices.rank() == x.rank(), "indices of shape ", toString(indices.shape()),
        " do not have the rank of the data ", toString(x.shape()));
  for (int64_t d = 0; d < x.rank(); ++d)
    check(d == axis || indices.dim(d) <= x.dim(d), "indices of shape ", toString(indices.shape()),
          " exceed the data ", toString(x.shape()), " in axis ", d);
  std::vector<int64_t> index = indicesIn(indices, x.dim(axis), "GatherElements");
  Tensor &result = call.out(0, x.dtype(), indices.shape());
  auto size = elementBytes(x);
  Shape strides = stridesOf(x.shape());
  ElementWalk walk(indices.shape(), strides, axis);
  auto copy = [&](auto tag) {
    using T = decltype(tag);
    const T *from = x.data<T>();
    T *to = result.data<T>();
    for (int64_t i = 0, n = indices.size(); i < n; ++i, walk.next())
      to[i] = from[walk.offset + index[i] * strides[axis]];
  };
  switch (size) {
  case 1:
    return copy(uint8_t());
  case 2:
    return copy(uint16_t());
  case 4:
    return copy(uint32_t());
  default:
    check(size == 8, "type ", nameOf(x.dtype()), " is not supported");
    return copy(uint64_t());
  }
}

void gatherND(KernelCall &call) {
  const Tensor &x = call.in(0), &indices = call.in(1);
  TupleIndices tuples = tupleIndices(x, indices, call.node.integer("batch_dims", 0));
  Shape dims = tuples.outer;
  dims.insert(dims.end(), tuples.inner.begin(), tuples.inner.end());
  Tensor &result = call.out(0, x.dtype(), std::move(dims));
  auto size = static_cast<int64_t>(elementBytes(x));
  auto bytes = static_cast<size_t>(tuples.block * size);
  if (bytes)
    for (size_t i = 0; i < tuples.offsets.size(); ++i)
      std::memcpy(result.data<char>() + i * bytes, x.data<char>() + tuples.offsets[i] * size,
                  bytes);
}

} // namespace

void registerGather(KernelTable &table) {
  table.add("", "Gather", gather);
  table.add("", "GatherElements", gatherElements);
  table.add("", "GatherND", gatherND);
}

} // namespace uoe::rt
