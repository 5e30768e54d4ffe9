#include "Npy.h"
#include "lib/Files/AtomicFile.h"
#include <algorithm>
#include <cstring>

namespace uoe {
using rt::DType;

namespace {
/// A reader of the header: a Python dictionary with the keys descr, fortran_order and shape.
struct Header {
  const std::string &text;
  const std::string &name;
  size_t at = 0;
  std::string descr;
  bool fortran = false;
  rt::Shape shape;

  [[noreturn]] void bad(const char *why) const {
    rt::fail("'", name, "' is not a valid .npy file: ", why);
  }
  void blank() {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])))
      ++at;
  }
  bool accept(char c) {
    blank();
    if (at >= text.size() || text[at] != c)
      return false;
    ++at;
    return true;
  }
  void expect(char c) {
    if (!accept(c))
      bad("malformed header");
  }
  std::string quoted() {
    blank();
    char quote = at < text.size() ? text[at] : 0;
    if (quote != '\'' && quote != '"')
      bad("its element type is a structure, or its header is malformed");
    size_t end = text.find(quote, ++at);
    if (end == std::string::npos)
      bad("malformed header");
    std::string value = text.substr(at, end - at);
    at = end + 1;
    return value;
  }
  int64_t integer() {
    blank();
    size_t begin = at;
    int64_t value = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text[at] - '0', &value))
        bad("a dimension is too large");
    }
    if (at == begin)
      bad("malformed shape");
    if (at < text.size() && text[at] == 'L') // as Python 2 wrote long integers
      ++at;
    return value;
  }
  void parse() {
    bool hasDescr = false, hasOrder = false, hasShape = false;
    expect('{');
    while (!accept('}')) {
      std::string key = quoted();
      expect(':');
      if (key == "descr") {
        descr = quoted();
        hasDescr = true;
      } else if (key == "fortran_order") {
        blank();
        fortran = text.compare(at, 4, "True") == 0;
        if (!fortran && text.compare(at, 5, "False") != 0)
          bad("malformed header");
        at += fortran ? 4 : 5;
        hasOrder = true;
      } else if (key == "shape") {
        expect('(');
        while (!accept(')')) {
          shape.push_back(integer());
          if (!accept(',') && !(at < text.size() && text[at] == ')'))
            bad("malformed shape");
        }
        hasShape = true;
      } else {
        bad("unknown key in the header");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!hasDescr || !hasOrder || !hasShape)
      bad("its header lacks descr, fortran_order or shape");
  }
};

struct Kind {
  DType type;
  const char *code; // NumPy's, without byte order
};
constexpr Kind kinds[] = {{DType::Bool, "b1"}, {DType::I8, "i1"},    {DType::U8, "u1"},
                          {DType::I16, "i2"},  {DType::U16, "u2"},   {DType::I32, "i4"},
                          {DType::U32, "u4"},  {DType::I64, "i8"},   {DType::U64, "u8"},
                          {DType::F16, "f2"},  {DType::F32, "f4"},   {DType::F64, "f8"},
                          {DType::C64, "c8"},  {DType::C128, "c16"}, {DType::BF16, "V2"}};

