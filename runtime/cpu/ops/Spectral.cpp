// Fourier transforms and what speech front ends need with them: windows, STFT, mel filters.
#include "Elementwise.h"
#include "Register.h"
#include <algorithm>
#include <cmath>
#include <complex>

namespace uoe::rt {
namespace {

using Complex = std::complex<double>;
constexpr double kPi = 3.14159265358979323846;

/// In place; the length must be a power of two. Unscaled.
void powerOfTwo(std::vector<Complex> &x, bool inverse) {
  size_t n = x.size();
  for (size_t i = 1, j = 0; i < n; ++i) {
    size_t bit = n >> 1;
    for (; j & bit; bit >>= 1)
      j ^= bit;
    j ^= bit;
    if (i < j)
      std::swap(x[i], x[j]);
  }
  for (size_t length = 2; length <= n; length *= 2) {
    double angle = (inverse ? 2 : -2) * kPi / static_cast<double>(length);
    std::vector<Complex> roots(length / 2);
    for (size_t k = 0; k < roots.size(); ++k)
      roots[k] = std::polar(1.0, angle * static_cast<double>(k));
    for (size_t i = 0; i < n; i += length)
      for (size_t k = 0; k < length / 2; ++k) {
        Complex a = x[i + k], b = x[i + k + length / 2] * roots[k];
        x[i + k] = a + b;
        x[i + k + length / 2] = a - b;
      }
  }
}

/// Any length: other lengths become a convolution of powers of two (Bluestein, 1970). Unscaled.
void transform(std::vector<Complex> &x, bool inverse) {
  size_t n = x.size();
  if (n < 2)
    return;
  if ((n & (n - 1)) == 0)
    return powerOfTwo(x, inverse);
  size_t m = 1;
  while (m < 2 * n)
    m *= 2;
  std::vector<Complex> chirp(n), a(m), b(m);
  for (size_t k = 0; k < n; ++k) {
    // k² modulo 2n keeps the angle small and so exact.
    double square = static_cast<double>(k * k % (2 * n));
    chirp[k] = std::polar(1.0, (inverse ? 1 : -1) * kPi * square / static_cast<double>(n));
  }
  for (size_t k = 0; k < n; ++k) {
    a[k] = x[k] * chirp[k];
    b[k] = std::conj(chirp[k]);
    if (k)
      b[m - k] = b[k];
  }
  powerOfTwo(a, false);
  powerOfTwo(b, false);
  for (size_t k = 0; k < m; ++k)
    a[k] *= b[k];
  powerOfTwo(a, true);
  for (size_t k = 0; k < n; ++k)
    x[k] = a[k] / static_cast<double>(m) * chirp[k];
}

/// The last axis holds real or complex numbers: [..., 1] or [..., 2].
int64_t partsOf(const Tensor &x) {
  check(x.rank() >= 2 && (x.dim(-1) == 1 || x.dim(-1) == 2),
        "expected [..., 1] or [..., 2] for real or complex numbers, found ", describe(x));
  return x.dim(-1);
}

void dft(KernelCall &call) {
  const Tensor &x = call.in(0);
  const Node &node = call.node;
  int64_t parts = partsOf(x);
  // Opset 17 has the axis as an attribute that counts from 1, later ones as the third input.
  int64_t axis = node.version < 20 ? node.integer("axis", 1)
                 : call.has(2)     ? toInt(call.in(2), "the axis")
                                   : -2;
  axis = axisIn(axis, x.rank());
  check(axis < x.rank() - 1, "the axis must not be the last one, which holds the parts");
  bool inverse = node.integer("inverse", 0) != 0, oneSided = node.integer("onesided", 0) != 0;
  int64_t given = x.dim(axis);
  int64_t length = call.has(1)           ? toInt(call.in(1), "dft_length")
                   : inverse && oneSided ? 2 * (given - 1)
                                         : given;
  check(length > 0 && length < int64_t(1) << 32, "dft_length must be positive, found ", length);
  bool realResult = inverse && oneSided;
  check(!oneSided || inverse || parts == 1, "a one-sided transform needs real input");
  int64_t kept = oneSided && !inverse ? length / 2 + 1 : length;
  Shape dims = x.shape();
  dims[axis] = kept;
  dims.back() = realResult ? 1 : 2;
  Tensor wide = castTo(x, DType::F64), result(DType::F64, dims);
  auto at = static_cast<size_t>(axis);
  int64_t outer = productOf(x.shape(), 0, at);
  int64_t inner = productOf(x.shape(), at + 1, x.shape().size() - 1);
  const double *from = wide.data<double>();
  double *to = result.data<double>();
  parallel(outer * inner, std::max<int64_t>(1, 2048 / length), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      int64_t o = line / inner, i = line % inner;
      std::vector<Complex> values(static_cast<size_t>(length));
      for (int64_t k = 0; k < std::min(length, given); ++k) {
        const double *value = from + ((o * given + k) * inner + i) * parts;
        values[k] = Complex(value[0], parts == 2 ? value[1] : 0);
      }
      if (realResult) // the other half is the mirror image
        for (int64_t k = length / 2 + 1; k < length; ++k)
          values[k] = std::conj(values[length - k]);
      transform(values, inverse);
      double scale = inverse ? 1 / static_cast<double>(length) : 1;
      for (int64_t k = 0; k < kept; ++k) {
        double *target = to + ((o * kept + k) * inner + i) * dims.back();
        target[0] = values[k].real() * scale;
        if (!realResult)
          target[1] = values[k].imag() * scale;
      }
    }
  });
  call.set(0, castTo(result, x.dtype()));
}

