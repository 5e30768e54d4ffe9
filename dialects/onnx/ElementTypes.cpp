// ONNX's element types and MLIR's.
#include "dialects/onnx/Onnx.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace uoe::onnx;

Type uoe::onnx::elementTypeOf(MLIRContext *c, int dataType) {
  auto integer = [&](unsigned bits) { return IntegerType::get(c, bits); };
  auto natural = [&](unsigned bits) { return IntegerType::get(c, bits, IntegerType::Unsigned); };
  switch (dataType) {
  case 0:
    return AnyType::get(c);
  case 1:
    return Float32Type::get(c);
  case 2:
    return natural(8);
  case 3:
    return integer(8);
  case 4:
    return natural(16);
  case 5:
    return integer(16);
  case 6:
    return integer(32);
  case 7:
    return integer(64);
  case 8:
    return StringType::get(c);
  case 9:
    return integer(1);
  case 10:
    return Float16Type::get(c);
  case 11:
    return Float64Type::get(c);
  case 12:
    return natural(32);
  case 13:
    return natural(64);
  case 14:
    return ComplexType::get(Float32Type::get(c));
  case 15:
    return ComplexType::get(Float64Type::get(c));
  case 16:
    return BFloat16Type::get(c);
  case 17:
    return Float8E4M3FNType::get(c);
  case 18:
    return Float8E4M3FNUZType::get(c);
  case 19:
    return Float8E5M2Type::get(c);
  case 20:
    return Float8E5M2FNUZType::get(c);
  case 21:
    return natural(4);
  case 22:
    return integer(4);
  case 23:
    return Float4E2M1FNType::get(c);
  case 24:
    return Float8E8M0FNUType::get(c);
  case 25:
    return natural(2);
  case 26:
    return integer(2);
  case 27:
    return Float6E2M3FNType::get(c);
  case 28:
    return Float6E3M2FNType::get(c);
  default:
    return {};
  }
}

int uoe::onnx::dataTypeOf(Type element) {
  // Types are uniqued, so the table above, read backwards, is the table.
  for (int dataType = 1; dataType <= 28; ++dataType)
    if (elementTypeOf(element.getContext(), dataType) == element)
      return dataType;
  return 0;
}

unsigned uoe::onnx::bitsOf(Type element) {
  if (auto complex = dyn_cast<ComplexType>(element))
    return 2 * bitsOf(complex.getElementType());
  if (!element.isIntOrFloat())
    return 0;
  unsigned bits = element.getIntOrFloatBitWidth();
  return bits == 1 ? 8 : bits;
}

std::optional<uint64_t> uoe::onnx::bytesOf(RankedTensorType type) {
  uint64_t total = bitsOf(type.getElementType());
  if (!total || !type.hasStaticShape())
    return {};
  // A dimension of 0 makes the tensor empty, whatever the others multiply to.
  if (llvm::is_contained(type.getShape(), 0))
    return 0;
  for (int64_t dim : type.getShape()) {
    std::optional<uint64_t> product = llvm::checkedMulUnsigned(total, static_cast<uint64_t>(dim));
    if (!product || *product > (uint64_t(1) << 62))
      return {};
    total = *product;
  }
  return (total + 7) / 8;
}
