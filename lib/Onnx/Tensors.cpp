// TensorProto -> elements or a range of a file.
#include "lib/Onnx/Convert.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using llvm::createStringError;
using llvm::Twine;

namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

llvm::Expected<std::string> uoe::resolveExternal(StringRef modelPath, StringRef location) {
  auto refuse = [&](const Twine &why) {
    return createStringError("external data '" + location + "' " + why);
  };
  if (location.empty() || location.contains('\0'))
    return refuse("has no usable path");
  if (path::is_absolute(location))
    return refuse("is an absolute path, expected one inside the model's folder");
  llvm::SmallString<256> whole(path::parent_path(modelPath));
  if (whole.empty())
    whole = ".";
  for (auto part = path::begin(location), end = path::end(location); part != end; ++part) {
    if (*part == ".." || *part == "~")
      return refuse("leaves the model's folder");
    if (*part == ".")
      continue;
    path::append(whole, *part);
    fs::file_status status;
    if (std::error_code code = fs::status(whole, status, /*follow=*/false))
      return refuse("can't be read: " + code.message());
    if (status.type() == fs::file_type::symlink_file)
      return refuse("passes through the link '" + whole + "'");
  }
  fs::file_status status;
  if (fs::status(whole, status, /*follow=*/false) || status.type() != fs::file_type::regular_file)
    return refuse("is no regular file");
  StringRef result = whole;
  return path::parent_path(modelPath).empty() ? result.drop_front(2).str() : result.str();
}

void TensorReader::clearTaken(proto::TensorProto &t) {
  t.clear_dims();
  t.clear_data_type();
  t.clear_raw_data();
  t.clear_float_data();
  t.clear_double_data();
  t.clear_int32_data();
  t.clear_int64_data();
  t.clear_uint64_data();
  t.clear_string_data();
  t.clear_external_data();
  t.clear_data_location();
}

template <typename T, typename Values> static std::string packAs(const Values &values) {
  std::string raw;
  raw.reserve(values.size() * sizeof(T));
  for (auto value : values) {
    T element = static_cast<T>(value);
    raw.append(reinterpret_cast<const char *>(&element), sizeof(T));
  }
  return raw;
}

/// The raw form of a tensor that uses the field of its type, and that field's name.
static std::pair<std::string, const char *> rawFromTyped(const proto::TensorProto &t,
                                                         unsigned bits) {
  using Proto = proto::TensorProto;
  switch (t.data_type()) {
  case Proto::FLOAT:
  case Proto::COMPLEX64:
    return {packAs<float>(t.float_data()), "float_data"};
  case Proto::DOUBLE:
  case Proto::COMPLEX128:
    return {packAs<double>(t.double_data()), "double_data"};
  case Proto::INT64:
    return {packAs<int64_t>(t.int64_data()), "int64_data"};
  case Proto::UINT64:
    return {packAs<uint64_t>(t.uint64_data()), "uint64_data"};
  case Proto::UINT32:
    return {packAs<uint32_t>(t.uint64_data()), "uint64_data"};
  default:
    break;
  }
  if (bits == 32)
    return {packAs<int32_t>(t.int32_data()), "int32_data"};
  if (bits == 16)
    return {packAs<uint16_t>(t.int32_data()), "int32_data"};
  if (bits != 6) // 2 and 4 bits are packed already
    return {packAs<uint8_t>(t.int32_data()), "int32_data"};
  std::string raw((t.int32_data_size() * 6 + 7) / 8, '\0');
  for (int i = 0; i < t.int32_data_size(); ++i) {
    unsigned value = static_cast<unsigned>(t.int32_data(i) & 63) << (i * 6 % 8);
    raw[i * 6 / 8] = static_cast<char>(raw[i * 6 / 8] | value);
    if (value > 255)
      raw[i * 6 / 8 + 1] = static_cast<char>(value >> 8);
  }
  return {std::move(raw), "int32_data"};
}

