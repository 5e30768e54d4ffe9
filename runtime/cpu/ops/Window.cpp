#include "Window.h"
#include <algorithm>

namespace uoe::rt {
namespace {

/// An attribute with one element per spatial dimension, as three.
Window::Dims spread(const Node &node, const char *key, const std::vector<int64_t> &values, int rank,
                    int64_t otherwise, int64_t least) {
  Window::Dims dims{1, 1, 1};
  if (otherwise == 0)
    dims = {0, 0, 0};
  check(values.empty() || static_cast<int>(values.size()) == rank, node.op, ": ", key,
        " must have ", rank, " elements, found ", values.size());
  for (int i = 0; i < rank; ++i) {
    int64_t value = values.empty() ? otherwise : values[i];
    check(value >= least && value <= (int64_t(1) << 31), node.op, ": ", key, " must be at least ",
          least, ", found ", value);
    dims[3 - rank + i] = value;
  }
  return dims;
}

Window common(const Node &node, const Shape &input, Shape kernel) {
  Window w;
  w.rank = static_cast<int>(input.size()) - 2;
  check(w.rank >= 1 && w.rank <= 3, node.op,
        ": input must have 1 to 3 spatial dimensions, found shape ", toString(input));
  auto attribute = node.integers("kernel_shape");
  if (kernel.empty())
    kernel = attribute;
  check(attribute.empty() || attribute == kernel, node.op, ": kernel_shape ", toString(attribute),
        " is not that of the weights, ", toString(kernel));
  check(!kernel.empty(), node.op, ": kernel_shape is missing");
  w.kernel = spread(node, "kernel_shape", kernel, w.rank, 1, 1);
  w.stride = spread(node, "strides", node.integers("strides"), w.rank, 1, 1);
  w.dilation = spread(node, "dilations", node.integers("dilations"), w.rank, 1, 1);
  w.in = spread(node, "input", Shape(input.begin() + 2, input.end()), w.rank, 1, 0);
  auto pads = node.integers("pads");
  check(pads.empty() || static_cast<int>(pads.size()) == 2 * w.rank, node.op, ": pads must have ",
        2 * w.rank, " elements, found ", pads.size());
  if (!pads.empty()) {
    auto half = pads.begin() + w.rank;
    w.padBegin = spread(node, "pads", {pads.begin(), half}, w.rank, 0, 0);
    w.padEnd = spread(node, "pads", {half, pads.end()}, w.rank, 0, 0);
  }
  return w;
}

int64_t ceilDivide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

} // namespace

Window windowOf(const Node &node, const Shape &input, Shape kernel, bool ceilMode) {
  Window w = common(node, input, std::move(kernel));
  std::string autoPad = node.string("auto_pad", "NOTSET");
  for (int i = 3 - w.rank; i < 3; ++i) {
    int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1;
    if (autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER") {
      w.out[i] = ceilDivide(w.in[i], w.stride[i]);
      int64_t total = std::max<int64_t>(0, (w.out[i] - 1) * w.stride[i] + reach - w.in[i]);
      w.padBegin[i] = autoPad == "SAME_UPPER" ? total / 2 : total - total / 2;
      w.padEnd[i] = total - w.padBegin[i];
      continue;
    }
    if (autoPad == "VALID")
      w.padBegin[i] = w.padEnd[i] = 0;
    else
      check(autoPad == "NOTSET" || autoPad.empty(), node.op, ": unknown auto_pad '", autoPad, "'");
    int64_t room = w.in[i] + w.padBegin[i] + w.padEnd[i] - reach;
    check(room >= 0 || w.in[i] == 0, node.op, ": the kernel reaches over ", reach,
          " elements, found a padded dimension of ", w.in[i] + w.padBegin[i] + w.padEnd[i]);
    if (room < 0) {
      w.out[i] = 0;
      continue;
    }
    w.out[i] = (ceilMode ? ceilDivide(room, w.stride[i]) : room / w.stride[i]) + 1;
    // A last window that would start beyond the input does not exist.
    if (ceilMode && (w.out[i] - 1) * w.stride[i] >= w.in[i] + w.padBegin[i])
      --w.out[i];
  }
  return w;
}

Window transposedWindowOf(const Node &node, const Shape &input, Shape kernel) {
  Window w = common(node, input, std::move(kernel));
  std::string autoPad = node.string("auto_pad", "NOTSET");
  Window::Dims extra =
      spread(node, "output_padding", node.integers("output_padding"), w.rank, 0, 0);
  auto shape = node.integers("output_shape");
  if (static_cast<int>(shape.size()) == w.rank + 2)
    shape.erase(shape.begin(), shape.begin() + 2);
  Window::Dims wanted = spread(node, "output_shape", shape, w.rank, 0, 0);
  bool same = autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER";
  for (int i = 3 - w.rank; i < 3; ++i) {
    int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1;
    int64_t full = (w.in[i] - 1) * w.stride[i] + extra[i] + reach;
    if (!shape.empty() || same) {
      w.out[i] = shape.empty() ? w.in[i] * w.stride[i] : wanted[i];
      int64_t total = std::max<int64_t>(0, full - w.out[i]);
      w.padBegin[i] = autoPad == "SAME_UPPER" ? total / 2 : total - total / 2;
      w.padEnd[i] = total - w.padBegin[i];
    } else {
      w.out[i] = full - w.padBegin[i] - w.padEnd[i];
    }
    check(w.out[i] >= 0, node.op, ": the result's dimension would be ", w.out[i]);
    if (w.in[i] == 0)
      w.out[i] = std::max<int64_t>(0, w.out[i]);
  }
  return w;
}

} // namespace uoe::rt
