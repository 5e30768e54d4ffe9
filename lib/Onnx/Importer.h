// The importer's state. Internal to lib/Onnx.
#pragma once
#include "lib/Onnx/Convert.h"
#include "llvm/ADT/StringSet.h"

namespace uoe {

class Importer {
public:
  /// `path`: "" if read from memory. The skeleton is consumed: what stays in it afterwards has no
  /// form of its own in MLIR.
  Importer(Skeleton &skeleton, llvm::StringRef bytes, llvm::StringRef path, mlir::Location loc)
      : context(loc.getContext()), builder(context), skeleton(skeleton), loc(loc),
        tensors(path, bytes, skeleton, context) {}

  mlir::OwningOpRef<mlir::ModuleOp> import();

private:
  /// Values by name, in the graphs around the current one.
  struct Scope {
    Scope *parent = nullptr;
    llvm::StringMap<mlir::Value> values;
    mlir::Value none;
    mlir::Value lookup(llvm::StringRef name) const {
      for (const Scope *s = this; s; s = s->parent)
        if (mlir::Value value = s->values.lookup(name))
          return value;
      return {};
    }
  };
  /// What remains of a graph beside its block.
  struct GraphFields {
    llvm::SmallVector<mlir::Value> results;
    llvm::SmallVector<mlir::DictionaryAttr> inputs, outputs; // onnx.name and so on
    mlir::NamedAttrList graph;                               // name, doc_string, metadata, rest
  };

  mlir::Location here() const { return loc; }
  mlir::Location nodeLoc(const proto::NodeProto &node) const;
  std::string freshSymbol(llvm::StringRef wanted);

  // Import.cpp
  mlir::LogicalResult checkText(llvm::StringRef text, llvm::StringRef what, mlir::Location loc);
  onnx::ProtoAttr protoAttr(llvm::StringRef message, const google::protobuf::MessageLite &proto,
                            mlir::Type type = {});
  mlir::DictionaryAttr
  takeMetadata(google::protobuf::RepeatedPtrField<proto::StringStringEntryProto> &entries);
  mlir::DictionaryAttr
  opsets(const google::protobuf::RepeatedPtrField<proto::OperatorSetIdProto> &imports);
  mlir::LogicalResult importMain(proto::GraphProto &graph);
  mlir::LogicalResult importFunctions();
  mlir::LogicalResult importFunction(proto::FunctionProto &function, llvm::StringRef name,
                                     mlir::DictionaryAttr imports, mlir::Location loc);

  // ImportGraph.cpp
  mlir::LogicalResult importGraph(proto::GraphProto &graph, mlir::Block &block, Scope &scope,
                                  GraphFields &fields);
  mlir::LogicalResult importInitializers(proto::GraphProto &graph, mlir::Block &block, Scope &scope,
                                         const llvm::StringMap<int> &inputs,
                                         llvm::StringMap<mlir::Attribute> &defaults);
  mlir::LogicalResult importInputs(proto::GraphProto &graph, mlir::Block &block, Scope &scope,
                                   const llvm::StringMap<mlir::Attribute> &defaults,
                                   GraphFields &fields);
  mlir::LogicalResult importOutputs(proto::GraphProto &graph, Scope &scope, GraphFields &fields);
  /// The type and, where the type can't say all, the message.
  mlir::FailureOr<std::pair<mlir::Type, onnx::ProtoAttr>>
  valueInfo(const proto::ValueInfoProto &value);
  mlir::LogicalResult sortNodes(proto::GraphProto &graph, const Scope &scope,
                                llvm::SmallVectorImpl<int> &order);

  // ImportNode.cpp
  mlir::LogicalResult importNode(proto::NodeProto &node, Scope &scope,
                                 const llvm::StringMap<const proto::ValueInfoProto *> &types);
  mlir::LogicalResult importSubgraph(proto::GraphProto &graph, mlir::Region &region, Scope &scope,
                                     llvm::SmallVectorImpl<mlir::Attribute> &fields,
                                     mlir::Location loc);

  mlir::MLIRContext *context;
  mlir::OpBuilder builder;
  Skeleton &skeleton;
  mlir::Location loc;
  TensorReader tensors;
  mlir::ModuleOp top;
  mlir::DictionaryAttr knownOpsets;
  llvm::StringSet<> symbols, missingOpsets;
  mlir::Operation *initializerPoint = nullptr;
  int64_t irVersion = 0;
  bool warned = false;
};

} // namespace uoe
