#include "lib/Weights/Weights.h"
#include "lib/Files/AtomicFile.h"
#include "mlir/AsmParser/AsmParser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace uoe;

namespace {

class Weights : public testing::Test {
protected:
  Weights() { context.loadDialect<onnx::OnnxDialect, func::FuncDialect>(); }
  ~Weights() override { (void)llvm::sys::fs::remove_directories(folder); }

  void SetUp() override { ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("weights", folder)); }

  std::string file(StringRef name, StringRef bytes) {
    std::string path = (folder + "/" + name).str();
    AtomicFile out(path);
    EXPECT_TRUE(out.open() && out.write({bytes.data(), bytes.size()}) && out.finish());
    return path;
  }
  RankedTensorType type(StringRef text) {
    return cast<RankedTensorType>(parseType(text, &context));
  }
  TypedAttr inFile(StringRef t, StringRef path, uint64_t offset, uint64_t length) {
    return onnx::FileAttr::get(&context, type(t), path, offset, length);
  }
  TypedAttr attr(StringRef text) { return cast<TypedAttr>(parseAttribute(text, &context)); }
  std::string message(llvm::Error error) { return llvm::toString(std::move(error)); }

  MLIRContext context;
  llvm::SmallString<64> folder;
  WeightReader reader;
};

TEST_F(Weights, MapsFilesWithoutCopies) {
  std::string path = file("w", StringRef("01234567\0\0\x80\x3f\0\0\0\x40", 16));
  auto data = reader.read(inFile("tensor<2xf32>", path, 8, 8));
  ASSERT_TRUE(bool(data));
  EXPECT_EQ(data->as<float>()[0], 1.0f);
  EXPECT_EQ(data->as<float>()[1], 2.0f);
  auto again = reader.read(inFile("tensor<2xf32>", path, 8, 8));
  EXPECT_EQ(again->bytes.data(), data->bytes.data());
  // Off the alignment that is asked for, the bytes are copied.
  auto copied = reader.read(inFile("tensor<1xf32>", path, 9, 4), 4);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(copied->bytes.data()) % 4, 0u);
  EXPECT_EQ(copied->bytes[1], '\x80');
}

TEST_F(Weights, NamesWhatIsWrongWithAFile) {
  std::string path = file("w", "12345678");
  EXPECT_EQ(message(reader.read(inFile("tensor<2xf32>", path, 4, 8)).takeError()),
            "'" + path + "' has 8 bytes, the tensor needs bytes 4 to 12");
  EXPECT_EQ(message(reader.read(inFile("tensor<2xf32>", path, 0, 4)).takeError()),
            "'" + path + "' is to give 4 bytes, the type needs 8");
  EXPECT_EQ(message(reader.read(inFile("tensor<2xf32>", path, ~0ull - 3, 8)).takeError()),
            "'" + path + "': offset overflows");
  EXPECT_EQ(message(reader.read(inFile("tensor<2xf32>", path + "x", 0, 8)).takeError()),
            "can't open '" + path + "x': No such file or directory");
  EXPECT_EQ(message(reader.read(inFile("tensor<2xf32>", folder, 0, 8)).takeError()),
            "'" + folder.str().str() + "' is no regular file");
}

TEST_F(Weights, RawFormOfElements) {
  auto raw = [&](StringRef text) {
    auto data = reader.read(attr(text));
    EXPECT_TRUE(bool(data));
    return std::vector<unsigned char>(data->bytes.begin(), data->bytes.end());
  };
  using Bytes = std::vector<unsigned char>;
  EXPECT_EQ(raw("dense<[true, false, true]> : tensor<3xi1>"), (Bytes{1, 0, 1}));
  EXPECT_EQ(raw("dense<true> : tensor<2xi1>"), (Bytes{1, 1}));
  EXPECT_EQ(raw("dense<[1, -2, 3]> : tensor<3xi4>"), (Bytes{0xe1, 0x03}));
  EXPECT_EQ(raw("dense<15> : tensor<3xui4>"), (Bytes{0xff, 0x0f}));
  EXPECT_EQ(raw("dense<[0, 1, 2, 3, 1]> : tensor<5xui2>"), (Bytes{0xe4, 0x01}));
  EXPECT_EQ(raw("dense<[1.0, 0.125]> : tensor<2xf6E2M3FN>"), (Bytes{0x48, 0x00}));
  EXPECT_EQ(raw("dense<> : tensor<0xf32>"), Bytes{});
  EXPECT_EQ(raw("dense<1.0> : tensor<2xbf16>"), (Bytes{0x80, 0x3f, 0x80, 0x3f}));
}

TEST_F(Weights, RawFormThereAndBack) {
  for (StringRef text : {"tensor<7xi1>", "tensor<7xi2>", "tensor<7xui4>", "tensor<7xf6E3M2FN>",
                         "tensor<7xf4E2M1FN>", "tensor<7xf8E8M0FNU>", "tensor<7xf16>",
                         "tensor<7xui64>", "tensor<7xcomplex<f64>>", "tensor<0x7xi4>"}) {
    RankedTensorType t = type(text);
    std::vector<char> raw(*onnx::bytesOf(t));
    for (size_t i = 0; i < raw.size(); ++i)
      raw[i] = t.getElementType().isInteger(1) ? i % 2 : static_cast<char>(i * 37 + 11);
    // The last byte of a packed type is padded with zeros.
    unsigned bits = onnx::bitsOf(t.getElementType());
    if (unsigned used = t.getNumElements() * bits % 8)
      raw.back() = static_cast<char>(raw.back() & ((1 << used) - 1));
    EXPECT_EQ(rawFromDense(denseFromRaw(t, raw)), raw) << text.str();
  }
}

