#include "Memory.h"
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace uoe::rt::fast {

Buffer::Buffer(size_t bytes) : length(bytes) {
  if (bytes == 0)
    return;
  constexpr size_t huge = size_t(2) << 20;
  size_t alignment = bytes >= huge ? huge : 64;
  if (posix_memalign(&pointer, alignment, bytes) != 0)
    throw std::bad_alloc();
#ifdef __linux__
  // A hint: streaming weights misses fewer page translations. What does not fill a huge page lies
  // on small ones: with weights of some megabytes each, rounding up would cost a sixth of the
  // memory.
  if (alignment == huge)
    madvise(pointer, bytes / huge * huge, MADV_HUGEPAGE);
#endif
  std::memset(pointer, 0, bytes);
}

Buffer::~Buffer() {
  std::free(pointer);
}

namespace {
struct Free {
  void operator()(void *p) const { std::free(p); }
};
struct Block {
  std::unique_ptr<void, Free> pointer;
  size_t bytes = 0;
};
} // namespace

void *scratchBytes(Scratch use, size_t bytes) {
  static thread_local Block blocks[static_cast<int>(Scratch::Count)];
  Block &block = blocks[static_cast<int>(use)];
  if (block.bytes < bytes || !block.pointer) {
    size_t rounded = (bytes + bytes / 4 + 4096) / 64 * 64;
    block.pointer.reset();
    block.bytes = 0;
    block.pointer.reset(std::aligned_alloc(64, rounded));
    if (!block.pointer)
      throw std::bad_alloc();
    block.bytes = rounded;
  }
  return block.pointer.get();
}

} // namespace uoe::rt::fast
