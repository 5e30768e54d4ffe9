#include "Call.h"

namespace uoe::rt::cuda {

Launcher::Launcher(Device &device, const KernelImages &images) : device(device), images(images) {
  check(images.model, "this build has no CUDA kernels: nvcc was not found when it was configured; "
                      "use --device cpu");
  module = device.load(images.model, "the kernels of models");
}

void Launcher::launch(const char *name, Grid grid, unsigned threads, Dispatch argument,
                      unsigned sharedBytes) {
  if (!dispatch)
    dispatch = device.load(images.dispatch, "the dispatch kernels");
  launchFrom(dispatch, name, grid, threads, sharedBytes, &argument);
}

void Launcher::launchFrom(Module from, const char *name, Grid grid, unsigned threads,
                          unsigned sharedBytes, void *argument) {
  Entry &entry = kernels[name];
  const std::string full = std::string("uoe_") + name;
  if (!entry.function)
    entry.function = device.function(from, full);
  if (sharedBytes > entry.granted) {
    device.allowShared(entry.function, sharedBytes, full);
    entry.granted = sharedBytes;
  }
  void *arguments[] = {argument};
  device.launch(entry.function, grid, {threads}, sharedBytes, arguments, full);
  ++launches;
}

Tensor Call::upload(const Tensor &tensor) {
  check(!device.capturing(), "a recorded run cannot copy weights");
  Tensor copy = arena.keep(tensor.dtype(), tensor.shape(), "a weight of " + node.op);
  device.require(device.driver().call.cuMemcpyHtoDAsync_v2(addressOf(copy), tensor.raw(),
                                                           tensor.bytes(), device.stream()),
                 "copying a weight of " + node.op + " to the device");
  return copy;
}

void Call::copy(const Tensor &from, void *to) {
  if (from.bytes() > 0)
    device.require(device.driver().call.cuMemcpyDtoDAsync_v2(reinterpret_cast<Pointer>(to),
                                                             addressOf(from), from.bytes(),
                                                             device.stream()),
                   "copying a value within the device");
}

void Call::clear(const Tensor &tensor) {
  if (tensor.bytes() > 0)
    device.require(
        device.driver().call.cuMemsetD8Async(addressOf(tensor), 0, tensor.bytes(), device.stream()),
        "clearing a value");
}

DeviceKernel findDeviceKernel(const std::string &domain, const std::string &op) {
  static const DeviceKernels table = [] {
    DeviceKernels kernels;
    addAttention(kernels);
    addCascade(kernels);
    addContribAttention(kernels);
    addCopies(kernels);
    addExperts(kernels);
    addGrouped(kernels);
    addPointwise(kernels);
    addProducts(kernels);
    addQuantized(kernels);
    addRows(kernels);
    addScatters(kernels);
    addWindows(kernels);
    return kernels;
  }();
  auto found = table.find({domain == "ai.onnx" ? "" : domain, op});
  return found == table.end() ? nullptr : found->second;
}

} // namespace uoe::rt::cuda
