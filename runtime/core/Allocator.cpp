// Buffers come in size classes, four to a power of two, and freed ones are kept in a list per
// class: a model's second run then takes no page faults. What is kept is bounded by the most that
// was ever in use.
#include "Allocator.h"
#include "Tensor.h"
#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace uoe::rt {
namespace {

constexpr size_t kMapped = size_t(1) << 20; // from here on straight from the system
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kFreeSlack = size_t(64) << 20;
constexpr int kClasses = 4 * 48;

/// Class c holds (4 + c % 4) << (c / 4) units of 64 bytes, from 256 bytes on; the first classes
/// hold 64, 128, 192.
size_t classBytes(int c) {
  if (c < 3)
    return size_t(64) * (c + 1);
  c -= 3;
  return (size_t(4 + c % 4) << (c / 4)) * 64;
}

int classOf(size_t bytes) {
  size_t units = bytes == 0 ? 1 : (bytes + 63) / 64;
  if (units < 4)
    return static_cast<int>(units) - 1;
  // The leading bit and the two below it, rounded up.
  int shift = 63 - __builtin_clzll(units) - 2;
  size_t lead = units >> shift;
  int c = shift * 4 + static_cast<int>(lead) - 4 + 3;
  return (lead << shift) < units ? c + 1 : c;
}

void *systemAllocate(size_t bytes) {
  if (bytes < kMapped)
    return std::aligned_alloc(64, bytes);
  void *data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return nullptr;
  if (bytes >= 2 * kHugePage)
    madvise(data, bytes, MADV_HUGEPAGE);
  return data;
}

void systemFree(void *data, size_t bytes) {
  if (bytes < kMapped)
    std::free(data);
  else
    munmap(data, bytes);
}

size_t physicalMemory() {
  static const size_t bytes =
      static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

class Pool {
public:
  void *allocate(size_t bytes) {
    // The system promises more than it has and kills whoever takes it at its word.
    check(bytes <= physicalMemory(), "cannot allocate ", bytes, " bytes: the machine has ",
          physicalMemory());
    int c = classOf(bytes);
    size_t size = classBytes(c);
    {
      std::lock_guard<std::mutex> lock(mutex);
      live += size;
      peak = std::max(peak, live);
      if (Block *block = lists[c]) {
        lists[c] = block->next;
        retained -= size;
        return block;
      }
      trim();
    }
    void *data = systemAllocate(size);
    if (!data) {
      std::lock_guard<std::mutex> lock(mutex);
      trim(0);
      data = systemAllocate(size);
      if (!data) {
        live -= size;
        fail("out of memory: cannot allocate ", bytes, " bytes");
      }
    }
    return data;
  }

  void release(void *data, size_t bytes) {
    int c = classOf(bytes);
    size_t size = classBytes(c);
    std::lock_guard<std::mutex> lock(mutex);
    live -= size;
    auto *block = static_cast<Block *>(data);
    block->next = lists[c];
    lists[c] = block;
    retained += size;
    highest = std::max(highest, c);
    trim();
  }

  MemoryUse use() {
    std::lock_guard<std::mutex> lock(mutex);
    return {live, retained};
  }
  void releaseAll() {
    std::lock_guard<std::mutex> lock(mutex);
    trim(0);
    peak = live;
  }

private:
  struct Block {
    Block *next;
  };

  void trim() {
    size_t limit = peak + peak / 4 + kFreeSlack;
    if (live + retained > limit)
      trim(limit > live ? limit - live : 0);
  }
  /// Frees kept blocks, largest first, until at most `keep` bytes are kept.
  void trim(size_t keep) {
    for (int c = highest; c >= 0 && retained > keep; --c) {
      while (lists[c] && retained > keep) {
        Block *block = lists[c];
        lists[c] = block->next;
        retained -= classBytes(c);
        systemFree(block, classBytes(c));
      }
    }
  }

  std::mutex mutex;
  Block *lists[kClasses] = {};
  int highest = 0;
  size_t live = 0, retained = 0, peak = 0;
};

/// Never destroyed: tensors in static storage may outlive it otherwise.
Pool &pool() {
  static Pool *instance = new Pool;
  return *instance;
}

} // namespace

void *poolAllocate(size_t bytes) {
  return pool().allocate(bytes);
}
void poolFree(void *data, size_t bytes) {
  pool().release(data, bytes);
}
MemoryUse memoryUse() {
  return pool().use();
}
void releaseRetainedMemory() {
  pool().releaseAll();
}

} // namespace uoe::rt
