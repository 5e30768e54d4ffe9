// com.microsoft.MatMulNBits: a matrix product with weights of 2, 4 or 8 bits in blocks along K,
// each with its scale.
#include "Numeric.h"
#include "Register.h"
#include "Vector.h"
#include "runtime/cpu/fast/Quantized.h"
#include <cmath>

namespace uoe::rt {
namespace {

struct Weights {
  int64_t n, k, blockSize, blocks, bits, blobBytes;
  const uint8_t *data;
  const float *scales;                 // n × blocks
  const float *zeroFloats = nullptr;   // n × blocks, or
  const uint8_t *zeroPacked = nullptr; // n rows of ceil(blocks·bits / 8) bytes
  const int32_t *groups = nullptr;     // per element of K its block, where they are not in order
};

float zeroOf(const Weights &w, int64_t row, int64_t block) {
  if (w.zeroFloats)
    return w.zeroFloats[row * w.blocks + block];
  if (!w.zeroPacked)
    return static_cast<float>(1 << (w.bits - 1));
  int64_t stride = (w.blocks * w.bits + 7) / 8, bit = block * w.bits;
  return static_cast<float>((w.zeroPacked[row * stride + bit / 8] >> (bit % 8)) &
                            ((1 << w.bits) - 1));
}

/// Row `row` of the weights (K values) as float.
void dequantise(const Weights &w, int64_t row, float *out) {
  int64_t perByte = 8 / w.bits;
  int mask = (1 << w.bits) - 1;
  for (int64_t block = 0; block < w.blocks; ++block) {
    const uint8_t *bytes = w.data + (row * w.blocks + block) * w.blobBytes;
    int64_t first = block * w.blockSize, count = std::min(w.blockSize, w.k - first);
    float scale = w.scales[row * w.blocks + block], zero = zeroOf(w, row, block);
    if (w.groups) {
      for (int64_t i = 0; i < count; ++i) {
        int64_t group = w.groups[first + i];
        int q = (bytes[i / perByte] >> (i % perByte * w.bits)) & mask;
        out[first + i] =
            (static_cast<float>(q) - zeroOf(w, row, group)) * w.scales[row * w.blocks + group];
      }
      continue;
    }
    float *to = out + first;
    if (w.bits == 4) {
      int64_t i = 0;
      for (; i + 2 <= count; i += 2) {
        to[i] = (static_cast<float>(bytes[i / 2] & 15) - zero) * scale;
        to[i + 1] = (static_cast<float>(bytes[i / 2] >> 4) - zero) * scale;
      }
      if (i < count)
        to[i] = (static_cast<float>(bytes[i / 2] & 15) - zero) * scale;
    } else if (w.bits == 8) {
      for (int64_t i = 0; i < count; ++i)
        to[i] = (static_cast<float>(bytes[i]) - zero) * scale;
    } else {
      for (int64_t i = 0; i < count; ++i)
        to[i] = (static_cast<float>((bytes[i / perByte] >> (i % perByte * w.bits)) & mask) - zero) *
                scale;
    }
  }
}

/// Rounds each block of each row to 8 bits with its own scale, as accuracy_level 4 asks for (ONNX
/// Runtime multiplies the integers; the float products of the rounded values are the same numbers).
void roundBlocks(const Weights &w, Tensor &x) {
  float *data = x.data<float>();
  int64_t rows = x.size() / w.k;
  ThreadPool::global().parallelFor(
      rows, std::max<int64_t>(1, 8192 / w.k), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          for (int64_t first = 0; first < w.k; first += w.blockSize) {
            float *block = data + r * w.k + first;
            int64_t count = std::min(w.blockSize, w.k - first);
            float largest = 0;
            for (int64_t i = 0; i < count; ++i)
              largest = std::max(largest, std::fabs(block[i]));
            float scale = largest / 127.0f, inverse = scale != 0 ? 1.0f / scale : 0.0f;
            for (int64_t i = 0; i < count; ++i) // 1.5·2^23 rounds to nearest even
              block[i] = ((block[i] * inverse + 12582912.0f) - 12582912.0f) * scale;
          }
      });
}

/// The weights in the layout of the fast kernel, made at the first run if they never change.
struct PackedCodes {
  std::shared_ptr<const fast::QuantizedMatrix> packed;
  const void *source = nullptr;
};

const fast::QuantizedMatrix *packedWeights(KernelCall &call, const Weights &w) {
  const auto &constants = call.node.constants;
  if (w.bits == 2 || w.groups)
    return nullptr;
  for (size_t i = 1; i <= 3; ++i)
    if (call.has(i) && (i >= constants.size() || !constants[i]))
      return nullptr;
  auto *state = std::any_cast<PackedCodes>(&call.state);
  if (!state || state->source != w.data) {
    fast::QuantizedSource source;
    source.k = w.k;
    source.n = w.n;
    source.block = w.blockSize;
    source.bits = static_cast<int>(w.bits);
    source.codes = w.data;
    source.scales = w.scales;
    source.zeros = w.zeroPacked;
    source.floatZeros = w.zeroFloats;
    PackedCodes fresh;
    fresh.packed = std::make_shared<fast::QuantizedMatrix>(source);
    fresh.source = w.data;
    call.state = fresh;
    state = std::any_cast<PackedCodes>(&call.state);
  }
  return state->packed.get();
}

void runMatMulNBits(KernelCall &call) {
  const Node &node = call.node;
  Tensor a = inputAs<float>(call, 0);
  const Tensor &b = call.in(1);
  Weights w;
  w.n = node.integer("N", 0);
  w.k = node.integer("K", 0);
  w.bits = node.integer("bits", 4);
  w.blockSize = node.integer("block_size", 0);
  check(w.n > 0 && w.k > 0, "MatMulNBits: N and K must be positive, found ", w.n, " and ", w.k);
  check(w.bits == 2 || w.bits == 4 || w.bits == 8, "MatMulNBits: bits must be 2, 4 or 8, found ",
        w.bits);
  check(w.blockSize >= 16 && (w.blockSize & (w.blockSize - 1)) == 0,
        "MatMulNBits: block_size must be a power of two and at least 16, found ", w.blockSize);
  w.blocks = (w.k + w.blockSize - 1) / w.blockSize;
  w.blobBytes = w.blockSize * w.bits / 8;
  expectType(b, DType::U8, "MatMulNBits: input B");
  check(b.size() == w.n * w.blocks * w.blobBytes, "MatMulNBits: B must have shape [", w.n, ", ",
        w.blocks, ", ", w.blobBytes, "], found ", toString(b.shape()));
  check(a.rank() >= 1 && a.dim(-1) == w.k, "MatMulNBits: A's last dimension must be K = ", w.k,
        ", found shape ", toString(a.shape()));
  Tensor scales = inputAs<float>(call, 2), zeros, bias;
  check(scales.size() == w.n * w.blocks, "MatMulNBits: there must be ", w.n * w.blocks,
        " scales, found shape ", toString(scales.shape()));
  w.data = b.data<uint8_t>();
  w.scales = scales.data<float>();
  if (const Tensor *zero = call.maybe(3)) {
    if (zero->dtype() == DType::U8) {
      int64_t expected = w.n * ((w.blocks * w.bits + 7) / 8);
      check(zero->size() == expected, "MatMulNBits: packed zero points must have ", expected,
            " bytes, found shape ", toString(zero->shape()));
      w.zeroPacked = zero->data<uint8_t>();
    } else {
      zeros = inputAs<float>(call, 3);
      check(zeros.size() == w.n * w.blocks, "MatMulNBits: there must be ", w.n * w.blocks,
            " zero points, found shape ", toString(zeros.shape()));
      w.zeroFloats = zeros.data<float>();
    }
  }
  if (const Tensor *groups = call.maybe(4)) {
    expectType(*groups, DType::I32, "MatMulNBits: g_idx");
    check(groups->size() == w.k || groups->size() == w.blocks * w.blockSize,
          "MatMulNBits: g_idx must have ", w.k, " elements, found shape ",
          toString(groups->shape()));
    w.groups = groups->data<int32_t>();
    for (int64_t i = 0; i < w.k; ++i)
      check(w.groups[i] >= 0 && w.groups[i] < w.blocks, "MatMulNBits: g_idx must be in [0, ",
            w.blocks, "), found ", w.groups[i]);
  }
  if (call.has(5)) {
    bias = inputAs<float>(call, 5);
    check(bias.size() == w.n, "MatMulNBits: the bias must have ", w.n, " elements, found shape ",
          toString(bias.shape()));
  }
  int64_t rows = a.size() / w.k;
  if (node.integer("accuracy_level", 0) == 4 && w.bits == 4 && !w.groups && !w.zeroFloats &&
      w.blockSize <= 256 && call.in(0).dtype() == DType::F32) {
    Tensor rounded(DType::F32, a.shape());
    std::copy_n(a.data<float>(), a.size(), rounded.data<float>());
    roundBlocks(w, rounded);
    a = rounded;
  }
  Shape shape = a.shape();
  shape.back() = w.n;
  Tensor result(DType::F32, shape);
  float *out = result.data<float>();
  const float *x = a.data<float>();
  const float *c = call.has(5) ? bias.data<float>() : nullptr;
  if (const fast::QuantizedMatrix *packed = packedWeights(call, w)) {
    fast::Epilogue epilogue;
    epilogue.bias = c;
    if (rows > 0)
      fast::gemm(x, w.k, rows, *packed, out, w.n, epilogue);
    return setReal(call, 0, result, call.in(0).dtype());
  }
  // Chunks of columns: each is dequantised once into the thread's cache and used for every row.
  const int64_t chunk = 16;
  int64_t chunks = (w.n + chunk - 1) / chunk;
  if (rows > 0)
    ThreadPool::global().parallelFor(
        chunks, std::max<int64_t>(1, 32768 / (chunk * w.k)), [&](int64_t begin, int64_t end) {
          std::vector<float> scratch(chunk * w.k);
          for (int64_t task = begin; task < end; ++task) {
            int64_t first = task * chunk, width = std::min(chunk, w.n - first);
            for (int64_t j = 0; j < width; ++j)
              dequantise(w, first + j, scratch.data() + j * w.k);
            fast::gemmUnpacked(rows, width, w.k, x, w.k, false, scratch.data(), w.k, true,
                               out + first, w.n);
            for (int64_t r = 0; c && r < rows; ++r)
              for (int64_t j = 0; j < width; ++j)
                out[r * w.n + first + j] += c[first + j];
          }
        });
  setReal(call, 0, result, call.in(0).dtype());
}

} // namespace

void registerMatMulNBits(KernelTable &table) {
  table.add("com.microsoft", "MatMulNBits", runMatMulNBits);
}

} // namespace uoe::rt