static std::string describe(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static llvm::Error wrongSize(StringRef what, uint64_t found, Type type, uint64_t expected) {
  return createStringError(what + " has " + Twine(found) + " bytes, " + describe(type) + " needs " +
                           Twine(expected));
}

llvm::Expected<TypedAttr> TensorReader::read(const proto::TensorProto &t) {
  Type element = elementTypeOf(context, t.data_type());
  if (!element || isa<AnyType>(element))
    return createStringError("has element type " + Twine(t.data_type()) +
                             ", expected a TensorProto.DataType");
  for (int i = 0; i < t.dims_size(); ++i)
    if (t.dims(i) < 0)
      return createStringError("has dimension " + Twine(i) + " = " + Twine(t.dims(i)) +
                               ", expected 0 or more");
  if (t.has_segment())
    return createStringError("is stored in segments, which ONNX defines no way to join");
  auto type = RankedTensorType::get({t.dims().data(), static_cast<size_t>(t.dims_size())}, element);
  if (isa<StringType>(element))
    return strings(t, type);
  std::optional<uint64_t> size = bytesOf(type);
  if (!size)
    return createStringError("has a size that overflows: " + describe(type));
  if (t.data_location() == proto::TensorProto::EXTERNAL)
    return external(t, type, *size);
  auto cut = skeleton.cut.find(&t);
  if (cut != skeleton.cut.end()) {
    DataRange range = cut->second;
    auto complexOf = dyn_cast<ComplexType>(element);
    Type real = complexOf ? complexOf.getElementType() : element;
    if ((range.field == 4 && !real.isF32()) || (range.field == 10 && !real.isF64()))
      return createStringError(Twine("has ") + (range.field == 4 ? "float_data" : "double_data") +
                               " and element type " + describe(element));
    if (range.length != *size)
      return wrongSize("its data", range.length, type, *size);
    if (!path.empty())
      return TypedAttr(FileAttr::get(context, type, path, range.offset, range.length));
    StringRef data = bytes.substr(range.offset, range.length);
    return TypedAttr(denseFromRaw(type, {data.data(), data.size()}));
  }
  if (t.has_raw_data()) {
    if (t.raw_data().size() != *size)
      return wrongSize("raw_data", t.raw_data().size(), type, *size);
    return TypedAttr(denseFromRaw(type, {t.raw_data().data(), t.raw_data().size()}));
  }
  auto [raw, field] = rawFromTyped(t, bitsOf(element));
  if (raw.size() != *size)
    return wrongSize(field, raw.size(), type, *size);
  return TypedAttr(denseFromRaw(type, {raw.data(), raw.size()}));
}

llvm::Expected<TypedAttr> TensorReader::strings(const proto::TensorProto &t,
                                                RankedTensorType type) {
  uint64_t count = 1;
  for (int64_t dim : type.getShape()) {
    auto product = llvm::checkedMulUnsigned<uint64_t>(count, dim);
    count = product ? *product : ~uint64_t(0);
  }
  if (llvm::is_contained(type.getShape(), 0))
    count = 0;
  if (t.has_raw_data() || t.data_location() == proto::TensorProto::EXTERNAL)
    return createStringError("holds strings in raw form, expected string_data");
  if (count != static_cast<uint64_t>(t.string_data_size()))
    return createStringError("string_data has " + Twine(t.string_data_size()) + " elements, " +
                             describe(type) + " needs " + Twine(count));
  SmallVector<StringRef> values(t.string_data().begin(), t.string_data().end());
  return TypedAttr(DenseStringElementsAttr::get(type, values));
}

llvm::Expected<TypedAttr> TensorReader::external(const proto::TensorProto &t, RankedTensorType type,
                                                 uint64_t expected) {
  StringRef location;
  uint64_t offset = 0, length = expected;
  for (const auto &entry : t.external_data()) {
    if (entry.key() == "location")
      location = entry.value();
    uint64_t *number = entry.key() == "offset"   ? &offset
                       : entry.key() == "length" ? &length
                                                 : nullptr;
    if (number && StringRef(entry.value()).getAsInteger(10, *number))
      return createStringError("has the external " + entry.key() + " '" + entry.value() +
                               "', expected a number of bytes");
  }
  if (path.empty())
    return createStringError("has external data, but the model was not read from a file");
  if (length != expected)
    return wrongSize("its external data", length, type, expected);
  auto whole = resolveExternal(path, location);
  if (!whole)
    return whole.takeError();
  std::shared_ptr<MappedFile> &file = files[*whole];
  if (!file) {
    auto opened = MappedFile::open(*whole);
    if (!opened)
      return opened.takeError();
    file = *opened;
  }
  uint64_t available = file->bytes().size();
  if (offset > available || length > available - offset)
    return createStringError("needs bytes " + Twine(offset) + " to " + Twine(offset + length) +
                             " of '" + *whole + "', which has " + Twine(available));
  if (length <= kSmallTensor)
    return TypedAttr(
        denseFromRaw(type, {file->bytes().data() + offset, static_cast<size_t>(length)}));
  return TypedAttr(FileAttr::get(context, type, *whole, offset, length));
}

llvm::Expected<TypedAttr> TensorReader::read(const proto::SparseTensorProto &sparse) {
  SmallVector<int64_t> shape(sparse.dims().begin(), sparse.dims().end());
  for (int64_t dim : shape)
    if (dim < 0)
      return createStringError("has dimension " + Twine(dim) + ", expected 0 or more");
  // Normalised by way of elements, so that whoever reads the result need know the raw form alone.
  proto::SparseTensorProto normal = sparse;
  std::pair<const proto::TensorProto *, proto::TensorProto *> parts[] = {
      {&sparse.values(), normal.mutable_values()}, {&sparse.indices(), normal.mutable_indices()}};
  for (auto [from, to] : parts) {
    auto value = read(*from);
    if (!value)
      return value.takeError();
    WeightReader reader;
    auto data = reader.read(*value, 1);
    if (!data)
      return data.takeError();
    proto::TensorProto kept = *from;
    clearTaken(kept);
    *to = kept;
    for (int64_t dim : data->type.getShape())
      to->add_dims(dim);
    to->set_data_type(dataTypeOf(data->type.getElementType()));
    to->set_raw_data(data->bytes.data(), data->bytes.size());
  }
  auto type = RankedTensorType::get(shape, elementTypeOf(context, sparse.values().data_type()));
  auto result = TypedAttr(
      ProtoAttr::get(context, type, "SparseTensorProto", llvm::toHex(normal.SerializeAsString())));
  // The reader checks sizes and indices; a tensor that it can't read is refused here. The dense
  // form of a huge sparse tensor is not made for that.
  if (bytesOf(type) && *bytesOf(type) <= (64u << 20)) {
    WeightReader reader;
    auto data = reader.read(result, 1);
    if (!data)
      return data.takeError();
  }
  return result;
}
