// uoe.Elementwise: the loops around a generated kernel. Dimensions are collapsed at run time, so
// that one kernel serves all ranks, shapes and broadcasts.
#include "Broadcast.h"
#include "Register.h"
#include <cstring>

namespace uoe::rt {
namespace {

/// Operands and results of a kernel at most.
constexpr size_t kMostPorts = 32;
/// Runs of the innermost dimension that are shorter are gathered into blocks: a call has a price.
constexpr int64_t kShortRun = 64;
constexpr int64_t kBlock = 256;

using Loops = BroadcastPlan<kMostPorts>;

/// A place in the loops, with each operand's offset there.
struct Cursor {
  const Loops &loops;
  size_t operands;
  std::array<int64_t, kMostLoops> index;
  std::array<int64_t, kMostPorts> offsets;

  Cursor(const Loops &loops, size_t operands, int64_t begin) : loops(loops), operands(operands) {
    offsets.fill(0);
    for (int d = loops.rank - 1; d >= 0; --d) {
      index[d] = begin % loops.dims[d];
      begin /= loops.dims[d];
      for (size_t k = 0; k < operands; ++k)
        offsets[k] += index[d] * loops.strides[k][d];
    }
  }
  /// Elements to the end of the innermost loop.
  int64_t left() const { return loops.dims[loops.rank - 1] - index[loops.rank - 1]; }
  /// By at most left() elements.
  void advance(int64_t n) {
    int d = loops.rank - 1;
    index[d] += n;
    for (size_t k = 0; k < operands; ++k)
      offsets[k] += n * loops.strides[k][d];
    for (; d > 0 && index[d] == loops.dims[d]; --d) {
      index[d] = 0;
      ++index[d - 1];
      for (size_t k = 0; k < operands; ++k)
        offsets[k] += loops.strides[k][d - 1] - loops.dims[d] * loops.strides[k][d];
    }
  }
};

/// One execution: what all threads share.
struct Run {
  const GeneratedKernel &kernel;
  const Loops &loops;
  size_t operands, results;
  std::array<const char *, kMostPorts> from;
  std::array<char *, kMostPorts> to;
  std::array<int64_t, kMostPorts> fromBytes, toBytes; // of an element
  std::array<int64_t, kMostPorts> steps; // of operands within a row, or else the innermost loop

  /// Runs that are long enough are handed to the kernel where they lie.
  void direct(int64_t begin, int64_t end) const {
    Cursor at(loops, operands, begin);
    std::array<const void *, kMostPorts> in;
    std::array<void *, kMostPorts> out;
    while (begin < end) {
      int64_t n = std::min(at.left(), end - begin);
      for (size_t k = 0; k < operands; ++k)
        in[k] = from[k] + at.offsets[k] * fromBytes[k];
      for (size_t k = 0; k < results; ++k)
        out[k] = to[k] + begin * toBytes[k];
      kernel.function(in.data(), steps.data(), out.data(), n, nullptr);
      begin += n;
      at.advance(n);
    }
  }

  /// Rows of n elements, each in one call.
  void rows(int64_t begin, int64_t end, int64_t n) const {
    Cursor at(loops, operands, begin);
    std::array<const void *, kMostPorts> in;
    std::array<void *, kMostPorts> out;
    std::vector<char> storage(static_cast<size_t>(kernel.scratchBytes * (n + 16) + 64));
    auto address = reinterpret_cast<uintptr_t>(storage.data());
    char *scratch = storage.data() + (64 - address % 64) % 64;
    for (; begin < end; ++begin) {
      for (size_t k = 0; k < operands; ++k)
        in[k] = from[k] + at.offsets[k] * fromBytes[k];
      for (size_t k = 0; k < results; ++k)
        out[k] = to[k] + begin * (kernel.rowResults[k] ? 1 : n) * toBytes[k];
      kernel.function(in.data(), steps.data(), out.data(), n, scratch);
      at.advance(1);
    }
  }

  /// Short runs: operands are copied side by side, a block at a time.
  void gathered(int64_t begin, int64_t end) const {
    Cursor at(loops, operands, begin);
    alignas(64) char blocks[kMostPorts][8 * kBlock];
    std::array<int64_t, kMostPorts> adjacent;
    std::array<const void *, kMostPorts> in;
    std::array<void *, kMostPorts> out;
    for (size_t k = 0; k < operands; ++k) {
      in[k] = blocks[k];
      adjacent[k] = 1;
    }
    while (begin < end) {
      int64_t count = std::min(kBlock, end - begin);
      for (int64_t done = 0; done < count;) {
        int64_t n = std::min(at.left(), count - done);
        for (size_t k = 0; k < operands; ++k)
          gather(from[k] + at.offsets[k] * fromBytes[k], steps[k], fromBytes[k],
                 blocks[k] + done * fromBytes[k], n);
        done += n;
        at.advance(n);
      }
      for (size_t k = 0; k < results; ++k)
        out[k] = to[k] + begin * toBytes[k];
      kernel.function(in.data(), adjacent.data(), out.data(), count, nullptr);
      begin += count;
    }
  }

