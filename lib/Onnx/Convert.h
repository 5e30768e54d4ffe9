// Between ONNX's messages and MLIR's types and attributes. Internal to lib/Onnx.
#pragma once
#include "dialects/onnx/Onnx.h"
#include "lib/Onnx/Skeleton.h"
#include "lib/Weights/Weights.h"

namespace uoe {

/// The type a TypeProto tells; !onnx.any if it tells nothing. Errors: negative dimensions (−1,
/// which some old exporters write for "unknown", is read as such).
llvm::Expected<mlir::Type> typeFromProto(const proto::TypeProto &type, mlir::MLIRContext *context);
/// False for types that ONNX does not have; !onnx.any gives an empty TypeProto.
bool typeToProto(mlir::Type type, proto::TypeProto &out);

/// Reads TensorProtos of one model.
class TensorReader {
public:
  /// `path`: the model's file, "" if it was read from memory, when external data is refused.
  /// `bytes`: what was parsed.
  TensorReader(llvm::StringRef path, llvm::StringRef bytes, const Skeleton &skeleton,
               mlir::MLIRContext *context)
      : path(path), bytes(bytes), skeleton(skeleton), context(context) {}

  /// Small tensors become elements, large ones #onnx.file. Errors say what was expected and found.
  llvm::Expected<mlir::TypedAttr> read(const proto::TensorProto &tensor);
  /// `#onnx.proto<"SparseTensorProto">` with values and indices in raw form.
  llvm::Expected<mlir::TypedAttr> read(const proto::SparseTensorProto &sparse);
  /// Removes from the message what `read` has taken.
  static void clearTaken(proto::TensorProto &tensor);

private:
  llvm::Expected<mlir::TypedAttr> external(const proto::TensorProto &tensor,
                                           mlir::RankedTensorType type, uint64_t expected);
  llvm::Expected<mlir::TypedAttr> strings(const proto::TensorProto &tensor,
                                          mlir::RankedTensorType type);

  llvm::StringRef path, bytes;
  const Skeleton &skeleton;
  mlir::MLIRContext *context;
  llvm::StringMap<std::shared_ptr<MappedFile>> files;
};

/// The whole path of an external data file, or an error if `location` is absolute, leaves the
/// model's folder, passes through a link, or is no regular file.
llvm::Expected<std::string> resolveExternal(llvm::StringRef modelPath, llvm::StringRef location);

/// The value of an attribute that is no graph; #onnx.proto for kinds that MLIR has no attribute
/// for. What was taken is removed from the message.
llvm::Expected<mlir::Attribute> attributeFromProto(proto::AttributeProto &attribute,
                                                   TensorReader &tensors,
                                                   mlir::MLIRContext *context);
/// Sets kind and value, false if there is no ONNX form; `tensor` fills in tensors.
bool attributeToProto(mlir::Attribute value, proto::AttributeProto &out,
                      llvm::function_ref<bool(mlir::TypedAttr, proto::TensorProto &)> tensor);

/// The kind of an attribute of models that don't tell it (IR version 1), by the field that is set.
proto::AttributeProto::AttributeType kindOf(const proto::AttributeProto &attribute);

} // namespace uoe
