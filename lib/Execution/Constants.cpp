#include "lib/Execution/Constants.h"
#include "lib/Execution/Translate.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"

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

FailureOr<rt::Tensor> uoe::evaluateConstant(Value value, WeightReader &weights) {
  // The expression as a function of its own in a scratch module, lowered and folded as at load.
  Operation *root = value.getDefiningOp();
  auto source = root->getParentOfType<ModuleOp>();
  MLIRContext *context = value.getContext();
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(root->getLoc());
  if (Attribute imports = source->getAttr("onnx.opset_import"))
    (*scratch)->setAttr("onnx.opset_import", imports);
  OpBuilder builder(scratch->getBodyRegion());
  auto function = func::FuncOp::create(builder, root->getLoc(), onnx::kMainGraph,
                                       FunctionType::get(context, {}, {value.getType()}));
  Block *body = function.addEntryBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(body);
  IRMapping map;
  llvm::DenseSet<Attribute> symbols;
  SmallVector<std::pair<Operation *, bool>> work{{root, false}};
  while (!work.empty()) {
    auto [op, visited] = work.pop_back_val();
    if (map.contains(op))
      continue;
    if (!visited) {
      work.push_back({op, true});
      for (Value operand : llvm::reverse(op->getOperands())) {
        if (!operand.getDefiningOp())
          return op->emitError("cannot be evaluated: it depends on an input"), failure();
        work.push_back({operand.getDefiningOp(), false});
      }
      continue;
    }
    inner.clone(*op, map);
    auto weight = dyn_cast<onnx::WeightOp>(op);
    if (weight && symbols.insert(weight.getNameAttr()).second)
      if (Operation *init = SymbolTable::lookupSymbolIn(source, weight.getNameAttr()))
        builder.clone(*init);
  }
  func::ReturnOp::create(inner, root->getLoc(), map.lookup(value));

  PassManager passes(context);
  passes.enableVerifier(false);
  passes.addPass(createLowerToRtPass());
  if (failed(passes.run(*scratch)))
    return failure();
  auto program = translateToProgram(function, weights);
  if (failed(program))
    return failure();
  try {
    (*program)->finish(rt::KernelTable::builtin());
    rt::Executor executor(**program);
    std::vector<rt::Value> results = executor.run({});
    rt::check(results.size() == 1 && results[0].kind == rt::Value::Kind::Tensor,
              "no tensor came out");
    return results[0].tensor;
  } catch (const std::exception &error) {
    return root->emitError("cannot be evaluated: ") << error.what(), failure();
  }
}

RankedTensorType uoe::tensorTypeOf(const rt::Tensor &tensor, MLIRContext *context) {
  Type element = onnx::elementTypeOf(context, static_cast<int>(tensor.dtype()));
  return element ? RankedTensorType::get(tensor.shape(), element) : RankedTensorType();
}
