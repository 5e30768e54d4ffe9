// How packed weights are stored.
#pragma once
#include <stdint.h>

namespace uoe::rt::fast {

/// All arithmetic is in float: a weight that a 16-bit type holds exactly takes half the bytes and
/// gives the same results.
enum class ElementType : uint8_t { F32, BF16, F16 };

inline int64_t bytesOf(ElementType type) {
  return type == ElementType::F32 ? 4 : 2;
}

/// `count` elements on from p.
inline const void *advance(const void *p, ElementType type, int64_t count) {
  return static_cast<const char *>(p) + count * bytesOf(type);
}

} // namespace uoe::rt::fast
