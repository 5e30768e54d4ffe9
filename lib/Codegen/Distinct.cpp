#include "lib/Codegen/Distinct.h"
#include "mlir/IR/OperationSupport.h"

using namespace mlir;
using namespace uoe;

/// Which arguments are row values: they are read once a row.
static SmallVector<bool> rowArguments(rtir::ElementwiseOp op) {
  llvm::DenseSet<Value> rows = op.rowValues();
  SmallVector<bool> list;
  for (BlockArgument argument : op.getBody().getArguments())
    list.push_back(rows.contains(argument));
  return list;
}

/// Equal for equal bodies: names, attributes, types and how values flow.
static llvm::hash_code hashOf(Block &body) {
  DenseMap<Value, unsigned> numbers;
  llvm::hash_code hash = llvm::hash_value(body.getNumArguments());
  auto number = [&](Value value) {
    numbers.try_emplace(value, numbers.size());
    hash = llvm::hash_combine(hash, value.getType().getAsOpaquePointer());
  };
  for (BlockArgument argument : body.getArguments())
    number(argument);
  for (Operation &op : body) {
    hash = llvm::hash_combine(hash, op.getName().getAsOpaquePointer(),
                              op.getAttrDictionary().getAsOpaquePointer());
    for (Value operand : op.getOperands())
      hash = llvm::hash_combine(hash, numbers.lookup(operand));
    for (Value result : op.getResults())
      number(result);
  }
  return hash;
}

std::vector<SmallVector<rtir::ElementwiseOp>> codegen::distinctBodies(ModuleOp module) {
  std::vector<SmallVector<rtir::ElementwiseOp>> classes;
  DenseMap<size_t, SmallVector<size_t>> byHash;
  module.walk([&](rtir::ElementwiseOp op) {
    SmallVector<size_t> &candidates = byHash[hashOf(op.getBody().front())];
    for (size_t known : candidates)
      if (OperationEquivalence::isRegionEquivalentTo(&classes[known].front().getBody(),
                                                     &op.getBody(),
                                                     OperationEquivalence::IgnoreLocations) &&
          rowArguments(classes[known].front()) == rowArguments(op)) {
        classes[known].push_back(op);
        return;
      }
    candidates.push_back(classes.size());
    classes.push_back({op});
  });
  return classes;
}