void stft(KernelCall &call) {
  const Tensor &signal = call.in(0);
  check(signal.rank() == 3, "expected a signal [batch, length, 1 or 2], found ", describe(signal));
  int64_t parts = partsOf(signal), batch = signal.dim(0), length = signal.dim(1);
  int64_t step = toInt(call.in(1), "frame_step");
  check(call.has(2) || call.has(3), "a window or a frame length is required");
  int64_t frame = call.has(3) ? toInt(call.in(3), "frame_length") : call.in(2).size();
  check(step > 0 && frame > 0 && frame <= length, "frames of ", frame, " every ", step,
        " do not fit a signal of ", length);
  bool oneSided = call.node.integer("onesided", 1) != 0;
  check(!oneSided || parts == 1, "a one-sided transform needs a real signal");
  std::vector<double> window(static_cast<size_t>(frame), 1.0);
  if (call.has(2)) {
    Tensor given = castTo(call.in(2), DType::F64);
    check(given.rank() == 1 && given.size() <= frame, "the window ", describe(call.in(2)),
          " does not fit frames of ", frame);
    // A shorter window stands in the middle of the frame.
    int64_t before = (frame - given.size()) / 2;
    std::fill(window.begin(), window.end(), 0.0);
    std::copy_n(given.data<double>(), given.size(), window.begin() + before);
  }
  int64_t frames = (length - frame) / step + 1, bins = oneSided ? frame / 2 + 1 : frame;
  Tensor wide = castTo(signal, DType::F64), result(DType::F64, {batch, frames, bins, 2});
  const double *from = wide.data<double>();
  double *to = result.data<double>();
  parallel(batch * frames, std::max<int64_t>(1, 2048 / frame), [&](int64_t begin, int64_t end) {
    for (int64_t f = begin; f < end; ++f) {
      std::vector<Complex> values(static_cast<size_t>(frame));
      for (int64_t k = 0; k < frame; ++k) {
        const double *value = from + (f / frames * length + f % frames * step + k) * parts;
        values[k] = window[k] * Complex(value[0], parts == 2 ? value[1] : 0);
      }
      transform(values, false);
      for (int64_t k = 0; k < bins; ++k) {
        to[(f * bins + k) * 2] = values[k].real();
        to[(f * bins + k) * 2 + 1] = values[k].imag();
      }
    }
  });
  call.set(0, castTo(result, signal.dtype()));
}

