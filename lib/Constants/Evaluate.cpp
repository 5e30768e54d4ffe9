#include "lib/Constants/Evaluate.h"

using namespace mlir;
using namespace uoe;

bool uoe::isConstantExpression(Value value, DenseMap<Value, bool> &cache) {
  // Iterative: chains of nodes may be longer than the stack is deep.
  SmallVector<std::pair<Value, bool>> work{{value, false}};
  while (!work.empty()) {
    auto [current, visited] = work.pop_back_val();
    if (cache.count(current))
      continue;
    Operation *op = current.getDefiningOp();
    if (isa_and_nonnull<onnx::WeightOp, onnx::NoneOp>(op)) {
      cache[current] = true;
      continue;
    }
    auto node = dyn_cast_or_null<onnx::NodeOp>(op);
    if (!node || !node.getSubgraphs().empty() || node.getOpType().starts_with("Random") ||
        node.is("Multinomial") || node.is("Bernoulli")) {
      cache[current] = false;
      continue;
    }
    if (!visited) {
      work.push_back({current, true});
      for (Value operand : node.getInputs())
        if (!cache.count(operand))
          work.push_back({operand, false});
      continue;
    }
    cache[current] = llvm::all_of(node.getInputs(), [&](Value v) { return cache.lookup(v); });
  }
  return cache[value];
}

LogicalResult uoe::expressionOf(Value value, llvm::SetVector<Operation *> &ops) {
  SmallVector<std::pair<Operation *, bool>> work{{value.getDefiningOp(), false}};
  while (!work.empty()) {
    auto [op, visited] = work.pop_back_val();
    if (ops.contains(op))
      continue;
    if (visited) {
      ops.insert(op);
      continue;
    }
    work.push_back({op, true});
    for (Value operand : llvm::reverse(op->getOperands())) {
      if (!operand.getDefiningOp())
        return op->emitError("cannot be evaluated: it depends on an input");
      work.push_back({operand.getDefiningOp(), false});
    }
  }
  return success();
}

FailureOr<rt::Tensor> uoe::evaluateConstant(Value value, WeightReader &weights) {
  llvm::SetVector<Operation *> ops;
  if (failed(expressionOf(value, ops)))
    return failure();
  // Readers that are still to come: a value goes with its last one.
  DenseMap<Value, int> readers;
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      ++readers[operand];
  ++readers[value];
  SymbolTableCollection symbols;
  DenseMap<Value, rt::Value> known;
  for (Operation *op : ops) {
    if (isa<onnx::NoneOp>(op))
      continue;
    if (auto weight = dyn_cast<onnx::WeightOp>(op)) {
      auto init =
          symbols.lookupNearestSymbolFrom<onnx::InitializerOp>(weight, weight.getNameAttr());
      auto content = init ? dyn_cast<TypedAttr>(init.getValue()) : TypedAttr();
      if (!content)
        return weight.emitOpError("refers to an initializer without a value the runtime can read");
      auto tensor = readTensor(content, weights);
      if (!tensor)
        return init.emitError("cannot be read: ") << llvm::toString(tensor.takeError());
      known[weight.getResult()] = std::move(*tensor);
      continue;
    }
    auto node = dyn_cast<onnx::NodeOp>(op);
    if (!node)
      return op->emitError("is no part of a constant expression");
    std::vector<rt::Value> inputs;
    for (Value operand : node.getInputs()) {
      inputs.push_back(known.lookup(operand));
      if (--readers[operand] == 0)
        known.erase(operand);
    }
    auto results = runNode(node, inputs, weights);
    if (!results)
      return node.emitError("cannot be evaluated: ") << llvm::toString(results.takeError());
    for (auto [result, computed] : llvm::zip(node.getResults(), *results))
      if (readers.lookup(result) > 0)
        known[result] = std::move(computed);
  }
  rt::Value result = known.lookup(value);
  if (result.kind != rt::Value::Kind::Tensor)
    return value.getDefiningOp()->emitError("cannot be evaluated: it is no tensor");
  return result.tensor;
}
