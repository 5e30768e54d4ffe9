// Conv on a device.
#include "Window.h"
#include "Product.h"

namespace uoe::rt::cuda {

bool convolutionOf(const Node &node, const Shape &x, const Shape &weights, Convolution &c) {
  c.groups = node.integer("group", 1);
  if (x.size() < 3 || x.size() > 5 || weights.size() != x.size() || c.groups <= 0 ||
      x[1] != weights[1] * c.groups || weights[0] % c.groups != 0)
    return false;
  c.window = windowOf(node, x, Shape(weights.begin() + 2, weights.end()), false);
  c.batch = x[0];
  c.channels = x[1];
  c.filters = weights[0];
  c.taps = weights[1] * c.window.kernelSize();
  c.positions = c.window.outSize();
  c.result = {c.batch, c.filters};
  const Shape spatial = c.window.outShape();
  c.result.insert(c.result.end(), spatial.begin(), spatial.end());
  return c.taps <= kMost && c.positions <= kMost;
}

Tensor layOut(Call &call, const Convolution &c, const Tensor &x, bool tapsInnermost, int64_t begin,
              int64_t end, const Tensor &padding) {
  WindowCall work;
  work.bytes = bitsOf(x.dtype()) / 8;
  work.tapsInnermost = tapsInnermost;
  work.matrices = (end - begin) * c.groups;
  work.channels = c.channels / c.groups;
  for (size_t d = 0; d < 3; ++d) {
    work.in[d] = c.window.in[d];
    work.out[d] = c.window.out[d];
    work.kernel[d] = c.window.kernel[d];
    work.stride[d] = c.window.stride[d];
    work.dilation[d] = c.window.dilation[d];
    work.pad[d] = c.window.padBegin[d];
  }
  const int64_t rows = tapsInnermost ? c.positions : c.taps,
                columns = tapsInnermost ? c.taps : c.positions;
  Tensor matrices = call.arena.allocate(x.dtype(), {work.matrices, rows, columns}, "windows");
  work.x = static_cast<const char *>(x.raw()) +
           begin * c.channels * c.window.inSize() * int64_t(work.bytes);
  work.padding = padding.dtype() == DType::None ? nullptr : padding.raw();
  work.to = matrices.raw();
  call.each("window", work.count(), work);
  return matrices;
}

namespace {

/// Windows of so many bytes at a time, or of one sample.
constexpr int64_t kMostWindowBytes = int64_t(256) << 20;

// y [batch, group, filters, positions] = W [group, filters, taps] windows [.., positions, taps]ᵀ.
bool conv(Call &call) {
  Convolution c;
  const DType type = call.type(0);
  if (!isDeviceFloat(type) || call.type(1) != type ||
      !convolutionOf(call.node, call.shape(0), call.shape(1), c) ||
      (call.has(2) && (call.type(2) != type || elementCount(call.shape(2)) != c.filters)))
    return false;
  const Tensor x = call.in(0), weights = call.in(1);
  Product product;
  product.a = weights;
  product.m = c.groupFilters();
  product.n = c.positions;
  product.k = c.taps;
  if (call.has(2))
    product.rowBias = call.in(2);
  product.rowBatches = static_cast<int32_t>(c.groups);
  const Tensor y = call.out(0, type, c.result);
  const int64_t bytes = bitsOf(type) / 8;
  const int64_t sample = std::max<int64_t>(1, c.groups * c.taps * c.positions * bytes);
  const int64_t step = std::max<int64_t>(1, kMostWindowBytes / sample);
  for (int64_t begin = 0; begin < c.batch && y.size() > 0; begin += step) {
    const int64_t end = std::min(c.batch, begin + step);
    product.b = layOut(call, c, x, /*tapsInnermost=*/true, begin, end);
    // A sample's groups follow each other, and their filters lie side by side for all samples.
    product.batches.count = (end - begin) * c.groups;
    product.batches.rank = 2;
    product.batches.dims[0] = end - begin;
    product.batches.dims[1] = c.groups;
    product.batches.strides[0][0] = 0;
    product.batches.strides[0][1] = product.m * product.k;
    product.batches.strides[1][0] = c.groups * product.n * product.k;
    product.batches.strides[1][1] = product.n * product.k;
    product.y = Tensor(type, {end - begin, c.filters, c.positions},
                       static_cast<char *>(const_cast<void *>(y.raw())) +
                           begin * c.filters * c.positions * bytes,
                       nullptr);
    launch(call, product);
  }
  return true;
}

} // namespace

void addWindows(DeviceKernels &table) {
  table[{"", "Conv"}] = conv;
}

} // namespace uoe::rt::cuda
