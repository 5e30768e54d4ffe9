// roll-layers: layers that share their weights become a loop.
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "passes/Passes.h"
#include "passes/depth/Layers.h"
#include "passes/lower/Lower.h"
#include "passes/raise/Graph.h"

namespace uoe {
#define GEN_PASS_DEF_ROLLLAYERSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::depth;

namespace {

// Makes the loop before the last op of the last group, and takes the groups away.
class Roller {
public:
  Roller(Plan &plan)
      : plan(plan), last(plan.groups.back().back()), builder(last),
        b(builder, last->getLoc(), onnx::opsetOf(last)) {}

  void run() {
    size_t times = plan.groups.size();
    SmallVector<Value> init, each;
    SmallVector<Type> types;
    for (Plan::Carried &c : plan.carried) {
      Type type = common(c.from, c.init.getType());
      init.push_back(typed(c.init, type));
      types.push_back(type);
    }
    for (auto &values : plan.each)
      each.push_back(stack(values));
    for (Place from : plan.stacked)
      types.push_back(withRows(common(from), times));
    auto recur = RecurOp::create(builder, last->getLoc(), types, init, each, times);
    makeBody(recur);
    replaceResults(recur);
    for (auto &group : plan.groups)
      for (Operation *op : group)
        op->dropAllReferences();
    Block *block = recur->getBlock();
    for (auto &group : plan.groups)
      for (Operation *op : group)
        op->erase();
    // Readers of early iterations may stand before the loop.
    sortTopologically(block);
  }

private:
  static RankedTensorType withRows(Type type, int64_t rows) {
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<int64_t> shape{rows};
    llvm::append_range(shape, tensor.getShape());
    return RankedTensorType::get(shape, tensor.getElementType());
  }

  // The type of a result in every iteration (and of `type`): without names of dimensions where
  // they differ.
  Type common(Place at, Type type = {}) {
    for (auto &group : plan.groups) {
      Type other = group[at.op]->getResult(at.result).getType();
      type = !type || type == other ? other : onnx::dropDims(type);
    }
    return type;
  }

  Value typed(Value value, Type type) {
    if (value.getType() == type)
      return value;
    Value same = b.node("Identity", {value});
    same.setType(type);
    return same;
  }

  Value stack(ArrayRef<Value> values) {
    SmallVector<Value> rows;
    for (Value value : values) {
      rows.push_back(b.node("Unsqueeze", {value, b.ints({0})}));
      rows.back().setType(withRows(value.getType(), 1));
    }
    Value all = b.node("Concat", rows, {b.attr("axis", 0)});
    all.setType(withRows(values[0].getType(), static_cast<int64_t>(values.size())));
    return all;
  }

  void makeBody(RecurOp recur) {
    Block *body = new Block;
    recur.getBody().push_back(body);
    for (Value value : recur.getInit())
      body->addArgument(value.getType(), value.getLoc());
    for (auto [value, all] : llvm::zip_equal(plan.each, recur.getEach())) {
      auto type = cast<RankedTensorType>(all.getType());
      body->addArgument(RankedTensorType::get(type.getShape().drop_front(), type.getElementType()),
                        all.getLoc());
    }
    OpBuilder inner = OpBuilder::atBlockEnd(body);
    SmallVector<Operation *> copies;
    for (auto [i, op] : llvm::enumerate(plan.groups[0])) {
      Operation *copy = inner.clone(*op);
      for (auto [input, role] : llvm::zip_equal(inputsOf(copy), plan.roles[i])) {
        if (role.kind == Role::internal)
          input->set(copies[role.from.op]->getResult(role.from.result));
        else if (role.kind == Role::carried)
          input->set(body->getArgument(role.slot));
        else if (role.kind == Role::each)
          input->set(body->getArgument(recur.getInit().size() + role.slot));
      }
      for (OpResult result : copy->getResults())
        result.setType(common({static_cast<unsigned>(i), result.getResultNumber()}));
      copies.push_back(copy);
    }
    SmallVector<Value> results;
    auto yield = [&](Place from, Type type) {
      Value value = copies[from.op]->getResult(from.result);
      if (value.getType() != type)
        value = onnx::NodeOp::create(inner, last->getLoc(), TypeRange{type}, "Identity",
                                     ValueRange{value})
                    .getResult(0);
      results.push_back(value);
    };
    for (auto [c, value] : llvm::zip_equal(plan.carried, recur.getInit()))
      yield(c.from, value.getType());
    // Rows of a stack have no names of dimensions.
    for (Place from : plan.stacked)
      yield(from, onnx::dropDims(common(from)));
    YieldOp::create(inner, last->getLoc(), results);
  }

  void replaceResults(RecurOp recur) {
    builder.setInsertionPointAfter(recur);
    llvm::SmallPtrSet<Operation *, 32> old;
    for (auto &group : plan.groups)
      old.insert(group.begin(), group.end());
    auto replace = [&](Value value, function_ref<Value()> by) {
      auto reads = [&](OpOperand &use) {
        return !old.contains(recur->getBlock()->findAncestorOpInBlock(*use.getOwner()));
      };
      if (llvm::any_of(value.getUses(), reads))
        value.replaceUsesWithIf(by(), reads);
    };
    for (auto [c, result] : llvm::zip(plan.carried, recur.getOutputs())) {
      Value value = plan.groups.back()[c.from.op]->getResult(c.from.result);
      replace(value, [&, result = result] { return typed(result, value.getType()); });
    }
    for (auto [from, all] :
         llvm::zip(plan.stacked, recur.getOutputs().drop_front(plan.carried.size())))
      for (auto [t, group] : llvm::enumerate(plan.groups)) {
        Value value = group[from.op]->getResult(from.result);
        replace(value, [&, all = all, t = t] {
          Value row =
              b.node("Gather", {all, b.scalarInt(static_cast<int64_t>(t))}, {b.attr("axis", 0)});
          row.setType(value.getType());
          return row;
        });
      }
  }

  Plan &plan;
  Operation *last;
  OpBuilder builder;
  NodeBuilder b;
};

struct RollLayersPass : uoe::impl::RollLayersPassBase<RollLayersPass> {
  using RollLayersPassBase::RollLayersPassBase;

  void runOnOperation() override {
    if (minTimes < 2 || !(maxUntied >= 0 && maxUntied <= 1)) {
      getOperation().emitError("roll-layers: min-times is 2 or more, max-untied a share from 0 to "
                               "1, found ")
          << minTimes << " and " << static_cast<double>(maxUntied);
      return signalPassFailure();
    }
    SearchOptions options;
    options.minTimes = minTimes;
    options.maxUntied = maxUntied;
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      if (function.isExternal())
        continue;
      while (std::optional<Plan> plan = findLayers(function.getBody().front(), options)) {
        removed += plan->removed();
        ++rolled;
        Roller(*plan).run();
      }
      raise::removeUnused(function);
    }
    raise::removeUnusedInitializers(getOperation());
  }
};

} // namespace
