#include "Tensor.h"
#include "Allocator.h"

namespace uoe::rt {

int64_t elementCount(const Shape &shape) {
  int64_t count = 1;
  for (int64_t dim : shape)
    count *= dim;
  return count;
}

std::string toString(const Shape &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string describe(const Tensor &tensor) {
  return nameOf(tensor.dtype()) + toString(tensor.shape());
}

namespace {

/// The number of elements; raises Error for negative dimensions and for products beyond what a
/// pointer can address.
int64_t checkedCount(const Shape &shape) {
  int64_t count = 1;
  bool overflow = false, empty = false;
  for (int64_t dim : shape) {
    check(dim >= 0, "a tensor cannot have shape ", toString(shape));
    empty |= dim == 0;
    overflow |= __builtin_mul_overflow(count, dim, &count);
  }
  if (empty)
    return 0;
  check(!overflow && count <= int64_t(1) << 46, "a tensor of shape ", toString(shape),
        " is too large");
  return count;
}

size_t checkedBytes(DType type, const Shape &shape) {
  int64_t count = checkedCount(shape);
  check(bitsOf(type) != 0, "tensors of type ", nameOf(type), " are not supported");
  return bytesOf(type, count);
}

} // namespace

Tensor::Tensor(DType type, Shape shape) : type(type), dims(std::move(shape)), owned(true) {
  size_t bytes = checkedBytes(type, dims);
  pointer = poolAllocate(bytes);
  storage = std::shared_ptr<void>(pointer, [bytes](void *data) { poolFree(data, bytes); });
}

Tensor::Tensor(DType type, Shape shape, void *data, std::shared_ptr<void> owner)
    : type(type), dims(std::move(shape)), pointer(data), storage(std::move(owner)) {
  checkedBytes(type, dims);
}

Tensor Tensor::reshaped(Shape shape) const {
  check(checkedCount(shape) == size(), "cannot reshape ", toString(dims), " to ", toString(shape),
        ": the numbers of elements differ");
  Tensor result;
  result.type = type;
  result.dims = std::move(shape);
  result.pointer = pointer;
  result.owned = owned;
  result.storage = storage;
  return result;
}

Tensor Tensor::aliased(DType newType, Shape shape) const {
  check(checkedBytes(newType, shape) == bytes(), "cannot see ", describe(*this), " as ",
        nameOf(newType), toString(shape), ": the sizes differ");
  Tensor result;
  result.type = newType;
  result.dims = std::move(shape);
  result.pointer = pointer;
  result.owned = owned;
  result.storage = storage;
  return result;
}

void expectType(const Tensor &tensor, DType type, const char *what) {
  check(tensor.dtype() == type, what, ": expected type ", nameOf(type), ", found ",
        nameOf(tensor.dtype()));
}

namespace {

template <typename Out> Out element(const Tensor &tensor, int64_t i, const char *what) {
  switch (tensor.dtype()) {
  case DType::I64:
    return static_cast<Out>(tensor.data<int64_t>()[i]);
  case DType::I32:
    return static_cast<Out>(tensor.data<int32_t>()[i]);
  case DType::I16:
    return static_cast<Out>(tensor.data<int16_t>()[i]);
  case DType::I8:
    return static_cast<Out>(tensor.data<int8_t>()[i]);
  case DType::U64:
    return static_cast<Out>(tensor.data<uint64_t>()[i]);
  case DType::U32:
    return static_cast<Out>(tensor.data<uint32_t>()[i]);
  case DType::U16:
    return static_cast<Out>(tensor.data<uint16_t>()[i]);
  case DType::U8:
  case DType::Bool:
    return static_cast<Out>(tensor.data<uint8_t>()[i]);
  case DType::U4:
    return static_cast<Out>((tensor.data<uint8_t>()[i / 2] >> (i % 2 * 4)) & 15);
  case DType::I4: {
    int nibble = (tensor.data<uint8_t>()[i / 2] >> (i % 2 * 4)) & 15;
    return static_cast<Out>((nibble ^ 8) - 8);
  }
  default:
    break;
  }
  if constexpr (std::is_floating_point<Out>::value) {
    switch (tensor.dtype()) {
    case DType::F32:
      return tensor.data<float>()[i];
    case DType::F64:
      return tensor.data<double>()[i];
    case DType::F16:
      return static_cast<float>(tensor.data<Half>()[i]);
    case DType::BF16:
      return static_cast<float>(tensor.data<BFloat16>()[i]);
    default:
      break;
    }
    fail(what, ": expected a number, found ", describe(tensor));
  }
  fail(what, ": expected an integer type, found ", describe(tensor));
}

} // namespace

int64_t toInt(const Tensor &tensor, const char *what) {
  check(tensor.size() == 1, what, ": expected one element, found ", describe(tensor));
  return element<int64_t>(tensor, 0, what);
}

std::vector<int64_t> toInts(const Tensor &tensor, const char *what) {
  check(tensor.rank() <= 1, what, ": expected a vector, found ", describe(tensor));
  std::vector<int64_t> values(static_cast<size_t>(tensor.size()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = element<int64_t>(tensor, static_cast<int64_t>(i), what);
  return values;
}

double toDouble(const Tensor &tensor, const char *what) {
  check(tensor.size() == 1, what, ": expected one element, found ", describe(tensor));
  return element<double>(tensor, 0, what);
}

Tensor makeInts(const std::vector<int64_t> &values) {
  Tensor tensor(DType::I64, {static_cast<int64_t>(values.size())});
  std::memcpy(tensor.raw(), values.data(), values.size() * sizeof(int64_t));
  return tensor;
}

} // namespace uoe::rt
