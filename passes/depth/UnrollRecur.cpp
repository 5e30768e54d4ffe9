// unroll-recur: loops over depth as their iterations; the reverse of roll-layers.
#include "passes/Passes.h"
#include "passes/lower/Reference.h"
#include "passes/raise/Graph.h"

namespace uoe {
#define GEN_PASS_DEF_UNROLLRECURPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

static std::optional<int64_t> integerOf(Value value) {
  auto elements = dyn_cast_or_null<DenseElementsAttr>(onnx::constantOf(value));
  if (!elements || elements.getNumElements() != 1 || !elements.getElementType().isInteger(64))
    return std::nullopt;
  return elements.getSplatValue<APInt>().getSExtValue();
}

// What a row of a stack was made of: Gather(Concat(Unsqueeze(x_0), Unsqueeze(x_1), ...), i) is x_i.
static Value pickedFrom(onnx::NodeOp gather) {
  if (!gather.is("Gather") || gather.integer("axis", 0) != 0)
    return {};
  std::optional<int64_t> row = integerOf(gather.input(1));
  auto type = dyn_cast<RankedTensorType>(gather.input(1).getType());
  if (!row || !type || type.getRank() != 0)
    return {};
  auto insertsFirst = [](onnx::NodeOp node) {
    return node && node.is("Unsqueeze") && node.input(1) && integerOf(node.input(1)) == 0;
  };
  auto stack = gather.input(0).getDefiningOp<onnx::NodeOp>();
  if (insertsFirst(stack))
    return *row == 0 ? stack.input(0) : Value();
  if (!stack || !stack.is("Concat") || stack.integer("axis", -1) != 0 || *row < 0 ||
      *row >= static_cast<int64_t>(stack.getInputs().size()))
    return {};
  for (Value part : stack.getInputs())
    if (!insertsFirst(part.getDefiningOp<onnx::NodeOp>()))
      return {};
  return stack.input(*row).getDefiningOp<onnx::NodeOp>().input(0);
}

namespace {

struct UnrollRecurPass : uoe::impl::UnrollRecurPassBase<UnrollRecurPass> {
  using UnrollRecurPassBase::UnrollRecurPassBase;

  void runOnOperation() override {
    int64_t loops = reference::unrollLoops(getOperation());
    unrolled += loops;
    if (loops == 0)
      return;
    getOperation().walk([](onnx::NodeOp node) {
      Value value = pickedFrom(node);
      if (!value)
        return;
      if (value.getType() != node->getResult(0).getType()) {
        // Only the names of dimensions may differ, which a reader may insist on.
        OpBuilder builder(node);
        value = onnx::NodeOp::create(builder, node.getLoc(), node->getResultTypes(), "Identity",
                                     ValueRange{value})
                    .getResult(0);
      }
      node->getResult(0).replaceAllUsesWith(value);
    });
    getOperation().walk([](func::FuncOp function) {
      if (!function.isExternal())
        raise::removeUnused(function);
    });
  }
};

} // namespace
