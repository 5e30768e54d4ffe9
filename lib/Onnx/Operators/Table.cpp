#include "lib/Onnx/Operators/Table.h"

using namespace uoe::onnx;

static std::string keyOf(llvm::StringRef domain, llvm::StringRef name) {
  if (domain == "ai.onnx")
    domain = "";
  return (domain + ":" + name).str();
}

void OperatorTable::add(llvm::StringRef name, InferFunction infer, llvm::StringRef domain,
                        bool deterministic) {
  entries[keyOf(domain, name)] = {infer, deterministic};
}

const OperatorEntry *OperatorTable::find(llvm::StringRef domain, llvm::StringRef name) const {
  auto it = entries.find(keyOf(domain, name));
  return it == entries.end() ? nullptr : &it->second;
}

mlir::LogicalResult uoe::onnx::likeFirst(NodeContext &c) {
  c.setLike(0, 0);
  return mlir::success();
}

const OperatorTable &OperatorTable::builtin() {
  static const OperatorTable table = [] {
    OperatorTable made;
    for (auto add : {addElementwise, addReduction, addMatmul, addConvolution, addShape, addParts,
                     addIndex, addNormalisation, addAttention, addQuantisation, addRecurrent,
                     addSignal, addControl, addSequence, addMoe})
      add(made);
    return made;
  }();
  return table;
}
