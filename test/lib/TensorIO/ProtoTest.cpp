#include "lib/TensorIO/Proto.h"
#include "lib/Files/AtomicFile.h"
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace uoe;
using rt::DType;

static std::string file(const std::string &name) {
  std::string path = testing::TempDir() + "uoe-proto-" + std::to_string(getpid());
  std::filesystem::create_directories(path);
  return path + "/" + name;
}

static std::string messageOf(const std::string &path, PortKind kind = PortKind::Tensor) {
  try {
    readValueProto(path, kind);
  } catch (const rt::Error &error) {
    return error.what();
  }
  return "";
}

/// A length-delimited field of the wire format; short ones only.
static std::string field(int number, const std::string &content) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(content.size())} +
         content;
}
static std::string field(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}

TEST(Proto, TensorsComeBack) {
  for (DType type : {DType::Bool, DType::I8, DType::U16, DType::I64, DType::F16, DType::BF16,
                     DType::F32, DType::F64, DType::U4}) {
    rt::Tensor tensor(type, {3, 2});
    std::memset(tensor.raw(), 1, tensor.bytes());
    writeTensorProto(file("t.pb"), tensor, "weight");
    NamedValue back = readValueProto(file("t.pb"), PortKind::Tensor);
    EXPECT_EQ(back.name, "weight");
    EXPECT_EQ(back.value.tensor.dtype(), type);
    EXPECT_EQ(back.value.tensor.shape(), tensor.shape());
    EXPECT_EQ(std::memcmp(back.value.tensor.raw(), tensor.raw(), tensor.bytes()), 0);
  }
}

TEST(Proto, TypedFields) {
  // int32_data holds every small type: two float16 bit patterns.
  writeFile(file("h.pb"), field(1, 2) + field(2, 10) + field(5, std::string("\x01\x02", 2)));
  rt::Tensor half = readValueProto(file("h.pb"), PortKind::Tensor).value.tensor;
  EXPECT_EQ(half.dtype(), DType::F16);
  EXPECT_EQ(half.data<uint16_t>()[1], 2);
  // int4: three elements in two bytes, one byte a value.
  writeFile(file("n.pb"), field(1, 3) + field(2, 22) + field(5, std::string("\x21\x03", 2)));
  rt::Tensor nibbles = readValueProto(file("n.pb"), PortKind::Tensor).value.tensor;
  EXPECT_EQ(nibbles.dtype(), DType::I4);
  EXPECT_EQ(nibbles.data<uint8_t>()[0], 0x21);
}

TEST(Proto, SequencesAndOptionals) {
  std::string tensor = field(1, 1) + field(2, 3) + field(9, std::string("\x07", 1));
  writeFile(file("s.pb"), field(2, 1) + field(3, tensor) + field(3, tensor));
  NamedValue sequence = readValueProto(file("s.pb"), PortKind::Sequence);
  ASSERT_EQ(sequence.value.sequence.size(), 2u);
  EXPECT_EQ(sequence.value.sequence[1].data<int8_t>()[0], 7);

  writeFile(file("o.pb"), field(2, 1) + field(3, tensor));
  NamedValue optional = readValueProto(file("o.pb"), PortKind::Optional);
  ASSERT_EQ(optional.value.kind, rt::Value::Kind::Tensor);
  EXPECT_EQ(optional.value.tensor.data<int8_t>()[0], 7);

  writeFile(file("e.pb"), "");
  EXPECT_FALSE(readValueProto(file("e.pb"), PortKind::Optional).value);
  EXPECT_EQ(readValueProto(file("e.pb"), PortKind::Sequence).value.kind, rt::Value::Kind::Sequence);
}

TEST(Proto, DamageIsNamed) {
  EXPECT_NE(messageOf(file("absent.pb")).find("cannot read"), std::string::npos);
  writeFile(file("bad.pb"), "\xff\xff\xff");
  EXPECT_NE(messageOf(file("bad.pb")).find("not a valid TensorProto"), std::string::npos);
  // A shape of 100 floats over 4 bytes of data, raw and typed.
  writeFile(file("short.pb"), field(1, 100) + field(2, 1) + field(9, "1234"));
  EXPECT_NE(messageOf(file("short.pb")).find("needs 400 bytes, found 4"), std::string::npos);
  writeFile(file("short.pb"), field(1, 2) + field(2, 1) + field(4, "1234"));
  EXPECT_NE(messageOf(file("short.pb")).find("needs 2 values, found 1"), std::string::npos);
  writeFile(file("string.pb"), field(1, 1) + field(2, 8) + field(6, "x"));
  EXPECT_NE(messageOf(file("string.pb")).find("string is not supported"), std::string::npos);
}
