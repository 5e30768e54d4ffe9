// A model's messages without its weights: large tensor data is cut out and remembered as a range of
// the file.
#pragma once
#include "onnx-ml.pb.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace uoe {

/// Where a tensor's elements lie in the parsed bytes.
struct DataRange {
  uint64_t offset, length;
  /// Field of TensorProto that held them: raw_data, float_data or double_data, all little-endian
  /// and without gaps.
  int field;
};

/// Graphs nested deeper than this are refused, in and out.
inline constexpr unsigned kMaxGraphDepth = 64;

struct Skeleton {
  proto::ModelProto model;
  llvm::DenseMap<const proto::TensorProto *, DataRange> cut;
};

/// Parses a ModelProto. Data of more than `cutAbove` bytes of initializers, Constant values and
/// other TENSOR attributes, at any depth, goes to `cut`; the messages live in `skeleton.model` and
/// must not be moved. Errors name the byte and the message.
llvm::Error parseSkeleton(llvm::StringRef bytes, uint64_t cutAbove, Skeleton &skeleton);

} // namespace uoe
