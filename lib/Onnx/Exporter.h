// The exporter's state. Internal to lib/Onnx.
#pragma once
#include "lib/Onnx/Convert.h"
#include "llvm/ADT/StringSet.h"

namespace uoe {

/// A model ready to be written: messages, and the tensors whose bytes are to follow from elsewhere.
struct ModelImage {
  proto::ModelProto model;
  llvm::DenseMap<const proto::TensorProto *, WeightData> data;
};

class Exporter {
public:
  Exporter(mlir::ModuleOp module, ModelImage &image)
      : module(module), image(image), context(module.getContext()) {}

  mlir::LogicalResult run();

private:
  /// Names of the values of one block; inner blocks see the outer ones.
  struct Scope {
    Scope *parent = nullptr;
    mlir::Region *region = nullptr;
    llvm::StringMap<mlir::Value> names;
    llvm::StringMap<std::string> weights; // names of initializers by symbol
    mlir::Value find(llvm::StringRef name) const {
      for (const Scope *s = this; s; s = s->parent)
        if (mlir::Value value = s->names.lookup(name))
          return value;
      return {};
    }
  };
  using InfoAttrs = llvm::ArrayRef<mlir::DictionaryAttr>;

  mlir::LogicalResult exportFunction(mlir::func::FuncOp function);
  mlir::LogicalResult
  exportOpsets(mlir::DictionaryAttr imports,
               google::protobuf::RepeatedPtrField<proto::OperatorSetIdProto> &out);
  /// `inputs` and `outputs` are the attributes of the graph's arguments and results.
  mlir::LogicalResult exportGraph(mlir::Block &block, mlir::DictionaryAttr fields, InfoAttrs inputs,
                                  InfoAttrs outputs, Scope &scope, proto::GraphProto &graph);
  mlir::LogicalResult exportNode(onnx::NodeOp node, Scope &scope, proto::GraphProto &graph,
                                 const llvm::StringSet<> &outputs);
  mlir::LogicalResult exportInitializer(onnx::InitializerOp op, llvm::StringRef name,
                                        proto::GraphProto &graph);
  mlir::LogicalResult exportInfo(mlir::Value value, llvm::StringRef name, mlir::Attribute kept,
                                 proto::ValueInfoProto &info);
  void listOldInputs(proto::GraphProto &graph);
  void exportMetadata(mlir::Attribute metadata,
                      google::protobuf::RepeatedPtrField<proto::StringStringEntryProto> &out);

  // ExportNames.cpp
  void collectNames();
  mlir::LogicalResult nameValues(mlir::Block &block, InfoAttrs inputs, InfoAttrs outputs,
                                 Scope &scope, proto::GraphProto &graph);
  void nameValue(mlir::Value value, llvm::StringRef wanted, Scope &scope);
  std::string fresh(llvm::StringRef base);

  bool tensorToProto(mlir::TypedAttr value, proto::TensorProto &tensor);
  template <typename Message> bool mergeRest(mlir::Attribute rest, Message &message) {
    auto proto = mlir::dyn_cast_if_present<onnx::ProtoAttr>(rest);
    return !proto || message.MergeFromString(proto.serialised());
  }

  mlir::ModuleOp module;
  ModelImage &image;
  mlir::MLIRContext *context;
  WeightReader reader;
  std::string tensorError;
  llvm::StringSet<> taken;
  llvm::DenseMap<mlir::Value, std::string> names;
  llvm::StringSet<> domains;
  std::map<int64_t, proto::ValueInfoProto> oldInputs; // of the graph at hand
  int64_t irVersion = 0;
};

/// What a StringAttr of a dictionary says, or "".
llvm::StringRef stringIn(mlir::DictionaryAttr dictionary, llvm::StringRef key);

} // namespace uoe
