#include "lib/Weights/Weights.h"
#include "onnx-ml.pb.h"
#include "runtime/core/DType.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/Support/Alignment.h"

using namespace mlir;
using namespace uoe;
using onnx::bytesOf;
using onnx::FileAttr;
using onnx::ProtoAttr;

llvm::Expected<std::shared_ptr<MappedFile>> WeightReader::map(llvm::StringRef path,
                                                              uint64_t atLeast) {
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<MappedFile> &file = files[path];
  // A file of WeightWriter grows: what was mapped before stays valid through its owners.
  if (!file || file->bytes().size() < atLeast) {
    auto opened = MappedFile::open(path);
    if (!opened)
      return opened.takeError();
    file = *opened;
  }
  return file;
}

static WeightData own(std::vector<char> bytes, RankedTensorType type) {
  auto owner = std::make_shared<std::vector<char>>(std::move(bytes));
  return {{owner->data(), owner->size()}, owner, type, nullptr, 0};
}

/// A sparse tensor made dense: indices are linear, or one row of coordinates an element.
static llvm::Expected<WeightData> readSparse(ProtoAttr attr, RankedTensorType type) {
  proto::SparseTensorProto sparse;
  auto size = bytesOf(type);
  if (!size || !sparse.ParseFromString(attr.serialised()))
    return llvm::createStringError("a sparse tensor that can't be read");
  size_t width = onnx::bitsOf(type.getElementType()) / 8;
  const std::string &values = sparse.values().raw_data(), &indices = sparse.indices().raw_data();
  size_t count = sparse.values().dims_size() ? static_cast<size_t>(sparse.values().dims(0)) : 0;
  size_t columns = sparse.indices().dims_size() == 2 ? static_cast<size_t>(type.getRank()) : 1;
  if (!width || values.size() != count * width || indices.size() != count * columns * 8)
    return llvm::createStringError("a sparse tensor whose values and indices don't fit its type");
  std::vector<char> dense(*size);
  for (size_t i = 0; i < count; ++i) {
    int64_t linear = 0;
    for (size_t c = 0; c < columns; ++c) {
      int64_t index;
      std::memcpy(&index, indices.data() + (i * columns + c) * 8, 8);
      int64_t limit = columns == 1 ? type.getNumElements() : type.getDimSize(c);
      if (index < 0 || index >= limit)
        return llvm::createStringError("a sparse tensor with index " + llvm::Twine(index) +
                                       ", expected 0 to " + llvm::Twine(limit - 1));
      linear = columns == 1 ? index : linear * limit + index;
    }
    std::memcpy(dense.data() + linear * width, values.data() + i * width, width);
  }
  return own(std::move(dense), type);
}

llvm::Expected<WeightData> WeightReader::read(TypedAttr value, size_t alignment) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  if (!type)
    return llvm::createStringError("no tensor");
  if (auto dense = dyn_cast<DenseElementsAttr>(value)) {
    if (isa<DenseStringElementsAttr>(value) || !bytesOf(type))
      return llvm::createStringError("a tensor of strings has no raw form");
    return own(rawFromDense(dense), type);
  }
  if (auto proto = dyn_cast<ProtoAttr>(value))
    if (proto.getMessage() == "SparseTensorProto")
      return readSparse(proto, type);
  auto file = dyn_cast<FileAttr>(value);
  if (!file)
    return llvm::createStringError("a tensor that is neither elements nor a range of a file");
  std::optional<uint64_t> expected = bytesOf(type);
  if (!expected || *expected != file.getLength())
    return llvm::createStringError(
        "'" + file.getPath() + "' is to give " + llvm::Twine(file.getLength()) +
        " bytes, the type needs " +
        (expected ? llvm::Twine(*expected) : llvm::Twine("another form")));
  uint64_t end = file.getOffset() + file.getLength();
  if (end < file.getOffset())
    return llvm::createStringError("'" + file.getPath() + "': offset overflows");
  auto mapped = map(file.getPath(), end);
  if (!mapped)
    return mapped.takeError();
  llvm::StringRef bytes = (*mapped)->bytes();
  if (end > bytes.size())
    return llvm::createStringError("'" + file.getPath() + "' has " + llvm::Twine(bytes.size()) +
                                   " bytes, the tensor needs bytes " +
                                   llvm::Twine(file.getOffset()) + " to " + llvm::Twine(end));
  const char *data = bytes.data() + file.getOffset();
  if (reinterpret_cast<uintptr_t>(data) % alignment)
    return own({data, data + file.getLength()}, type);
  return WeightData{
      {data, static_cast<size_t>(file.getLength())}, *mapped, type, *mapped, file.getOffset()};
}

