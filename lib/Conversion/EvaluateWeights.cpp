#include "lib/Conversion/EvaluateWeights.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Constants/Evaluate.h"
#include "passes/raise/Match.h"
#include <cmath>

using namespace mlir;
using namespace uoe;
namespace fast = uoe::rt::fast;

FailureOr<Value> uoe::addInitializer(OpBuilder &builder, ModuleOp module, StringRef name,
                                     RankedTensorType type, ArrayRef<char> raw,
                                     WeightWriter &store) {
  auto value = store.add(type, raw);
  if (!value)
    return module.emitError("cannot store the weight '")
               << name << "': " << llvm::toString(value.takeError()),
           failure();
  std::string unique = name.str();
  for (int i = 1; module.lookupSymbol(unique); ++i)
    unique = (name + "." + Twine(i)).str();
  OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
  onnx::InitializerOp::create(top, module.getLoc(), top.getStringAttr(unique), TypeAttr::get(type),
                              *value, DictionaryAttr());
  return onnx::WeightOp::create(builder, module.getLoc(), type, unique).getResult();
}

static fast::ElementType elementTypeOf(FloatType type) {
  return type.isF16() ? fast::ElementType::F16 : fast::ElementType::BF16;
}

std::vector<float> uoe::roundedTo(fast::ElementType type, ArrayRef<float> values) {
  std::vector<float> result(values);
  for (float &x : result)
    x = fast::rounded(type, x);
  return llvm::all_of(result, [](float x) { return std::isfinite(x); })
             ? result
             : std::vector<float>(values);
}

FailureOr<Value> uoe::addNarrowInitializer(OpBuilder &builder, ModuleOp module, StringRef name,
                                           ArrayRef<int64_t> shape, ArrayRef<float> values,
                                           FloatType type, WeightWriter &store) {
  auto add = [&](Type element, const auto &list) {
    return addInitializer(
        builder, module, name, RankedTensorType::get(shape, element),
        {reinterpret_cast<const char *>(list.data()), list.size() * sizeof(list[0])}, store);
  };
  const fast::ElementType kept = elementTypeOf(type);
  std::vector<uint16_t> bits(values.size());
  llvm::transform(values, bits.begin(), [&](float x) { return fast::toBits(kept, x); });
  if (!llvm::all_of(bits, [&](uint16_t b) { return std::isfinite(fast::fromBits(kept, b)); }))
    return add(builder.getF32Type(), values);
  auto stored = add(type, bits);
  if (failed(stored))
    return failure();
  return raise::makeCast(builder, module.getLoc(), *stored, builder.getF32Type());
}

Value uoe::findSource(Value value, function_ref<bool(Value)> wanted) {
  SmallVector<Value> open{value};
  llvm::DenseSet<Value> seen;
  while (!open.empty()) {
    Value next = open.pop_back_val();
    Operation *op = next.getDefiningOp();
    if (!op || !seen.insert(next).second)
      continue;
    if (wanted(next))
      return next;
    llvm::append_range(open, op->getOperands());
  }
  return {};
}

static FloatType floatTypeOf(Value value) {
  auto tensor = dyn_cast<TensorType>(value.getType());
  return tensor ? dyn_cast<FloatType>(tensor.getElementType()) : FloatType();
}

FloatType uoe::narrowSource(Value value) {
  Value source = findSource(value, [](Value v) {
    FloatType type = floatTypeOf(v);
    return type && type.getWidth() == 16;
  });
  return source ? floatTypeOf(source) : FloatType();
}

// A name for what a weight expression gives: that of its first initializer.
static std::string nameOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto weight = dyn_cast<onnx::WeightOp>(op))
      return weight.getName().str();
    if (op->getNumOperands() == 0)
      break;
    value = op->getOperand(0);
  }
  return "weight";
}

LogicalResult uoe::evaluateWeights(ModuleOp module, WeightReader &weights, WeightWriter &store,
                                   function_ref<bool(Value)> wanted) {
  DenseMap<Value, bool> cache;
  SmallVector<Value> values;
  module.walk([&](onnx::NodeOp node) {
    for (Value result : node.getResults()) {
      if (isa<NoneType>(result.getType()) || !isConstantExpression(result, cache) ||
          (wanted && !wanted(result)) || node.is("Constant"))
        continue;
      // Only where the expression ends: a user that is no constant itself.
      bool ends = llvm::any_of(result.getUsers(), [&](Operation *user) {
        auto next = dyn_cast<onnx::NodeOp>(user);
        return !next || !llvm::all_of(next.getResults(),
                                      [&](Value r) { return isConstantExpression(r, cache); });
      });
      if (ends)
        values.push_back(result);
    }
  });
  for (Value value : values) {
    FailureOr<rt::Tensor> tensor = evaluateConstant(value, weights);
    if (failed(tensor))
      return failure();
    RankedTensorType type = tensorTypeOf(*tensor, module.getContext());
    if (!type)
      return value.getDefiningOp()->emitError(
          "has a constant value of a type that cannot be stored");
    OpBuilder builder(value.getDefiningOp());
    const std::string name = nameOf(value) + ".folded";
    FloatType narrow = type.getElementType().isF32() ? narrowSource(value) : FloatType();
    ArrayRef<float> floats;
    if (narrow)
      floats = {tensor->data<float>(), static_cast<size_t>(tensor->size())};
    if (narrow && !llvm::all_of(floats, [kept = elementTypeOf(narrow)](float x) {
          return fast::rounded(kept, x) == x;
        }))
      narrow = {};
    auto stored =
        narrow ? addNarrowInitializer(builder, module, name, type.getShape(), floats, narrow, store)
               : addInitializer(builder, module, name, type,
                                {static_cast<const char *>(tensor->raw()), tensor->bytes()}, store);
    if (failed(stored))
      return failure();
    value.replaceUsesWithIf(*stored, [&](OpOperand &use) {
      auto next = dyn_cast<onnx::NodeOp>(use.getOwner());
      return !next || !llvm::all_of(next.getResults(),
                                    [&](Value r) { return isConstantExpression(r, cache); });
    });
  }
  // What only fed the expressions.
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (isa<onnx::NodeOp, onnx::WeightOp, onnx::NoneOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : llvm::reverse(ops)) {
    bool constant = op->getNumResults() > 0 &&
                    llvm::all_of(op->getResults(), [&](Value r) { return cache.lookup(r); });
    if (op->use_empty() && (constant || isa<onnx::WeightOp, onnx::NoneOp>(op)))
      op->erase();
  }
  llvm::DenseSet<StringAttr> used;
  module.walk([&](onnx::WeightOp weight) { used.insert(weight.getNameAttr().getAttr()); });
  auto noteDefaults = [&](func::FuncOp function) {
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (auto symbol = function.getArgAttrOfType<FlatSymbolRefAttr>(i, "onnx.default"))
        used.insert(symbol.getAttr());
  };
  for (auto function : module.getOps<func::FuncOp>())
    noteDefaults(function);
  for (auto init : llvm::make_early_inc_range(module.getOps<onnx::InitializerOp>()))
    if (!used.contains(init.getSymNameAttr()))
      init.erase();
  return success();
}
