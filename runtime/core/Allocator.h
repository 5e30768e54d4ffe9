// The pooled allocator behind Tensor.
#pragma once
#include <cstddef>

namespace uoe::rt {

/// At least `bytes` bytes, 64-byte aligned, uninitialised; raises Error when there is no memory.
/// Thread-safe.
void *poolAllocate(size_t bytes);
/// `bytes` as given to poolAllocate.
void poolFree(void *data, size_t bytes);

} // namespace uoe::rt
