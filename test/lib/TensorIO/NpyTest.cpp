#include "lib/TensorIO/Npy.h"
#include "lib/Files/AtomicFile.h"
#include <filesystem>
#include <gtest/gtest.h>

using namespace uoe;
using rt::DType;

static std::string npy(const std::string &header, const std::string &data) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes + header + data;
}

static std::string messageOf(const std::string &bytes) {
  try {
    parseNpy(bytes, "x.npy");
  } catch (const rt::Error &error) {
    return error.what();
  }
  return "";
}

static std::string folder() {
  std::string path = testing::TempDir() + "uoe-npy-" + std::to_string(getpid());
  std::filesystem::create_directories(path);
  return path + "/";
}

TEST(Npy, EveryTypeComesBack) {
  for (DType type : {DType::Bool, DType::I8, DType::U8, DType::I16, DType::U16, DType::I32,
                     DType::U32, DType::I64, DType::U64, DType::F16, DType::BF16, DType::F32,
                     DType::F64, DType::C64, DType::C128})
    for (const rt::Shape &shape : {rt::Shape{}, {3}, {2, 3}, {0, 4}, {2, 1, 5}}) {
      rt::Tensor tensor(type, shape);
      for (size_t i = 0; i < tensor.bytes(); ++i)
        tensor.data<uint8_t>()[i] = type == DType::Bool ? i % 2 : static_cast<uint8_t>(i * 37 + 1);
      std::string bytes = formatNpy(tensor);
      EXPECT_EQ((bytes.size() - tensor.bytes()) % 64, 0u);
      rt::Tensor back = parseNpy(bytes, "x.npy");
      EXPECT_EQ(back.dtype(), type);
      EXPECT_EQ(back.shape(), shape);
      EXPECT_EQ(std::memcmp(back.raw(), tensor.raw(), tensor.bytes()), 0) << rt::describe(tensor);
    }
}

TEST(Npy, FortranOrder) {
  std::string header = "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n";
  int16_t columns[] = {1, 4, 2, 5, 3, 6};
  rt::Tensor tensor =
      parseNpy(npy(header, std::string(reinterpret_cast<char *>(columns), 12)), "x.npy");
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(tensor.data<int16_t>()[i], i + 1);
}

TEST(Npy, BigEndian) {
  std::string header = "{'shape': (1,), 'fortran_order': False, 'descr': '>i4'}";
  rt::Tensor tensor = parseNpy(npy(header, std::string("\x01\x02\x03\x04", 4)), "x.npy");
  EXPECT_EQ(tensor.data<int32_t>()[0], 0x01020304);
}

TEST(Npy, FourBitIntegersBecomeBytes) {
  rt::Tensor tensor(DType::I4, {3});
  tensor.data<uint8_t>()[0] = 0x7f; // -1, 7
  tensor.data<uint8_t>()[1] = 0x08; // -8
  rt::Tensor back = parseNpy(formatNpy(tensor), "x.npy");
  ASSERT_EQ(back.dtype(), DType::I8);
  EXPECT_EQ(back.data<int8_t>()[0], -1);
  EXPECT_EQ(back.data<int8_t>()[1], 7);
  EXPECT_EQ(back.data<int8_t>()[2], -8);
}

TEST(Npy, DamageIsNamed) {
  auto header = [](const std::string &descr, const std::string &shape) {
    return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  };
  EXPECT_NE(messageOf("hello").find("not a .npy file"), std::string::npos);
  EXPECT_NE(messageOf(npy(header("<f4", "(3,)"), "12345678")).find("takes 12 bytes, found 8"),
            std::string::npos);
  EXPECT_NE(messageOf(npy(header("<U7", "(3,)"), "")).find("elements of type '<U7'"),
            std::string::npos);
  EXPECT_NE(messageOf(npy(header("<f4", "(99999999999999999999,)"), "")).find("too large"),
            std::string::npos);
  EXPECT_NE(messageOf(npy(header("<f8", "(4611686018427387904, 8)"), "")).find("too large"),
            std::string::npos);
  EXPECT_NE(messageOf(npy(header("<f4", "(-1,)"), "")).find("malformed shape"), std::string::npos);
  EXPECT_NE(messageOf(npy("{'descr': '<f4'}", "")).find("lacks"), std::string::npos);
  EXPECT_NE(messageOf(npy("{'descr': [('a', '<f4')], ", "")).find("structure"), std::string::npos);
  EXPECT_NE(messageOf(std::string("\x93NUMPY\x01\x00\xff\x00{", 11)).find("truncated header"),
            std::string::npos);
  std::string whole = npy(header("<f4", "(1,)"), "1234");
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(messageOf(whole.substr(0, length)), "") << length;
}

TEST(Npz, ArraysComeBackInOrder) {
  std::string path = folder() + "a.npz";
  rt::Tensor ids = rt::makeInts({1, 2, 3}), half(DType::F16, {2, 2});
  std::memset(half.raw(), 0x3c, half.bytes());
  writeNpz(path, {{"ids", ids}, {"a/b", half}});
  auto back = readNpz(path);
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(back[0].first, "ids");
  EXPECT_EQ(back[1].first, "a/b");
  EXPECT_EQ(rt::toInts(back[0].second, "ids"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(back[1].second.shape(), (rt::Shape{2, 2}));
  writeFile(path, "PK nothing");
  EXPECT_THROW(readNpz(path), rt::Error);
}

TEST(AtomicFile, NothingIsLeftUnfinished) {
  std::string path = folder() + "atomic";
  writeFile(path, "old");
  {
    AtomicFile file(path);
    ASSERT_TRUE(file.open() && file.write({"new", 3}));
  }
  EXPECT_EQ(readFile(path), "old");
  size_t entries = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder()))
    entries += entry.path().filename().string().rfind("atomic", 0) == 0;
  EXPECT_EQ(entries, 1u);
}

TEST(AtomicFile, Refusals) {
  EXPECT_THROW(writeFile("/nonexistent/folder/x", "1"), rt::Error);
  EXPECT_THROW(writeFile(folder(), "1"), rt::Error);
  EXPECT_THROW(readFile(folder()), rt::Error);
  // A device that is always full must fail, not truncate.
  if (std::filesystem::exists("/dev/full")) {
    EXPECT_THROW(writeFile("/dev/full", std::string(1 << 20, 'x')), rt::Error);
  }
}
