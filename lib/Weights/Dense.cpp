// Elements attributes and the raw form. MLIR keeps one element a byte where ONNX packs several, and
// bool as single bits.
#include "lib/Weights/Weights.h"

using namespace mlir;
using namespace uoe;

/// True if the raw form has several elements a byte.
static bool isPacked(unsigned bits) {
  return bits < 8;
}

DenseElementsAttr uoe::denseFromRaw(RankedTensorType type, llvm::ArrayRef<char> raw) {
  Type element = type.getElementType();
  size_t count = static_cast<size_t>(type.getNumElements());
  if (element.isInteger(1)) {
    std::unique_ptr<bool[]> bools(new bool[count]);
    for (size_t i = 0; i < count; ++i)
      bools[i] = raw[i] != 0;
    return DenseElementsAttr::get(type, llvm::ArrayRef<bool>(bools.get(), count));
  }
  unsigned bits = onnx::bitsOf(element);
  std::vector<char> unpacked;
  if (isPacked(bits)) {
    unpacked.resize(count);
    for (size_t i = 0; i < count; ++i) {
      size_t bit = i * bits, byte = bit / 8, shift = bit % 8;
      unsigned pair = static_cast<unsigned char>(raw[byte]);
      if (shift + bits > 8)
        pair |= static_cast<unsigned>(static_cast<unsigned char>(raw[byte + 1])) << 8;
      unpacked[i] = static_cast<char>((pair >> shift) & ((1u << bits) - 1));
    }
    raw = unpacked;
  }
  size_t width = count ? raw.size() / count : 0;
  // One element stands for all where they are equal.
  if (count > 1 && std::equal(raw.begin() + width, raw.end(), raw.begin()))
    raw = raw.take_front(width);
  return DenseElementsAttr::getFromRawBuffer(type, raw);
}

std::vector<char> uoe::rawFromDense(DenseElementsAttr dense) {
  auto type = cast<ShapedType>(dense.getType());
  size_t count = static_cast<size_t>(type.getNumElements());
  std::vector<char> raw;
  if (type.getElementType().isInteger(1)) {
    raw.reserve(count);
    for (bool value : dense.getValues<bool>())
      raw.push_back(value);
    return raw;
  }
  llvm::ArrayRef<char> data = dense.getRawData();
  unsigned bits = onnx::bitsOf(type.getElementType());
  if (isPacked(bits)) {
    raw.resize((count * bits + 7) / 8);
    for (size_t i = 0; i < count; ++i) {
      unsigned value =
          static_cast<unsigned char>(data[dense.isSplat() ? 0 : i]) & ((1u << bits) - 1);
      size_t bit = i * bits, byte = bit / 8, shift = bit % 8;
      raw[byte] = static_cast<char>(static_cast<unsigned char>(raw[byte]) | value << shift);
      if (shift + bits > 8)
        raw[byte + 1] = static_cast<char>(value >> (8 - shift));
    }
    return raw;
  }
  if (!dense.isSplat() || count == 0)
    return {data.begin(), data.begin() + count * (bits / 8)};
  raw.reserve(count * (bits / 8));
  for (size_t i = 0; i < count; ++i)
    raw.insert(raw.end(), data.begin(), data.begin() + bits / 8);
  return raw;
}