TEST_F(Weights, Conversions) {
  EXPECT_EQ(*reader.floats(attr("dense<[1.5, -2.0]> : tensor<2xf16>")),
            (std::vector<float>{1.5f, -2}));
  EXPECT_EQ(*reader.floats(attr("dense<[1.5, -2.0]> : tensor<2xbf16>")),
            (std::vector<float>{1.5f, -2}));
  EXPECT_EQ(*reader.floats(attr("dense<[0.25, -448.0]> : tensor<2xf8E4M3FN>")),
            (std::vector<float>{0.25f, -448}));
  EXPECT_EQ(*reader.floats(attr("dense<[0.5, -6.0, 1.0]> : tensor<3xf4E2M1FN>")),
            (std::vector<float>{0.5f, -6, 1}));
  EXPECT_EQ(*reader.floats(attr("dense<[3, -4]> : tensor<2xi8>")), (std::vector<float>{3, -4}));
  EXPECT_EQ(*reader.integers(attr("dense<[-8, 7, -1]> : tensor<3xi4>")),
            (std::vector<int64_t>{-8, 7, -1}));
  EXPECT_EQ(*reader.integers(attr("dense<[15, 7]> : tensor<2xui4>")),
            (std::vector<int64_t>{15, 7}));
  EXPECT_EQ(*reader.integers(attr("dense<true> : tensor<2xi1>")), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(message(reader.integers(attr("dense<1.0> : tensor<2xf32>")).takeError()),
            "expected a tensor of integers, found tensor<2xf32>");
  EXPECT_EQ(message(reader.floats(attr("dense<\"a\"> : tensor<1x!onnx.string>")).takeError()),
            "a tensor of strings has no raw form");
}

TEST_F(Weights, StoreKeepsLargeTensorsInAFile) {
  WeightWriter writer;
  std::vector<float> values(300);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i);
  auto small = writer.add(type("tensor<3xf32>"), llvm::ArrayRef<float>(values).take_front(3));
  EXPECT_TRUE(isa<DenseElementsAttr>(*small));
  EXPECT_TRUE(writer.empty());
  auto large = writer.add(type("tensor<300xf32>"), llvm::ArrayRef<float>(values));
  ASSERT_TRUE(bool(large));
  EXPECT_TRUE(writer.owns(*large));
  EXPECT_EQ(*reader.floats(*large), values);
  // The file grows under a reader that has mapped it.
  auto second = writer.add(type("tensor<300x3xbf16>"), std::vector<float>(900, 0.5f));
  EXPECT_EQ(*reader.floats(*second), std::vector<float>(900, 0.5f));
  EXPECT_EQ(*reader.floats(*large), values);
  EXPECT_EQ(message(writer.add(type("tensor<4xf32>"), llvm::ArrayRef<float>(values)).takeError()),
            "tensor<4xf32> can't be stored from 1200 bytes");
  EXPECT_EQ(message(writer.add(type("tensor<300xi64>"), llvm::ArrayRef<float>(values)).takeError()),
            "floats can't be stored as i64");

  // A module that is to be kept takes its tensors along, each once.
  OwningOpRef<ModuleOp> module(ModuleOp::create(UnknownLoc::get(&context)));
  OpBuilder builder = OpBuilder::atBlockEnd(module->getBody());
  for (StringRef name : {"a", "b"})
    onnx::InitializerOp::create(builder, builder.getUnknownLoc(), builder.getStringAttr(name),
                                TypeAttr::get(large->getType()), *large, DictionaryAttr());
  std::string target = (folder + "/kept.data").str();
  ASSERT_EQ(message(writer.moveTo(*module, target)), "");
  auto a = module->lookupSymbol<onnx::InitializerOp>("a");
  auto moved = dyn_cast<onnx::FileAttr>(a.getValue());
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved.getPath(), target);
  EXPECT_EQ(*reader.floats(moved), values);
  uint64_t size;
  EXPECT_FALSE(llvm::sys::fs::file_size(target, size));
  EXPECT_EQ(size, 1200u);
}

TEST_F(Weights, SparseTensorsAreMadeDense) {
  // values [2] at linear index 3 of [4]: SparseTensorProto as text of bytes.
  auto value =
      attr(R"(#onnx.proto<"SparseTensorProto", )"
           R"("0A0A080110014A0400000040120E080110074A0803000000000000001804"> : tensor<4xf32>)");
  auto floats = reader.floats(value);
  ASSERT_TRUE(bool(floats)) << message(floats.takeError());
  EXPECT_EQ(*floats, (std::vector<float>{0, 0, 0, 2}));
}

TEST_F(Weights, AnUnfinishedFileLeavesNothing) {
  std::string path = (folder + "/unfinished").str();
  {
    AtomicFile out(path);
    ASSERT_TRUE(out.open() && out.write({"abc", 3}));
  }
  std::error_code code;
  for (llvm::sys::fs::directory_iterator at(folder, code), end; at != end; at.increment(code))
    ADD_FAILURE() << at->path();
}

} // namespace
