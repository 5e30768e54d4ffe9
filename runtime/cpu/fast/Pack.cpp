#include "Gemm.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cmath>
#include <cstring>

namespace uoe::rt::fast {

namespace {

uint16_t toBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (std::isnan(x))
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float fromBf16(uint16_t x) {
  uint32_t bits = uint32_t(x) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <typename From, typename To, typename Convert>
PackedMatrix packAs(const From *b, int64_t k, int64_t n, bool transposed, int64_t ldb,
                    PackedMatrix::Type type, Convert convert) {
  PackedMatrix out(k, n, type);
  if (out.empty())
    return out;
  int64_t stepK = transposed ? 1 : (ldb ? ldb : n), stepN = transposed ? (ldb ? ldb : k) : 1;
  ThreadPool::global().parallelFor(out.panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      To *to = static_cast<To *>(out.panel(p));
      int64_t width = std::min<int64_t>(16, n - p * 16);
      const From *from = b + p * 16 * stepN;
      for (int64_t i = 0; i < k; ++i, to += 16)
        for (int64_t j = 0; j < width; ++j)
          to[j] = convert(from[i * stepK + j * stepN]);
    }
  });
  return out;
}

} // namespace

PackedMatrix::PackedMatrix(int64_t k, int64_t n, Type type) : rows(k), columns(n), kind(type) {
  check(k >= 0 && n >= 0, "packed matrix: negative size [", k, ", ", n, "]");
  data = Buffer(static_cast<size_t>(panels() * 16 * k * elementBytes()));
}

float PackedMatrix::at(int64_t k, int64_t n) const {
  const void *from = panel(n / 16, k);
  return kind == Type::F32 ? static_cast<const float *>(from)[n % 16]
                           : fromBf16(static_cast<const uint16_t *>(from)[n % 16]);
}

PackedMatrix pack(const float *b, int64_t k, int64_t n, bool transposed, int64_t ldb,
                  PackedMatrix::Type type) {
  if (type == PackedMatrix::Type::BF16)
    return packAs<float, uint16_t>(b, k, n, transposed, ldb, type, toBf16);
  return packAs<float, float>(b, k, n, transposed, ldb, type, [](float x) { return x; });
}

PackedMatrix packBf16(const uint16_t *b, int64_t k, int64_t n, bool transposed, int64_t ldb) {
  return packAs<uint16_t, uint16_t>(b, k, n, transposed, ldb, PackedMatrix::Type::BF16,
                                    [](uint16_t x) { return x; });
}

} // namespace uoe::rt::fast