/// Row-major from column-major.
void fromFortran(const char *source, char *target, const rt::Shape &shape, size_t width) {
  int64_t count = rt::elementCount(shape);
  std::vector<int64_t> index(shape.size(), 0), strides(shape.size(), 1);
  for (size_t i = 1; i < shape.size(); ++i)
    strides[i] = strides[i - 1] * shape[i - 1];
  for (int64_t n = 0, from = 0; n < count; ++n) {
    std::memcpy(target + n * width, source + from * width, width);
    for (size_t axis = shape.size(); axis-- > 0;) {
      from += strides[axis];
      if (++index[axis] < shape[axis])
        break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}
} // namespace

rt::Tensor parseNpy(const std::string &bytes, const std::string &name) {
  static const char magic[] = "\x93NUMPY";
  if (bytes.size() < 10 || bytes.compare(0, 6, magic, 6) != 0)
    rt::fail("'", name, "' is not a .npy file");
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
  size_t major = byte(6), begin = major == 1 ? 10 : 12;
  if (major < 1 || major > 3 || bytes.size() < begin)
    rt::fail("'", name, "' is not a valid .npy file: unknown format version ", major);
  size_t length = byte(8) | byte(9) << 8;
  if (major > 1)
    length |= byte(10) << 16 | byte(11) << 24;
  if (length > bytes.size() - begin)
    rt::fail("'", name, "' is not a valid .npy file: truncated header");
  std::string text = bytes.substr(begin, length);
  Header header{text, name, 0, {}, false, {}};
  header.parse();

  char order = header.descr.empty() ? '?' : header.descr[0];
  DType type = DType::None;
  for (const Kind &kind : kinds)
    if (header.descr.size() > 1 && header.descr.substr(1) == kind.code)
      type = kind.type;
  if (type == DType::None || !std::strchr("<>|=", order))
    rt::fail("'", name, "' has elements of type '", header.descr,
             "'; expected booleans, integers or floating-point numbers");

  size_t width = rt::bitsOf(type) / 8;
  int64_t total = static_cast<int64_t>(width);
  bool empty = std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end();
  for (int64_t dim : header.shape)
    if (!empty && __builtin_mul_overflow(total, dim, &total))
      rt::fail("'", name, "' has a shape too large: ", rt::toString(header.shape));
  size_t found = bytes.size() - begin - length, needed = empty ? 0 : static_cast<size_t>(total);
  if (found < needed)
    rt::fail("'", name, "' is truncated: shape ", rt::toString(header.shape), " of '", header.descr,
             "' takes ", needed, " bytes, found ", found);

  rt::Tensor tensor(type, header.shape);
  const char *source = bytes.data() + begin + length;
  char *target = static_cast<char *>(tensor.raw());
  if (needed && header.fortran && header.shape.size() > 1)
    fromFortran(source, target, header.shape, width);
  else if (needed)
    std::memcpy(target, source, needed);
  size_t part = type == DType::C64 || type == DType::C128 ? width / 2 : width;
  if (order == '>' && part > 1)
    for (size_t i = 0; i < needed; i += part)
      std::reverse(target + i, target + i + part);
  if (type == DType::Bool)
    for (size_t i = 0; i < needed; ++i)
      target[i] = target[i] != 0;
  return tensor;
}

rt::Tensor readNpy(const std::string &path) {
  return parseNpy(readFile(path), path);
}

std::string formatNpy(const rt::Tensor &tensor) {
  std::string descr;
  for (const Kind &kind : kinds)
    if (kind.type == tensor.dtype())
      descr = (rt::bitsOf(kind.type) == 8 ? "|" : "<") + std::string(kind.code);
  bool packed = rt::bitsOf(tensor.dtype()) == 4;
  if (tensor.dtype() == DType::I4)
    descr = "|i1";
  else if (tensor.dtype() == DType::U4)
    descr = "|u1";
  else if (descr.empty() && (packed || rt::bitsOf(tensor.dtype()) == 8))
    descr = "<V1";
  rt::check(!descr.empty(), "a tensor of type ", rt::nameOf(tensor.dtype()),
            " cannot be written as .npy");

  std::string dims;
  for (int64_t dim : tensor.shape())
    dims += std::to_string(dim) + ", ";
  if (tensor.rank() > 1)
    dims.resize(dims.size() - 2);
  else if (tensor.rank() == 1)
    dims.resize(dims.size() - 1);
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + dims + "), }";
  header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::string result("\x93NUMPY\x01\x00", 8);
  result += static_cast<char>(header.size() & 0xff);
  result += static_cast<char>(header.size() >> 8);
  result += header;
  const char *data = static_cast<const char *>(tensor.raw());
  if (!packed)
    return result.append(data, tensor.bytes());
  for (int64_t i = 0; i < tensor.size(); ++i) {
    int bits = static_cast<unsigned char>(data[i / 2]) >> (i % 2 * 4) & 15;
    result += static_cast<char>(tensor.dtype() == DType::I4 && bits > 7 ? bits - 16 : bits);
  }
  return result;
}

void writeNpy(const std::string &path, const rt::Tensor &tensor) {
  writeFile(path, formatNpy(tensor));
}

} // namespace uoe