DType outputType(const Node &node) {
  int64_t type = node.integer("output_datatype", 1);
  check(type > 0 && type <= static_cast<int64_t>(DType::BF16), "attribute 'output_datatype': type ",
        type, " is not supported");
  return static_cast<DType>(type);
}

/// Σ (-1)^k c_k cos(2πkn/N), N being one less if the window is not periodic.
void cosineWindow(KernelCall &call, std::vector<double> coefficients) {
  int64_t size = toInt(call.in(0), "the size");
  DType type = outputType(call.node);
  check(size >= 0 && size <= 1 << 26, "the size must be in [0, 2^26], found ", size);
  int64_t period = call.node.integer("periodic", 1) ? size : size - 1;
  Tensor result(DType::F64, {size});
  for (int64_t n = 0; n < size; ++n) {
    double sum = 0, sign = 1;
    for (size_t k = 0; k < coefficients.size(); ++k, sign = -sign)
      sum += sign * coefficients[k] *
             std::cos(2 * kPi * static_cast<double>(k) * static_cast<double>(n) /
                      static_cast<double>(std::max<int64_t>(period, 1)));
    result.data<double>()[n] = sum;
  }
  call.set(0, castTo(result, type));
}

/// Triangular filters whose corners lie evenly on the mel scale, 2595·log10(1 + f/700).
void melWeights(KernelCall &call) {
  int64_t bins = toInt(call.in(0), "num_mel_bins"), length = toInt(call.in(1), "dft_length");
  double rate = toDouble(call.in(2), "sample_rate");
  double low = toDouble(call.in(3), "lower_edge_hertz"),
         high = toDouble(call.in(4), "upper_edge_hertz");
  check(bins > 0 && bins < 1 << 20 && length > 0 && length < int64_t(1) << 32 && rate > 0 &&
            low >= 0 && high > low,
        "expected positive sizes and edges in order, found ", bins, " bins of ", length, ", rate ",
        rate, ", edges ", low, " and ", high);
  int64_t spectrum = length / 2 + 1;
  auto mel = [](double f) { return 2595 * std::log10(1 + f / 700); };
  double first = mel(low), step = (mel(high) - first) / static_cast<double>(bins + 2);
  std::vector<int64_t> corners;
  for (int64_t i = 0; i < bins + 2; ++i) {
    double hertz = 700 * (std::pow(10, (first + static_cast<double>(i) * step) / 2595) - 1);
    corners.push_back(
        static_cast<int64_t>(std::floor(static_cast<double>(length + 1) * hertz / rate)));
    check(corners.back() <= spectrum, "the edges exceed half the sample rate");
  }
  Tensor result(DType::F64, {spectrum, bins});
  std::fill_n(result.data<double>(), result.size(), 0.0);
  for (int64_t i = 0; i < bins; ++i) {
    int64_t from = corners[i], middle = corners[i + 1], to = corners[i + 2];
    auto at = [&](int64_t j) -> double & { return result.data<double>()[j * bins + i]; };
    if (middle == from && middle < spectrum)
      at(middle) = 1;
    for (int64_t j = from; j < middle + (middle > from) && j < spectrum && middle > from; ++j)
      at(j) = static_cast<double>(j - from) / static_cast<double>(middle - from);
    for (int64_t j = middle; j < to && j < spectrum; ++j)
      at(j) = static_cast<double>(to - j) / static_cast<double>(to - middle);
  }
  call.set(0, castTo(result, outputType(call.node)));
}

} // namespace

void registerSpectral(KernelTable &table) {
  table.add("", "DFT", dft);
  table.add("", "STFT", stft);
  table.add("", "HannWindow", [](KernelCall &c) { cosineWindow(c, {0.5, 0.5}); });
  table.add("", "HammingWindow", [](KernelCall &c) { cosineWindow(c, {25.0 / 46, 21.0 / 46}); });
  table.add("", "BlackmanWindow", [](KernelCall &c) { cosineWindow(c, {0.42, 0.5, 0.08}); });
  table.add("", "MelWeightMatrix", melWeights);
}

} // namespace uoe::rt
