// Convolutions, pooling, resampling: operators over (N, C, spatial...).
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

struct Window {
  SmallVector<Dim> kernel;
  SmallVector<int64_t> strides, dilations, pads;
  StringRef autoPad;
  bool ceil = false;
};

Window windowOf(NodeContext &c, ArrayRef<Dim> kernel) {
  Window window;
  window.kernel.assign(kernel.begin(), kernel.end());
  size_t n = kernel.size();
  auto listOr = [&](const char *name, size_t size, int64_t value) {
    auto found = c.list(name);
    return found && found->size() == size ? *found : SmallVector<int64_t>(size, value);
  };
  window.strides = listOr("strides", n, 1);
  window.dilations = listOr("dilations", n, 1);
  window.pads = listOr("pads", 2 * n, 0);
  window.autoPad = c.node.string("auto_pad", "NOTSET");
  window.ceil = c.node.integer("ceil_mode", 0) != 0;
  return window;
}

/// Output size along spatial axis i of a window that slides over `size`.
Dim slide(NodeContext &c, const Window &w, size_t i, Dim size) {
  DimTable &dims = c.dims;
  Dim stride = c.dim(w.strides[i]);
  if (w.strides[i] <= 0)
    return c.unknown();
  if (w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER")
    return dims.floorDiv(dims.add(size, c.dim(w.strides[i] - 1)), stride);
  Dim extent = dims.multiply(dims.subtract(w.kernel[i], c.dim(1)), c.dim(w.dilations[i]));
  Dim span = dims.subtract(dims.subtract(size, c.dim(1)), extent);
  if (w.autoPad != "VALID")
    span = dims.add(span, c.dim(w.pads[i] + w.pads[i + w.kernel.size()]));
  if (!w.ceil)
    return dims.add(dims.floorDiv(span, stride), c.dim(1));
  Dim steps = dims.floorDiv(dims.add(span, c.dim(w.strides[i] - 1)), stride);
  // With ceil_mode a window must still start inside the input or its left padding.
  auto last = steps.constant();
  auto constantSize = size.constant();
  if (!last || !constantSize)
    return dims.add(steps, c.dim(1)).isConstant() ? dims.add(steps, c.dim(1)) : c.unknown();
  bool outside = *last * w.strides[i] >= *constantSize + w.pads[i];
  return c.dim(*last + !outside);
}

LogicalResult convShape(NodeContext &c, unsigned x, unsigned w, Type element) {
  c.setElement(0, element);
  if (!c.ranked(x) || !c.ranked(w))
    return success();
  ArrayRef<Dim> shape = c.in(x).dims, weight = c.in(w).dims;
  if (shape.size() < 3 || weight.size() != shape.size())
    return c.fail("needs data (N, C, spatial...) and weights of equal rank, found " +
                  c.describe(c.in(x)) + " and " + c.describe(c.in(w)));
  int64_t group = c.node.integer("group", 1);
  if (c.dims.equal(shape[1], c.dims.multiply(weight[1], c.dim(group))) == false)
    return c.fail("needs channels = group * weight channels, found " + c.describe(c.in(x)) +
                  " and " + c.describe(c.in(w)));
  Window window = windowOf(c, weight.drop_front(2));
  SmallVector<Dim> result = {shape[0], weight[0]};
  for (size_t i = 0; i + 2 < shape.size(); ++i)
    result.push_back(slide(c, window, i, shape[i + 2]));
  c.set(0, element, result);
  return success();
}

LogicalResult conv(NodeContext &c) {
  return convShape(c, 0, 1, c.in(0).element);
}
LogicalResult convInteger(NodeContext &c) {
  return convShape(c, 0, 1, c.i32());
}
LogicalResult qlinearConv(NodeContext &c) {
  return convShape(c, 0, 3, c.in(7).element);
}

LogicalResult convTranspose(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0) || !c.ranked(1))
    return success();
  ArrayRef<Dim> shape = c.in(0).dims, weight = c.in(1).dims;
  if (shape.size() < 3 || weight.size() != shape.size())
    return c.fail("needs data (N, C, spatial...) and weights of equal rank, found " +
                  c.describe(c.in(0)) + " and " + c.describe(c.in(1)));
  Window w = windowOf(c, weight.drop_front(2));
  SmallVector<Dim> result = {shape[0],
                             c.dims.multiply(weight[1], c.dim(c.node.integer("group", 1)))};
  auto outputShape = c.list("output_shape"), outputPadding = c.list("output_padding");
  size_t n = w.kernel.size();
  for (size_t i = 0; i < n; ++i) {
    if (outputShape && outputShape->size() >= n) {
      result.push_back(c.dim((*outputShape)[outputShape->size() - n + i]));
      continue;
    }
    DimTable &dims = c.dims;
    if (w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER") {
      result.push_back(dims.multiply(shape[i + 2], c.dim(w.strides[i])));
      continue;
    }
    Dim size = dims.multiply(dims.subtract(shape[i + 2], c.dim(1)), c.dim(w.strides[i]));
    size =
        dims.add(size, dims.multiply(dims.subtract(w.kernel[i], c.dim(1)), c.dim(w.dilations[i])));
    int64_t extra = 1 - (w.autoPad == "VALID" ? 0 : w.pads[i] + w.pads[i + n]);
    if (outputPadding && outputPadding->size() == n)
      extra += (*outputPadding)[i];
    result.push_back(dims.add(size, c.dim(extra)));
  }
  c.set(0, c.in(0).element, result);
  return success();
}

