#include "lib/Files/AtomicFile.h"
#include "lib/Weights/Weights.h"
#include "runtime/core/DType.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"
#include <unistd.h>

using namespace mlir;
using namespace uoe;
using onnx::FileAttr;

/// Tensors start at multiples of this, as ONNX recommends for mapping.
static constexpr uint64_t kAlignment = 64;

WeightWriter &WeightWriter::process() {
  static WeightWriter writer;
  return writer;
}

WeightWriter::~WeightWriter() {
  if (descriptor >= 0) {
    ::close(descriptor);
    (void)llvm::sys::fs::remove(file);
  }
}

llvm::Error WeightWriter::open() {
  if (descriptor >= 0)
    return llvm::Error::success();
  llvm::SmallString<128> path;
  if (std::error_code code =
          llvm::sys::fs::createTemporaryFile("uoe-weights", "data", descriptor, path))
    return llvm::createStringError(code,
                                   "can't make a temporary file for weights: " + code.message());
  file = path.str();
  llvm::sys::RemoveFileOnSignal(file);
  return llvm::Error::success();
}

static llvm::Error writeAll(int descriptor, llvm::ArrayRef<char> bytes, uint64_t offset,
                            llvm::StringRef path) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(descriptor, bytes.data(), std::min<size_t>(bytes.size(), 1 << 30),
                         static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return llvm::createStringError("cannot write '" + path +
                                     "': " + std::generic_category().message(errno));
    bytes = bytes.drop_front(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return llvm::Error::success();
}

llvm::Expected<TypedAttr> WeightWriter::add(RankedTensorType type, llvm::ArrayRef<char> raw) {
  std::optional<uint64_t> expected = onnx::bytesOf(type);
  if (!expected || *expected != raw.size()) {
    std::string text;
    llvm::raw_string_ostream(text) << type;
    return llvm::createStringError(text + " can't be stored from " + llvm::Twine(raw.size()) +
                                   " bytes");
  }
  if (raw.size() <= kSmallTensor)
    return TypedAttr(denseFromRaw(type, raw));
  std::lock_guard<std::mutex> lock(mutex);
  if (llvm::Error error = open())
    return std::move(error);
  uint64_t offset = (size + kAlignment - 1) / kAlignment * kAlignment;
  if (llvm::Error error = writeAll(descriptor, raw, offset, file))
    return std::move(error);
  size = offset + raw.size();
  return TypedAttr(FileAttr::get(type.getContext(), type, file, offset, raw.size()));
}

llvm::Expected<TypedAttr> WeightWriter::add(RankedTensorType type, llvm::ArrayRef<float> values) {
  Type element = type.getElementType();
  auto bytes = [](const auto &data) {
    return llvm::ArrayRef<char>(reinterpret_cast<const char *>(data.data()),
                                data.size() * sizeof(data[0]));
  };
  if (element.isF32())
    return add(type, bytes(values));
  if (element.isF16())
    return add(type, bytes(std::vector<rt::Half>(values.begin(), values.end())));
  if (element.isBF16())
    return add(type, bytes(std::vector<rt::BFloat16>(values.begin(), values.end())));
  std::string text;
  llvm::raw_string_ostream(text) << element;
  return llvm::createStringError("floats can't be stored as " + text);
}

bool WeightWriter::owns(Attribute value) const {
  auto ranged = dyn_cast_if_present<FileAttr>(value);
  return ranged && !file.empty() && ranged.getPath() == file;
}

llvm::Error WeightWriter::moveTo(ModuleOp module, llvm::StringRef path) {
  // In the order of the module's text, each once.
  AttrTypeReplacer replacer;
  std::vector<std::pair<FileAttr, FileAttr>> moved;
  llvm::DenseMap<FileAttr, FileAttr> known;
  uint64_t end = 0;
  replacer.addReplacement([&](FileAttr attr) -> std::optional<Attribute> {
    if (!owns(attr))
      return std::nullopt;
    FileAttr &to = known[attr];
    if (!to) {
      end = (end + kAlignment - 1) / kAlignment * kAlignment;
      to = FileAttr::get(attr.getContext(), attr.getType(), path, end, attr.getLength());
      end += attr.getLength();
      moved.push_back({attr, to});
    }
    return to;
  });
  // Look first: a module without stored tensors leaves no file.
  std::vector<Operation *> ops;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    op->getAttrDictionary().walk([&](FileAttr attr) {
      if (owns(attr))
        ops.push_back(op);
    });
  });
  if (ops.empty())
    return llvm::Error::success();
  for (Operation *op : ops)
    (void)replacer.replace(op->getAttrDictionary());
  auto mapped = MappedFile::open(file);
  if (!mapped)
    return mapped.takeError();
  AtomicFile out(path);
  bool good = out.open();
  for (auto [from, to] : moved) {
    llvm::StringRef bytes = (*mapped)->bytes().substr(from.getOffset(), from.getLength());
    good = good && out.pad(kAlignment) && out.write({bytes.data(), bytes.size()});
  }
  if (!good || !out.finish())
    return llvm::createStringError(out.error);
  for (Operation *op : ops)
    replacer.replaceElementsIn(op, /*replaceAttrs=*/true);
  return llvm::Error::success();
}
