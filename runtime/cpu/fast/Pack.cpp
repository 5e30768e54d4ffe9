#include "Gemm.h"
#include "runtime/core/DType.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

namespace uoe::rt::fast {

// The numbers of bits are those of the elements; DType.h says how they are converted.
uint16_t toBits(ElementType type, float value) {
  return type == ElementType::BF16 ? BFloat16(value).bits : Half(value).bits;
}

float fromBits(ElementType type, uint16_t bits) {
  return type == ElementType::BF16 ? detail::floatOf(uint32_t(bits) << 16)
                                   : detail::halfValue(bits);
}

float rounded(ElementType type, float value) {
  return type == ElementType::F32 ? value : fromBits(type, toBits(type, value));
}

namespace {

/// Which of the 16-bit types hold n elements.
struct Exact {
  bool bf16 = true, f16 = true;
  bool any() const { return bf16 || f16; }
};

bool isHeld(ElementType type, float x) {
  const float back = rounded(type, x);
  return std::memcmp(&back, &x, sizeof x) == 0;
}

Exact exactOf(const float *x, int64_t n) {
  Exact exact;
  for (int64_t i = 0; i < n && exact.any(); ++i) {
    if (!std::isfinite(x[i]))
      return {false, false};
    exact.bf16 = exact.bf16 && isHeld(ElementType::BF16, x[i]);
    exact.f16 = exact.f16 && isHeld(ElementType::F16, x[i]);
  }
  return exact;
}

} // namespace

ElementType exactType(std::initializer_list<Floats> ranges) {
  std::atomic<bool> bf16{true}, f16{true};
  auto look = [&](const float *x, int64_t n) {
    const Exact exact = exactOf(x, n);
    if (!exact.bf16)
      bf16 = false;
    if (!exact.f16)
      f16 = false;
  };
  // Most weights that do not fit say so at once.
  constexpr int64_t chunk = 4096;
  for (const Floats &range : ranges)
    look(range.begin, range.begin ? std::min(chunk, range.count) : 0);
  for (const Floats &range : ranges) {
    if (!range.begin)
      continue;
    ThreadPool::global().parallelFor(
        (range.count + chunk - 1) / chunk, 64, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end && (bf16 || f16); ++i)
            look(range.begin + i * chunk, std::min(chunk, range.count - i * chunk));
        });
  }
  return bf16 ? ElementType::BF16 : f16 ? ElementType::F16 : ElementType::F32;
}

namespace {

template <typename To, typename Convert>
PackedMatrix packAs(const float *b, int64_t k, int64_t n, bool transposed, int64_t ldb,
                    ElementType type, Convert convert) {
  PackedMatrix out(k, n, type);
  if (out.empty())
    return out;
  int64_t stepK = transposed ? 1 : (ldb ? ldb : n), stepN = transposed ? (ldb ? ldb : k) : 1;
  ThreadPool::global().parallelFor(out.panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      To *to = static_cast<To *>(out.panel(p));
      int64_t width = std::min<int64_t>(16, n - p * 16);
      const float *from = b + p * 16 * stepN;
      for (int64_t i = 0; i < k; ++i, to += 16)
        for (int64_t j = 0; j < width; ++j)
          to[j] = convert(from[i * stepK + j * stepN]);
    }
  });
  return out;
}

} // namespace

PackedMatrix::PackedMatrix(int64_t k, int64_t n, ElementType type)
    : rows(k), columns(n), kind(type) {
  check(k >= 0 && n >= 0, "packed matrix: negative size [", k, ", ", n, "]");
  data = Buffer(static_cast<size_t>(panels() * 16 * k * elementBytes()));
}

float PackedMatrix::at(int64_t k, int64_t n) const {
  const void *from = panel(n / 16, k);
  return kind == ElementType::F32 ? static_cast<const float *>(from)[n % 16]
                                  : fromBits(kind, static_cast<const uint16_t *>(from)[n % 16]);
}

PackedMatrix pack(const float *b, int64_t k, int64_t n, bool transposed, int64_t ldb,
                  ElementType type) {
  if (type == ElementType::F32)
    return packAs<float>(b, k, n, transposed, ldb, type, [](float x) { return x; });
  return packAs<uint16_t>(b, k, n, transposed, ldb, type,
                          [type](float x) { return toBits(type, x); });
}

PackedMatrix packExact(const float *b, int64_t k, int64_t n, bool transposed) {
  return pack(b, k, n, transposed, 0, exactType({{b, k * n}}));
}

} // namespace uoe::rt::fast
