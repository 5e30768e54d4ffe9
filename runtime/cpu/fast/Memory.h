// Aligned memory for packed weights, and scratch that a thread keeps between calls.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

namespace uoe::rt::fast {

/// Zeroed bytes on a 64-byte boundary, on huge pages where the system gives them; moves, does not
/// copy.
class Buffer {
public:
  Buffer() = default;
  explicit Buffer(size_t bytes); // raises std::bad_alloc
  Buffer(Buffer &&other) noexcept { swap(other); }
  Buffer &operator=(Buffer &&other) noexcept {
    Buffer(std::move(other)).swap(*this);
    return *this;
  }
  ~Buffer();
  size_t size() const { return length; }
  template <typename T> T *as() { return static_cast<T *>(pointer); }
  template <typename T> const T *as() const { return static_cast<const T *>(pointer); }

private:
  void swap(Buffer &other) noexcept {
    std::swap(pointer, other.pointer);
    std::swap(length, other.length);
  }
  void *pointer = nullptr;
  size_t length = 0;
};

/// What a thread's scratch is used for; each use is a separate block, valid until the same thread
/// asks for it again.
enum class Scratch {
  RowPack,
  Tile,
  Panels,
  Hidden,
  Rows,
  Work,
  Scores,
  Keys,
  Values,
  State,
  Routing,
  Output,
  Projected,
  Gathered,
  Mixed,
  Stripe,
  Sums,
  Widened,
  UpRows,
  Count
};
/// At least `bytes` of uninitialised scratch of this thread on a 64-byte boundary.
void *scratchBytes(Scratch use, size_t bytes);
template <typename T> T *scratch(Scratch use, int64_t count) {
  return static_cast<T *>(scratchBytes(use, static_cast<size_t>(count) * sizeof(T)));
}

} // namespace uoe::rt::fast
