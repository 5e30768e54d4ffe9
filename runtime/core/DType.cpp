#include "DType.h"

namespace uoe::rt {

int bitsOf(DType type) {
  switch (type) {
  case DType::None:
  case DType::String:
    return 0;
  case DType::U4:
  case DType::I4:
  case DType::F4E2M1:
    return 4;
  case DType::U8:
  case DType::I8:
  case DType::Bool:
  case DType::F8E4M3FN:
  case DType::F8E4M3FNUZ:
  case DType::F8E5M2:
  case DType::F8E5M2FNUZ:
  case DType::F8E8M0:
    return 8;
  case DType::U16:
  case DType::I16:
  case DType::F16:
  case DType::BF16:
    return 16;
  case DType::F32:
  case DType::I32:
  case DType::U32:
    return 32;
  case DType::I64:
  case DType::U64:
  case DType::F64:
  case DType::C64:
    return 64;
  case DType::C128:
    return 128;
  }
  return 0;
}

const char *nameOf(DType type) {
  static const char *const names[] = {
      "none",           "float",    "uint8",        "int8",           "uint16",
      "int16",          "int32",    "int64",        "string",         "bool",
      "float16",        "double",   "uint32",       "uint64",         "complex64",
      "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
      "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0"};
  auto index = static_cast<size_t>(type);
  return index < sizeof(names) / sizeof(*names) ? names[index] : "unknown";
}

size_t bytesOf(DType type, int64_t count) {
  return (static_cast<size_t>(count) * static_cast<size_t>(bitsOf(type)) + 7) / 8;
}

} // namespace uoe::rt