void WeightReader::advise(TypedAttr value, MappedFile::Advice advice) {
  auto file = dyn_cast_if_present<FileAttr>(value);
  if (!file)
    return;
  auto mapped = map(file.getPath(), 0);
  if (mapped)
    (*mapped)->advise(file.getOffset(), file.getLength(), advice);
  else
    llvm::consumeError(mapped.takeError());
}

/// Appends each element of `data`, read as T, converted to To.
template <typename T, typename To>
static void convert(llvm::ArrayRef<char> data, std::vector<To> &out) {
  for (size_t i = 0; i + sizeof(T) <= data.size(); i += sizeof(T)) {
    T value;
    std::memcpy(&value, data.data() + i, sizeof(T));
    out.push_back(static_cast<To>(value));
  }
}

/// Integer and bool element types; false for others.
template <typename To> static bool convertIntegers(const WeightData &data, std::vector<To> &out) {
  using namespace rt;
  switch (static_cast<DType>(onnx::dataTypeOf(data.type.getElementType()))) {
  case DType::U8:
  case DType::Bool:
    convert<uint8_t>(data.bytes, out);
    return true;
  case DType::I8:
    convert<int8_t>(data.bytes, out);
    return true;
  case DType::U16:
    convert<uint16_t>(data.bytes, out);
    return true;
  case DType::I16:
    convert<int16_t>(data.bytes, out);
    return true;
  case DType::U32:
    convert<uint32_t>(data.bytes, out);
    return true;
  case DType::I32:
    convert<int32_t>(data.bytes, out);
    return true;
  case DType::U64:
    convert<uint64_t>(data.bytes, out);
    return true;
  case DType::I64:
    convert<int64_t>(data.bytes, out);
    return true;
  default:
    break;
  }
  auto integer = dyn_cast<IntegerType>(data.type.getElementType());
  if (!integer || integer.getWidth() >= 8)
    return false;
  // 2 and 4 bits, low bits first.
  unsigned bits = integer.getWidth(), perByte = 8 / bits;
  for (int64_t i = 0; i < data.type.getNumElements(); ++i) {
    unsigned value = static_cast<unsigned char>(data.bytes[i / perByte]) >> (i % perByte * bits) &
                     ((1u << bits) - 1);
    bool negative = !integer.isUnsigned() && value >> (bits - 1);
    out.push_back(static_cast<To>(negative ? static_cast<int>(value) - (1 << bits)
                                           : static_cast<int>(value)));
  }
  return true;
}

static llvm::Error wrongType(Type type, llvm::StringRef expected) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return llvm::createStringError("expected " + expected + ", found " + text);
}

llvm::Expected<std::vector<int64_t>> WeightReader::integers(TypedAttr value) {
  auto data = read(value, 1);
  if (!data)
    return data.takeError();
  std::vector<int64_t> out;
  out.reserve(data->type.getNumElements());
  if (!convertIntegers(*data, out))
    return wrongType(data->type, "a tensor of integers");
  return out;
}

llvm::Expected<std::vector<float>> WeightReader::floats(TypedAttr value) {
  auto data = read(value, 1);
  if (!data)
    return data.takeError();
  std::vector<float> out;
  out.reserve(data->type.getNumElements());
  Type element = data->type.getElementType();
  if (element.isF32())
    convert<float>(data->bytes, out);
  else if (element.isF64())
    convert<double>(data->bytes, out);
  else if (element.isF16())
    convert<rt::Half>(data->bytes, out);
  else if (element.isBF16())
    convert<rt::BFloat16>(data->bytes, out);
  else if (auto narrow = dyn_cast<FloatType>(element)) {
    // At most 8 bits: a table of all values.
    unsigned bits = narrow.getWidth();
    if (bits > 8)
      return wrongType(data->type, "a tensor of numbers");
    std::vector<float> table(size_t(1) << bits);
    for (size_t i = 0; i < table.size(); ++i) {
      llvm::APFloat number(narrow.getFloatSemantics(), llvm::APInt(bits, i));
      bool loses;
      number.convert(llvm::APFloat::IEEEsingle(), llvm::APFloat::rmNearestTiesToEven, &loses);
      table[i] = number.convertToFloat();
    }
    for (int64_t i = 0; i < data->type.getNumElements(); ++i) {
      uint64_t bit = static_cast<uint64_t>(i) * bits, byte = bit / 8, shift = bit % 8;
      unsigned pair = static_cast<unsigned char>(data->bytes[byte]);
      if (shift + bits > 8)
        pair |= static_cast<unsigned>(static_cast<unsigned char>(data->bytes[byte + 1])) << 8;
      out.push_back(table[(pair >> shift) & (table.size() - 1)]);
    }
  } else if (!convertIntegers(*data, out))
    return wrongType(data->type, "a tensor of numbers");
  return out;
}
