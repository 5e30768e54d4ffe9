// Weights as data: where a tensor's bytes lie, read without copies, and where new tensors go.
//
// "Raw form" is ONNX's raw_data: little-endian, row-major, bool one byte an element, types of 2, 4
// and 6 bits packed without gaps, low bits first.
#pragma once
#include "dialects/onnx/Onnx.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace uoe {

/// A file mapped read-only for as long as the object lives.
class MappedFile {
public:
  /// Fails if the file can't be opened or is no regular file. An empty file gives no bytes.
  static llvm::Expected<std::shared_ptr<MappedFile>> open(llvm::StringRef path);
  MappedFile(const MappedFile &) = delete;
  ~MappedFile();

  llvm::StringRef bytes() const { return {data, size}; }
  enum class Advice { WillNeed, DontNeed, Sequential, Random };
  /// Tells the kernel how [offset, offset + length) is going to be used; wrong ranges are ignored.
  void advise(uint64_t offset, uint64_t length, Advice advice) const;

private:
  MappedFile(const char *data, size_t size) : data(data), size(size) {}
  const char *data;
  size_t size;
};

/// A tensor's bytes in raw form, and what keeps them alive.
struct WeightData {
  llvm::ArrayRef<char> bytes;
  std::shared_ptr<const void> owner;
  mlir::RankedTensorType type;
  /// The mapping that the bytes lie in, at `offset`; null where they were copied.
  std::shared_ptr<const MappedFile> file = nullptr;
  uint64_t offset = 0;

  /// The elements as T (sizeof(T) as in the raw form). The data must have been read with at least
  /// T's alignment.
  template <typename T> llvm::ArrayRef<T> as() const {
    return {reinterpret_cast<const T *>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

/// Reads weights. Files are mapped once and kept mapped. Safe to use from several threads.
class WeightReader {
public:
  /// The bytes of an initializer's or attribute's value: dense elements, #onnx.file, or a sparse
  /// tensor as #onnx.proto (which is made dense). Mapped bytes are not copied unless they lie off
  /// `alignment` (a power of 2; files place tensors anywhere). Errors: no such file, range beyond
  /// the file, a length that is not the type's, strings.
  llvm::Expected<WeightData> read(mlir::TypedAttr value, size_t alignment = 8);

  /// All elements as float, from any real element type (float, half, bfloat16, 8-bit floats,
  /// double, integers, bool).
  llvm::Expected<std::vector<float>> floats(mlir::TypedAttr value);
  /// All elements as int64_t, from any integer type or bool.
  llvm::Expected<std::vector<int64_t>> integers(mlir::TypedAttr value);

  /// Starts reading ahead, or drops the pages of, a weight in a file; nothing for others.
  void willNeed(mlir::TypedAttr value) { advise(value, MappedFile::Advice::WillNeed); }
  void dontNeed(mlir::TypedAttr value) { advise(value, MappedFile::Advice::DontNeed); }

private:
  llvm::Expected<std::shared_ptr<MappedFile>> map(llvm::StringRef path, uint64_t atLeast);
  void advise(mlir::TypedAttr value, MappedFile::Advice advice);

  std::mutex mutex;
  llvm::StringMap<std::shared_ptr<MappedFile>> files;
};

/// Largest tensor, in bytes, that becomes an elements attribute; others stay in files.
inline constexpr uint64_t kSmallTensor = 1024;

/// Where passes put the tensors that they compute. Small ones become dense elements; large ones are
/// appended to one data file, so that memory holds the tensor at hand only. The file is temporary
/// until `moveTo`. Safe to use from several threads; for results that don't change from run to run,
/// add tensors in a fixed order.
class WeightWriter {
public:
  /// The process's store; removed on exit.
  static WeightWriter &process();
  WeightWriter() = default;
  WeightWriter(const WeightWriter &) = delete;
  ~WeightWriter();

  /// Stores a tensor of static shape from its raw form. Errors: a size that is not the type's, a
  /// full disk.
  llvm::Expected<mlir::TypedAttr> add(mlir::RankedTensorType type, llvm::ArrayRef<char> raw);
  /// Stores floats as `type`'s element type: f32, f16 or bf16 (round to nearest even).
  llvm::Expected<mlir::TypedAttr> add(mlir::RankedTensorType type, llvm::ArrayRef<float> values);

  bool empty() const { return size == 0; }
  /// The data file, "" if there is none yet.
  llvm::StringRef path() const { return file; }
  /// True for weights that lie in this store's file.
  bool owns(mlir::Attribute value) const;

  /// Writes the stored tensors that `module` uses to `path` (in a temporary beside it, renamed when
  /// complete) and makes the module point there: for modules that are to outlive this process.
  llvm::Error moveTo(mlir::ModuleOp module, llvm::StringRef path);

private:
  llvm::Error open();
  std::mutex mutex;
  std::string file;
  int descriptor = -1;
  uint64_t size = 0;
};

/// Paths of weights as a module in `folder` writes them, relative to it where they lie in it and
/// absolute otherwise, so that the folder can be moved.
void relatePaths(mlir::Operation *root, llvm::StringRef folder);
/// The reverse, for a module read from `folder`: relative paths become paths from the working
/// directory.
void resolvePaths(mlir::Operation *root, llvm::StringRef folder);

/// Elements attribute of a static tensor type from its raw form (of the right size; not strings).
mlir::DenseElementsAttr denseFromRaw(mlir::RankedTensorType type, llvm::ArrayRef<char> raw);
/// The raw form of an elements attribute (not strings), splats expanded.
std::vector<char> rawFromDense(mlir::DenseElementsAttr dense);

} // namespace uoe