  template <typename T> static void spread(const char *from, char *to, int64_t n) {
    T single;
    std::memcpy(&single, from, sizeof single);
    std::fill_n(reinterpret_cast<T *>(to), n, single);
  }
  static void gather(const char *from, int64_t step, int64_t bytes, char *to, int64_t n) {
    if (step) {
      std::memcpy(to, from, static_cast<size_t>(n * bytes));
      return;
    }
    switch (bytes) {
    case 1:
      return spread<uint8_t>(from, to, n);
    case 2:
      return spread<uint16_t>(from, to, n);
    case 4:
      return spread<uint32_t>(from, to, n);
    default:
      return spread<uint64_t>(from, to, n);
    }
  }
};

/// Result i in the storage of a dying operand of its shape and element size, if there is one.
Tensor &resultTensor(KernelCall &call, size_t i, DType type, const Shape &shape) {
  for (size_t k = 0; k < call.count(); ++k) {
    const Tensor &operand = call.in(k);
    if (k < call.dying.size() && call.dying[k] && bitsOf(operand.dtype()) == bitsOf(type) &&
        operand.shape() == shape && operand.unique())
      return call.outInPlace(i, k, type, shape);
  }
  return call.out(i, type, shape);
}

void runGenerated(KernelCall &call) {
  check(call.node.generated != nullptr, "a step of generated code has no kernel");
  const GeneratedKernel &kernel = *call.node.generated;
  size_t operands = kernel.operands.size(), results = kernel.results.size();
  check(call.count() == operands && operands + results <= kMostPorts, "the kernel takes ", operands,
        " operands, found ", call.count());
  std::vector<const Tensor *> in;
  Shape shape(static_cast<size_t>(call.node.integer("rank", 0)), 1);
  for (size_t k = 0; k < operands; ++k) {
    in.push_back(&call.in(k));
    check(in[k]->dtype() == kernel.operands[k], "operand ", k, ": expected elements of type ",
          nameOf(kernel.operands[k]), ", found ", nameOf(in[k]->dtype()));
    shape = broadcastShapes(shape, in[k]->shape());
  }
  check(!kernel.rows || !shape.empty(), "rows of a scalar are reduced");
  Shape rowShape = shape;
  if (kernel.rows)
    rowShape.back() = 1;
  std::array<const Shape *, kMostPorts> shapes;
  for (size_t k = 0; k < operands; ++k)
    shapes[k] = &in[k]->shape();
  Loops loops = planBroadcast(kernel.rows ? rowShape : shape, shapes, operands);
  Run run{kernel, loops, operands, results, {}, {}, {}, {}, {}};
  for (size_t k = 0; k < operands; ++k) {
    run.from[k] = static_cast<const char *>(in[k]->raw());
    run.fromBytes[k] = bitsOf(kernel.operands[k]) / 8;
    run.steps[k] =
        kernel.rows ? in[k]->rank() > 0 && in[k]->dim(-1) != 1 : loops.strides[k][loops.rank - 1];
  }
  for (size_t k = 0; k < results; ++k) {
    const Shape &own = kernel.rows && kernel.rowResults[k] ? rowShape : shape;
    run.to[k] = static_cast<char *>(resultTensor(call, k, kernel.results[k], own).raw());
    run.toBytes[k] = bitsOf(kernel.results[k]) / 8;
  }
  int64_t grain = std::max<int64_t>(1024, 4 * kElementGrain / std::max<int64_t>(1, kernel.cost));
  if (kernel.rows) {
    int64_t n = shape.back();
    parallel(loops.size, std::max<int64_t>(1, grain / std::max<int64_t>(1, n)),
             [&](int64_t begin, int64_t end) { run.rows(begin, end, n); });
    return;
  }
  bool isShort = loops.rank > 1 && loops.dims[loops.rank - 1] < kShortRun;
  parallel(loops.size, grain, [&](int64_t begin, int64_t end) {
    isShort ? run.gathered(begin, end) : run.direct(begin, end);
  });
}

} // namespace

void registerGenerated(KernelTable &table) {
  table.add("uoe", "Elementwise", runGenerated);
}

} // namespace uoe::rt
