// What a device kernel's host side sees of one execution, and the table of them.
#pragma once
#include "Arena.h"
#include "runtime/core/Program.h"
#include "runtime/cuda/Kernels.h"
#include "runtime/cuda/dispatch/Kernels.h"
#include "runtime/cuda/ops/Element.h"
#include <functional>

namespace uoe::rt::cuda {

/// Kernels by name, found once.
class Launcher {
public:
  Launcher(Device &device, const KernelImages &images);
  /// Launches uoe_`name` on its one argument. `sharedBytes` may exceed 48 KiB.
  void launch(const char *name, Grid grid, unsigned threads, unsigned sharedBytes, void *argument) {
    launchFrom(module, name, grid, threads, sharedBytes, argument);
  }
  /// The same for a kernel of the dispatch.
  void launch(const char *name, Grid grid, unsigned threads, Dispatch argument,
              unsigned sharedBytes = 0);
  int64_t launches = 0;

private:
  void launchFrom(Module from, const char *name, Grid grid, unsigned threads, unsigned sharedBytes,
                  void *argument);

  Device &device;
  const KernelImages images;
  Module module = nullptr, dispatch = nullptr; // the second when it is first wanted
  struct Entry {
    Function function = nullptr;
    unsigned granted = 48 << 10;
  };
  std::map<std::string, Entry> kernels;
};

/// One step of a model on a device. Tensors that `in` and `out` give lie there.
class Call {
public:
  const Node &node;
  Device &device;
  Arena &arena;
  Launcher &launcher;
  /// Kept from run to run for this node: weights in the form that its kernel takes.
  std::any &state;
  /// Set by a kernel that may meet a bad index: it writes `mark` there.
  int32_t *flag;
  int32_t mark;
  const KernelImages *images;
  /// Per input the node that makes it, or null; per output the nodes that read it, with the number
  /// of the input, null for the program's own outputs and for subprograms.
  const std::vector<const Node *> *producers;
  using Readers = std::vector<std::vector<std::pair<const Node *, size_t>>>;
  const Readers *readers;
  /// The same for any node of the program.
  const std::map<const Node *, const Readers *> *allReaders;

  size_t count() const { return types.size(); }
  bool has(size_t i) const { return i < count() && types[i] != DType::None; }
  DType type(size_t i) const { return types[i]; }
  const Shape &shape(size_t i) const { return *shapes[i]; }
  /// Input i on the device, copied there if it is not.
  Tensor in(size_t i) { return fetchDevice(i); }
  /// Input i on the host: for shapes. Waits for the device if it was made there.
  Tensor host(size_t i) { return fetchHost(i); }
  /// Input i's value if it never changes, else null; on the host.
  const Tensor *constant(size_t i) const { return node.constant(i); }
  bool wants(size_t i) const {
    return i < outputs.size() && (node.outputUsed.empty() || node.outputUsed[i]);
  }
  Tensor out(size_t i, DType type, const Shape &shape) {
    outputs[i] = arena.allocate(type, shape, "the result of " + node.op);
    return outputs[i];
  }
  void set(size_t i, Tensor tensor) { outputs[i] = std::move(tensor); }
  /// A copy of host data on the device.
  Tensor upload(const Tensor &tensor);
  /// All bytes of a tensor to another place on the device.
  void copy(const Tensor &from, void *to);
  void clear(const Tensor &tensor); // to zeros
  /// Bytes of the device, now: the host waits.
  std::function<void(void *to, Pointer from, size_t bytes)> read;
  /// What steps keep for each other until the run ends, by the address of what it belongs to.
  std::map<const void *, std::any> *ofRun;

  template <typename Argument>
  void launch(const char *name, Grid grid, unsigned threads, const Argument &argument,
              unsigned sharedBytes = 0) {
    Argument copy = argument;
    launcher.launch(name, grid, threads, sharedBytes, &copy);
  }
  /// The same with a thread for each of `count` items.
  template <typename Argument>
  void each(const char *name, int64_t count, const Argument &argument) {
    if (count > 0)
      launch(name, {static_cast<unsigned>((count + 255) / 256)}, 256, argument);
  }

  std::vector<DType> types; // per input; None where it is absent
  std::vector<const Shape *> shapes;
  std::vector<Tensor> outputs;
  std::function<Tensor(size_t)> fetchDevice, fetchHost;
};

/// Runs one step, or returns false, having done nothing, for a case that it does not cover: the
/// step then runs on the host.
using DeviceKernel = bool (*)(Call &);

/// The device's kernel of an operator, or null.
DeviceKernel findDeviceKernel(const std::string &domain, const std::string &op);

/// One list a family of kernels; each file adds its own.
using DeviceKernels = std::map<std::pair<std::string, std::string>, DeviceKernel>;
void addAttention(DeviceKernels &table);
void addCascade(DeviceKernels &table);
void addContribAttention(DeviceKernels &table);
void addCopies(DeviceKernels &table);
void addExperts(DeviceKernels &table);
void addGrouped(DeviceKernels &table);
void addPointwise(DeviceKernels &table);
void addProducts(DeviceKernels &table);
void addQuantized(DeviceKernels &table);
void addRows(DeviceKernels &table);
void addScatters(DeviceKernels &table);
void addWindows(DeviceKernels &table);

/// Loops of `rank`, the innermost last: of each its length and the step of operands 0 and 1.
template <int operands, int rank>
void setLoops(StridedLoops<operands> &loops, const int64_t (&of)[rank][3]) {
  static_assert(operands >= 2 && rank <= kMostDims);
  loops.rank = rank;
  loops.count = 1;
  for (int d = 0; d < rank; ++d) {
    loops.count *= loops.dims[d] = of[d][0];
    loops.strides[0][d] = of[d][1];
    loops.strides[1][d] = of[d][2];
  }
}

} // namespace uoe::rt::cuda
