// Device memory for activations: freed blocks are used again, in this run and the next ones.
#pragma once
#include "runtime/core/Tensor.h"
#include "runtime/cuda/Device.h"
#include <functional>
#include <map>

namespace uoe::rt::cuda {

/// Free blocks by size. A block returns to the pool that it was taken from.
using BlockPool = std::multimap<size_t, Buffer>;

/// Blocks of a device. All work is on one stream, so that a block may be handed on as soon as the
/// host is done with it: what reads it comes before what writes it next. Lives longer than its
/// tensors.
class Arena {
public:
  explicit Arena(Device &device) : device(device) {}
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;

  /// A tensor whose storage is the device's: its address means nothing to the host. Without memory
  /// the blocks that are free are given back first; raises Error if that is not enough.
  Tensor allocate(DType type, const Shape &shape, const std::string &what);
  /// The same for a tensor that stays, say a weight: no larger than it must be, and never from a
  /// reserve.
  Tensor keep(DType type, const Shape &shape, const std::string &what);

  /// From now on activations come from a pool of their own, which takes free blocks of the others
  /// as it needs them. Nothing else uses them until it is released: a recorded run finds its
  /// blocks as they were.
  std::shared_ptr<BlockPool> reserve();
  /// Activations come from the common pool again.
  void endReserve() { current = common; }
  /// Gives the pool's blocks to the others.
  void release(const std::shared_ptr<BlockPool> &pool);

  /// Called before memory is given up for lost: may release reserves.
  std::function<void()> reclaim;

  size_t bytes() const { return held; } // of all blocks, in use and free
  void releaseFree();

private:
  std::shared_ptr<void> block(const std::shared_ptr<BlockPool> &pool, size_t size,
                              const std::string &what);

  Device &device;
  std::shared_ptr<BlockPool> common = std::make_shared<BlockPool>(), current = common;
  size_t held = 0;
};

/// The device's address of a tensor that lies there.
inline Pointer addressOf(const Tensor &tensor) {
  return reinterpret_cast<Pointer>(tensor.raw());
}

} // namespace uoe::rt::cuda