LogicalResult pool(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  c.setElement(1, c.i64());
  auto kernel = c.list("kernel_shape");
  if (!c.ranked(0) || !kernel)
    return success();
  ArrayRef<Dim> shape = c.in(0).dims;
  if (shape.size() != kernel->size() + 2)
    return c.fail("needs data (N, C, spatial...) with " + llvm::Twine(kernel->size()) +
                  " spatial axes, found " + c.describe(c.in(0)));
  SmallVector<Dim> sizes;
  for (int64_t size : *kernel)
    sizes.push_back(c.dim(size));
  Window window = windowOf(c, sizes);
  SmallVector<Dim> result(shape.take_front(2));
  for (size_t i = 0; i < sizes.size(); ++i)
    result.push_back(slide(c, window, i, shape[i + 2]));
  c.set(0, c.in(0).element, result);
  c.set(1, c.i64(), result);
  return success();
}

LogicalResult globalPool(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0) || c.in(0).rank() < 2)
    return success();
  SmallVector<Dim> shape(c.in(0).dims);
  std::fill(shape.begin() + 2, shape.end(), c.dim(1));
  c.set(0, c.in(0).element, shape);
  return success();
}

LogicalResult maxUnpool(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (auto shape = c.contents(2)) {
    c.set(0, c.in(0).element, *shape);
  } else if (auto kernel = c.list("kernel_shape"); kernel && !c.has(2) && c.ranked(0)) {
    SmallVector<Dim> result(c.in(0).dims);
    Window w = windowOf(c, SmallVector<Dim>(kernel->size(), c.dim(1)));
    for (size_t i = 0; i < kernel->size() && i + 2 < result.size(); ++i)
      result[i + 2] =
          c.dims.add(c.dims.multiply(c.dims.subtract(result[i + 2], c.dim(1)), c.dim(w.strides[i])),
                     c.dim((*kernel)[i] - w.pads[i] - w.pads[i + kernel->size()]));
    c.set(0, c.in(0).element, result);
  } else if (c.ranked(0)) {
    c.setRank(0, c.in(0).element, c.in(0).rank());
  }
  return success();
}

/// Resize and Upsample: sizes, or scales as floats.
LogicalResult resize(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0))
    return success();
  bool upsample = c.node.is("Upsample");
  unsigned scalesAt = upsample || c.version == 10 ? 1 : 2, sizesAt = 3;
  ArrayRef<Dim> shape = c.in(0).dims;
  int64_t rank = shape.size();
  SmallVector<int64_t> axes = c.list("axes").value_or(SmallVector<int64_t>());
  if (axes.empty())
    axes.append(llvm::seq<int64_t>(0, rank).begin(), llvm::seq<int64_t>(0, rank).end());
  SmallVector<Dim> result(shape);
  for (int64_t &axis : axes) {
    auto at = c.axis(axis, rank);
    if (failed(at))
      return failure();
    axis = *at;
    result[axis] = c.unknown();
  }
  std::optional<SmallVector<double>> scales;
  if (auto list = dyn_cast_or_null<DenseF32ArrayAttr>(c.node.attribute("scales")))
    scales = SmallVector<double>(list.asArrayRef());
  else
    scales = c.reals(scalesAt);
  if (c.has(sizesAt) && !upsample) {
    const auto *sizes = c.contents(sizesAt);
    // Policies other than stretch change the size that is asked for.
    if (sizes && sizes->size() == axes.size() &&
        c.node.string("keep_aspect_ratio_policy", "stretch") == "stretch")
      for (auto [i, axis] : llvm::enumerate(axes))
        result[axis] = (*sizes)[i];
  } else if (scales && scales->size() == axes.size()) {
    for (auto [i, axis] : llvm::enumerate(axes)) {
      double scale = (*scales)[i];
      if (!(scale > 0 && scale < 1 << 20))
        continue;
      if (auto size = shape[axis].constant(); size && *size < INT64_C(1) << 40)
        result[axis] = c.dim(static_cast<int64_t>(std::floor(*size * scale)));
      else if (scale == std::floor(scale))
        result[axis] = c.dims.multiply(shape[axis], c.dim(static_cast<int64_t>(scale)));
    }
  }
  c.set(0, c.in(0).element, result);
  return success();
}

