#include "Arena.h"
#include <algorithm>

namespace uoe::rt::cuda {

namespace {
/// Blocks come in sizes of four to a power of two, so that a sequence one token longer finds them.
size_t roundUp(size_t bytes) {
  size_t size = 256;
  while (size < bytes)
    size *= 2;
  const size_t step = std::max<size_t>(256, size / 8);
  return (bytes + step - 1) / step * step;
}
} // namespace

std::shared_ptr<void> Arena::block(const std::shared_ptr<BlockPool> &pool, size_t size,
                                   const std::string &what) {
  Buffer buffer;
  auto takeFrom = [&](BlockPool &blocks) {
    auto found = blocks.lower_bound(size);
    if (found == blocks.end() || found->first > 2 * size)
      return false;
    buffer = std::move(found->second);
    blocks.erase(found);
    return true;
  };
  if (!takeFrom(*pool) && (pool == common || !takeFrom(*common))) {
    try {
      buffer = Buffer(device, size, what);
    } catch (const Error &) {
      // Blocks of a run that is being recorded stay where its first steps have them.
      if (device.lost() || device.capturing())
        throw;
      if (reclaim)
        reclaim();
      if (common->empty())
        throw;
      releaseFree();
      buffer = Buffer(device, size, what);
    }
    held += size;
  }
  auto *kept = new Buffer(std::move(buffer));
  return {reinterpret_cast<void *>(kept->pointer()), [pool, kept](void *) {
            pool->emplace(kept->bytes(), std::move(*kept));
            delete kept;
          }};
}

Tensor Arena::allocate(DType type, const Shape &shape, const std::string &what) {
  const Tensor meta(type, shape, nullptr, nullptr); // checks type and shape
  std::shared_ptr<void> owner = block(current, roundUp(meta.bytes()), what);
  return Tensor(type, shape, owner.get(), owner);
}

Tensor Arena::keep(DType type, const Shape &shape, const std::string &what) {
  const Tensor meta(type, shape, nullptr, nullptr);
  std::shared_ptr<void> owner =
      block(common, (std::max<size_t>(1, meta.bytes()) + 255) / 256 * 256, what);
  return Tensor(type, shape, owner.get(), owner);
}

std::shared_ptr<BlockPool> Arena::reserve() {
  current = std::make_shared<BlockPool>();
  return current;
}

void Arena::release(const std::shared_ptr<BlockPool> &pool) {
  common->merge(*pool);
}

void Arena::releaseFree() {
  for (const auto &entry : *common)
    held -= entry.first;
  common->clear();
}

} // namespace uoe::rt::cuda
