#include "passes/decompose/Partition.h"
#include "lib/TensorIO/Npy.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringRef.h"

using namespace mlir;
using namespace uoe;

static SmallVector<int64_t> integersOf(const rt::Tensor &tensor, const std::string &what) {
  std::vector<int64_t> values = rt::toInts(tensor.reshaped({tensor.size()}), what.c_str());
  return SmallVector<int64_t>(values.begin(), values.end());
}

PermutationFile::PermutationFile(const std::string &path) {
  if (StringRef(path).ends_with(".npz")) {
    for (const auto &[name, tensor] : readNpz(path))
      named[name] = integersOf(tensor, "permutation '" + name + "'");
    return;
  }
  rt::Tensor tensor = readNpy(path);
  rt::check(tensor.rank() == 1 || tensor.rank() == 2, "'", path,
            "' holds no permutations: expected one, or a row per block, found shape ",
            rt::toString(tensor.shape()));
  SmallVector<int64_t> all = integersOf(tensor, "permutation");
  int64_t count = tensor.rank() == 2 ? tensor.dim(0) : 1, width = tensor.dim(-1);
  for (int64_t row = 0; row < count; ++row)
    rows.emplace_back(all.begin() + row * width, all.begin() + (row + 1) * width);
}

std::optional<SmallVector<int64_t>> PermutationFile::find(const std::string &block,
                                                          size_t index) const {
  if (auto found = named.find(block); found != named.end())
    return found->second;
  if (rows.size() == 1)
    return rows.front();
  if (index < rows.size())
    return rows[index];
  return std::nullopt;
}

SmallVector<int64_t> uoe::evenSizes(int64_t total, int64_t parts) {
  SmallVector<int64_t> sizes(parts, total / parts);
  for (int64_t i = 0; i < total % parts; ++i)
    ++sizes[i];
  return sizes;
}

// "neuron" of "neurons", "group" of "groups of heads".
static std::string singular(StringRef unit) {
  auto [first, rest] = unit.split(' ');
  return (first.drop_back() + (rest.empty() ? "" : " ") + rest).str();
}

FailureOr<Partition> uoe::partitionOf(Operation *block, const std::string &name, size_t index,
                                      int64_t width, const PartitionOptions &options) {
  Partition partition;
  auto own = [&](StringRef attr, SmallVector<int64_t> &values) {
    auto array = block->getAttrOfType<DenseI64ArrayAttr>(attr);
    if (array)
      values.assign(array.asArrayRef().begin(), array.asArrayRef().end());
    return array != nullptr;
  };
  if (!own("uoe.permutation", partition.order) && options.permutations)
    if (auto found = options.permutations->find(name, index))
      partition.order = std::move(*found);
  if (!own("uoe.sizes", partition.sizes)) {
    if (options.sizes.empty())
      partition.sizes = evenSizes(width, std::min(options.parts, width));
    else
      partition.sizes.assign(options.sizes.begin(), options.sizes.end());
  }
  int64_t total = 0;
  for (int64_t size : partition.sizes) {
    if (size <= 0)
      return block->emitError("needs positive expert sizes, found ") << size, failure();
    total += size;
  }
  if (total != width)
    return block->emitError("has expert sizes that add up to ")
               << total << ", the block has " << width << " " << options.unit,
           failure();
  const SmallVector<int64_t> &order = partition.order;
  if (!order.empty() && static_cast<int64_t>(order.size()) != width)
    return block->emitError("has a permutation of ")
               << order.size() << " " << options.unit << ", the block has " << width,
           failure();
  SmallVector<bool> seen(width);
  for (int64_t unit : order) {
    if (unit < 0 || unit >= width)
      return block->emitError("has a permutation with ")
                 << singular(options.unit) << " " << unit << " of " << width,
             failure();
    if (std::exchange(seen[unit], true))
      return block->emitError("has a permutation with ")
                 << singular(options.unit) << " " << unit << " twice",
             failure();
  }
  if (llvm::equal(order, llvm::seq<int64_t>(0, static_cast<int64_t>(order.size()))))
    partition.order.clear();
  return partition;
}
