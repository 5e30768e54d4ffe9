// uoe.Cascade on a device.
#include "runtime/cuda/ops/Cascade.h"
#include "Call.h"
#include "Weights.h"

namespace uoe::rt::cuda {
namespace {

// Inputs after x.
constexpr size_t kMean = 1, kFirst = 2, kFirstOffset = 3, kGateScale = 4, kUp = 5, kUpOffset = 6,
                 kUpScale = 7, kActiveScale = 8, kDown = 9, kDownScale = 10, kInputs = 11;

/// Tiles of rows that share scratch: more rows go through it in turns.
constexpr int kMostTiles = 64;

/// In the form of CascadeCall, on the device.
struct CascadeWeights {
  Tensor of[kInputs];
};

const float *floats(const Tensor &tensor) {
  return tensor.dtype() == DType::None ? nullptr : tensor.data<float>();
}

bool cascade(Call &call) {
  const Node &node = call.node;
  if (call.count() != kInputs || call.type(0) != DType::F32 || call.shape(0).empty())
    return false;
  for (size_t i = kMean; i < kInputs; ++i)
    if (call.has(i) && (!call.constant(i) || call.type(i) != DType::F32))
      return false;
  const int64_t bits = node.integer("transposed", 0);
  auto transposed = [&](size_t i) { return ((bits >> i) & 1) != 0; };
  for (size_t i : {kFirst, kUp, kDown})
    if (i != kUp || call.has(i))
      if (!call.has(i) || call.shape(i).size() != 2)
        return false;
  auto dim = [&](size_t i, int axis) {
    return call.shape(i)[size_t(transposed(i) ? 1 - axis : axis)];
  };
  const int64_t in = dim(kFirst, 0), hidden = dim(kFirst, 1), out = dim(kDown, 1);
  const int64_t most = int64_t(1) << 28;
  auto isVector = [&](size_t i, int64_t n, bool optional) {
    return call.has(i) ? elementCount(call.shape(i)) == n : optional;
  };
  if (call.shape(0).back() != in || dim(kDown, 0) != hidden || in > most || hidden > most ||
      out > most || (call.has(kUp) && (dim(kUp, 0) != in || dim(kUp, 1) != hidden)) ||
      !isVector(kMean, in, true) || !isVector(kFirstOffset, hidden, true) ||
      !isVector(kGateScale, in, true) || !isVector(kUpOffset, hidden, true) ||
      !isVector(kUpScale, in, true) || !isVector(kActiveScale, hidden, true) ||
      !isVector(kDownScale, hidden, true))
    return false;
  if (!call.state.has_value()) {
    CascadeWeights weights;
    for (size_t i = kMean; i < kInputs; ++i) {
      if (!call.has(i))
        continue;
      const Tensor &from = *call.constant(i);
      if (i != kFirst && i != kUp && i != kDown) {
        weights.of[i] = call.in(i);
        continue;
      }
      // Rows of what a survivor of the stage before selects, except for the way up, whose rows are
      // the neurons that survived the gate.
      const bool byNeuron = i == kUp;
      Tensor rows(DType::F32, byNeuron      ? Shape{hidden, in}
                              : i == kFirst ? Shape{in, hidden}
                                            : Shape{hidden, out});
      placeRows(from, transposed(i) == byNeuron, rows, 0, 1);
      weights.of[i] = call.upload(rows);
    }
    call.state = weights;
  }
  const auto &weights = std::any_cast<const CascadeWeights &>(call.state);
  CascadeCall work;
  work.in = static_cast<int32_t>(in);
  work.hidden = static_cast<int32_t>(hidden);
  work.out = static_cast<int32_t>(out);
  work.act = deviceActivation(node);
  work.gated = call.has(kUp);
  work.mean = floats(weights.of[kMean]);
  work.first = floats(weights.of[kFirst]);
  work.firstBias = floats(weights.of[kFirstOffset]);
  work.up = floats(weights.of[kUp]);
  work.upBias = floats(weights.of[kUpOffset]);
  work.down = floats(weights.of[kDown]);
  work.gateScale = floats(weights.of[kGateScale]);
  work.upScale = floats(weights.of[kUpScale]);
  work.activeScale = floats(weights.of[kActiveScale]);
  work.downScale = floats(weights.of[kDownScale]);
  work.gateThreshold = node.real("gate_threshold", 0);
  work.activeThreshold = node.real("active_threshold", 0);
  work.upThreshold = node.real("up_threshold", 0);
  work.downThreshold = node.real("down_threshold", 0);
  const Tensor x = call.in(0);
  Shape dims = call.shape(0);
  dims.back() = out;
  Tensor y = call.out(0, DType::F32, dims);
  const int64_t rows = in > 0 ? x.size() / in : elementCount(Shape(dims.begin(), dims.end() - 1));
  const int64_t tiles = std::min<int64_t>(kMostTiles, ceilDiv<int64_t>(rows, kCascadeRows));
  if (rows == 0 || out == 0)
    return true;

  std::vector<Tensor> held;
  auto take = [&](DType type, int64_t count) {
    held.push_back(call.arena.allocate(type, {std::max<int64_t>(1, tiles * count)}, "a cascade"));
    return held.back().raw();
  };
  auto survivors = [&](int64_t n) {
    Survivors s;
    s.n = static_cast<int32_t>(n);
    s.slot = static_cast<int32_t *>(take(DType::I32, n + 1));
    s.count = static_cast<int32_t *>(take(DType::I32, 1));
    s.list = static_cast<int32_t *>(take(DType::I32, n));
    s.values = static_cast<float *>(take(DType::F32, n * kCascadeRows));
    return s;
  };
  work.gate = survivors(in);
  if (work.gated) {
    work.wide = survivors(in);
    work.active = survivors(hidden);
    work.h = static_cast<float *>(take(DType::F32, hidden * kCascadeRows));
  }
  work.kept = survivors(hidden);
  work.g = static_cast<float *>(take(DType::F32, hidden * kCascadeRows));
  for (int64_t row = 0; row < rows; row += tiles * kCascadeRows) {
    work.rows = static_cast<int32_t>(std::min(rows - row, tiles * kCascadeRows));
    work.x = x.data<float>() + row * in;
    work.y = y.data<float>() + row * out;
    auto launch = [&](const char *name, int64_t blocks, unsigned threads, size_t shared) {
      if (blocks > 0)
        call.launch(name, {static_cast<unsigned>(work.tiles() * blocks)}, threads, work,
                    static_cast<unsigned>(shared));
    };
    launch("cascade_channels", work.gated ? 2 : 1, kListThreads, sizeof(ScanShared));
    launch("cascade_gate", ceilDiv<int64_t>(hidden, kCascadeColumns), kCascadeThreads,
           sizeof(CascadeShared));
    launch("cascade_active", 1, kListThreads, sizeof(ScanShared));
    if (work.gated) {
      launch("cascade_up", kCascadeUpBlocks, 256, 0);
      launch("cascade_kept", 1, kListThreads, sizeof(ScanShared));
    }
    launch("cascade_down", ceilDiv<int64_t>(out, kCascadeColumns), kCascadeThreads,
           sizeof(CascadeShared));
  }
  return true;
}

} // namespace

void addCascade(DeviceKernels &table) {
  table[{"uoe", "Cascade"}] = cascade;
}

} // namespace uoe::rt::cuda
