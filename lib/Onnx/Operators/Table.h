// The operator table. One file a family; each family adds its entries.
#pragma once
#include "lib/Onnx/Operators/Inference.h"

namespace uoe::onnx {

/// What the project knows of an operator. Domain "" is ONNX's own.
struct OperatorEntry {
  InferFunction infer = nullptr;
  bool deterministic = true; // same operands, same results: may be evaluated at compile time
};

class OperatorTable {
public:
  void add(llvm::StringRef name, InferFunction infer, llvm::StringRef domain = "",
           bool deterministic = true);
  void addContrib(llvm::StringRef name, InferFunction infer) { add(name, infer, "com.microsoft"); }
  const OperatorEntry *find(llvm::StringRef domain, llvm::StringRef name) const;
  static const OperatorTable &builtin();

private:
  llvm::StringMap<OperatorEntry> entries; // "domain:name"
};

/// The rule of operators whose only result has the type of their first operand.
mlir::LogicalResult likeFirst(NodeContext &c);

void addElementwise(OperatorTable &table);
void addReduction(OperatorTable &table);
void addMatmul(OperatorTable &table);
void addConvolution(OperatorTable &table);
void addShape(OperatorTable &table);
void addParts(OperatorTable &table);
void addIndex(OperatorTable &table);
void addNormalisation(OperatorTable &table);
void addAttention(OperatorTable &table);
void addQuantisation(OperatorTable &table);
void addRecurrent(OperatorTable &table);
void addSignal(OperatorTable &table);
void addControl(OperatorTable &table);
void addSequence(OperatorTable &table);
void addMoe(OperatorTable &table);

} // namespace uoe::onnx
