// Tensors, and the values that flow between kernels.
#pragma once
#include "DType.h"
#include "Error.h"
#include <memory>
#include <string>
#include <vector>

namespace uoe::rt {

using Shape = std::vector<int64_t>;

int64_t elementCount(const Shape &shape);
std::string toString(const Shape &shape);

/// A dense, contiguous, row-major tensor. Copies share the storage; a kernel writes only into
/// tensors that it has just allocated, or whose storage it owns alone (`unique()`).
class Tensor {
public:
  Tensor() = default;
  /// Uninitialised storage from the pooled allocator, 64-byte aligned.
  Tensor(DType type, Shape shape);
  /// Storage owned by somebody else (a mapped file, a caller's array), kept alive by `owner`.
  Tensor(DType type, Shape shape, void *data, std::shared_ptr<void> owner);

  DType dtype() const { return type; }
  const Shape &shape() const { return dims; }
  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  int64_t dim(int64_t axis) const { return dims[axis < 0 ? axis + rank() : axis]; }
  int64_t size() const { return elementCount(dims); }
  size_t bytes() const { return bytesOf(type, size()); }
  bool unique() const { return storage.use_count() == 1 && owned; }

  template <typename T> T *data() { return static_cast<T *>(raw()); }
  template <typename T> const T *data() const { return static_cast<const T *>(raw()); }
  void *raw() { return pointer; }
  const void *raw() const { return pointer; }

  /// The same storage under another shape with the same number of elements; raises Error otherwise.
  Tensor reshaped(Shape shape) const;
  /// The same storage as another type and shape of equal bytes; raises Error otherwise.
  Tensor aliased(DType type, Shape shape) const;

private:
  DType type = DType::None;
  Shape dims;
  void *pointer = nullptr;
  bool owned = false;
  std::shared_ptr<void> storage;
};

/// Type and shape for messages, as in "float[2,3]".
std::string describe(const Tensor &tensor);
/// Bytes that tensors use now, and bytes that the allocator keeps for reuse. The latter never make
/// the sum exceed the most that was ever in use at once by more than a quarter and 64 MiB.
struct MemoryUse {
  size_t live, retained;
};
MemoryUse memoryUse();
/// Gives what the allocator keeps for reuse back to the system.
void releaseRetainedMemory();

/// Raises Error unless the tensor has this type (message names `what`).
void expectType(const Tensor &tensor, DType type, const char *what);
/// A scalar or one-element tensor of any integer type as int64; a vector of them.
int64_t toInt(const Tensor &tensor, const char *what);
std::vector<int64_t> toInts(const Tensor &tensor, const char *what);
/// A scalar or one-element tensor of any float or integer type as double.
double toDouble(const Tensor &tensor, const char *what);
Tensor makeInts(const std::vector<int64_t> &values);

/// What flows along an edge: nothing (an absent optional), a tensor, or a sequence of tensors.
struct Value {
  enum class Kind : uint8_t { None, Tensor, Sequence } kind = Kind::None;
  rt::Tensor tensor;
  std::vector<rt::Tensor> sequence;

  Value() = default;
  Value(rt::Tensor t) : kind(Kind::Tensor), tensor(std::move(t)) {}
  explicit operator bool() const { return kind != Kind::None; }
};

} // namespace uoe::rt
