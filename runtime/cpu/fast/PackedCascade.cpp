#include "Cascade.h"
#include "Gemm.h"
#include "runtime/core/Error.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>

namespace uoe::rt::fast {

namespace {

/// Element (row, column) of a [rows, columns] matrix that may be stored transposed.
struct View {
  const float *data;
  bool transposed;
  int64_t rows, columns;
  float at(int64_t r, int64_t c) const { return data[transposed ? c * rows + r : r * columns + c]; }
};

void put(Buffer &to, ElementType type, int64_t index, float value) {
  if (type == ElementType::F32)
    to.as<float>()[index] = value;
  else
    to.as<uint16_t>()[index] = toBits(type, value);
}

std::vector<float> copyOf(const float *from, int64_t n, int64_t padded) {
  std::vector<float> out(static_cast<size_t>(padded), 0.0f);
  if (from)
    std::copy(from, from + n, out.begin());
  return out;
}
std::vector<float> scaleOf(const float *from, int64_t n) {
  return from ? std::vector<float>(from, from + n) : std::vector<float>();
}

} // namespace

CascadeTypes PackedCascade::exactTypes(const CascadeSource &s) {
  return {exactType({{s.first, s.in * s.hidden}}), exactType({{s.up, s.in * s.hidden}}),
          exactType({{s.down, s.hidden * s.out}})};
}

PackedCascade::PackedCascade(const CascadeSource &s, Activation act, CascadeTypes types)
    : in(s.in), hidden(s.hidden), out(s.out), act(act), gated(s.up != nullptr), types(types),
      gateThreshold(s.gateThreshold), activeThreshold(s.activeThreshold),
      upThreshold(s.upThreshold), downThreshold(s.downThreshold) {
  check(in >= 0 && hidden >= 0 && out >= 0, "cascade: negative size");
  check(s.first && s.down, "cascade: a projection is missing");
  check(gateThreshold >= 0 && activeThreshold >= 0 && upThreshold >= 0 && downThreshold >= 0,
        "cascade: a threshold is negative or NaN");
  const int64_t width = chunk(), padded = chunks() * width;
  mean = copyOf(s.mean, in, inPadded());
  gateScale = scaleOf(s.gateScale, in);
  upScale = gated ? scaleOf(s.upScale, in) : std::vector<float>();
  activeScale = gated ? scaleOf(s.activeScale, hidden) : std::vector<float>();
  downScale = scaleOf(s.downScale, hidden);
  downBias = copyOf(s.downBias, out, outPadded());
  firstBias = copyOf(s.firstBias, hidden, padded);
  upBias = copyOf(s.upBias, hidden, padded);

  first = Buffer(static_cast<size_t>(padded * in * bytesOf(types.first)));
  down = Buffer(static_cast<size_t>(hidden * outPadded() * bytesOf(types.down)));
  if (gated)
    up = Buffer(static_cast<size_t>(hidden * inPadded() * bytesOf(types.up)));
  const View w1{s.first, s.firstTransposed, in, hidden}, wu{s.up, s.upTransposed, in, hidden},
      wd{s.down, s.downTransposed, hidden, out};
  ThreadPool::global().parallelFor(chunks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin * width; j < std::min(hidden, end * width); ++j) {
      const int64_t column = j / width * in * width + j % width;
      double firstMean = 0, upMean = 0;
      for (int64_t i = 0; i < in; ++i) {
        put(first, types.first, column + i * width, w1.at(i, j));
        firstMean += double(mean[size_t(i)]) * double(w1.at(i, j));
      }
      firstBias[size_t(j)] = static_cast<float>(double(firstBias[size_t(j)]) + firstMean);
      for (int64_t i = 0; i < out; ++i)
        put(down, types.down, j * outPadded() + i, wd.at(j, i));
      if (!gated)
        continue;
      for (int64_t i = 0; i < in; ++i) {
        put(up, types.up, j * inPadded() + i, wu.at(i, j));
        upMean += double(mean[size_t(i)]) * double(wu.at(i, j));
      }
      upBias[size_t(j)] = static_cast<float>(double(upBias[size_t(j)]) + upMean);
    }
  });
}

} // namespace uoe::rt::fast