LogicalResult depthToSpace(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  int64_t block = c.node.integer("blocksize", 1);
  if (!c.ranked(0) || c.in(0).rank() != 4 || block < 1)
    return success();
  ArrayRef<Dim> x = c.in(0).dims;
  DimTable &d = c.dims;
  Dim b = c.dim(block), square = c.dim(block * block);
  if (c.node.is("DepthToSpace"))
    c.set(0, c.in(0).element,
          {x[0], d.floorDiv(x[1], square), d.multiply(x[2], b), d.multiply(x[3], b)});
  else
    c.set(0, c.in(0).element,
          {x[0], d.multiply(x[1], square), d.floorDiv(x[2], b), d.floorDiv(x[3], b)});
  return success();
}

LogicalResult gridSample(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0) || !c.ranked(1) || c.in(0).rank() < 3 || c.in(1).rank() != c.in(0).rank())
    return success();
  SmallVector<Dim> shape = {c.size(0, 0), c.size(0, 1)};
  shape.append(c.in(1).dims.begin() + 1, c.in(1).dims.end() - 1);
  c.set(0, c.in(0).element, shape);
  return success();
}

/// Deformable convolution: the offsets (N, ..., out spatial) tell the output's size.
LogicalResult deformConv(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(2) || c.in(2).rank() < 3)
    return success();
  SmallVector<Dim> shape = {c.size(0, 0), c.size(1, 0)};
  llvm::append_range(shape, ArrayRef<Dim>(c.in(2).dims).drop_front(2));
  c.set(0, c.in(0).element, shape);
  return success();
}

LogicalResult affineGrid(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  const auto *size = c.contents(1);
  if (!size || size->size() < 4)
    return success();
  SmallVector<Dim> shape = {(*size)[0]};
  shape.append(size->begin() + 2, size->end());
  shape.push_back(c.dim(size->size() - 2));
  c.set(0, c.in(0).element, shape);
  return success();
}

LogicalResult roiPool(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  Dim height = c.dim(c.node.integer("output_height", 1));
  Dim width = c.dim(c.node.integer("output_width", 1));
  if (auto pooled = c.list("pooled_shape"); pooled && pooled->size() == 2) {
    height = c.dim((*pooled)[0]);
    width = c.dim((*pooled)[1]);
  }
  c.set(0, c.in(0).element, {c.size(1, 0), c.size(0, 1), height, width});
  return success();
}

} // namespace

void uoe::onnx::addConvolution(OperatorTable &table) {
  table.add("Conv", conv);
  table.add("ConvInteger", convInteger);
  table.add("QLinearConv", qlinearConv);
  table.add("ConvTranspose", convTranspose);
  for (const char *name : {"MaxPool", "AveragePool", "LpPool"})
    table.add(name, pool);
  for (const char *name : {"GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"})
    table.add(name, globalPool);
  table.add("MaxUnpool", maxUnpool);
  table.add("Resize", resize);
  table.add("Upsample", resize);
  table.add("DepthToSpace", depthToSpace);
  table.add("SpaceToDepth", depthToSpace);
  table.add("GridSample", gridSample);
  table.add("AffineGrid", affineGrid);
  table.add("DeformConv", deformConv);
  table.add("RoiAlign", roiPool);
  table.add("MaxRoiPool", roiPool);
  table.addContrib("FusedConv", conv);
}
