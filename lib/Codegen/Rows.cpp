#include "lib/Codegen/Rows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::codegen;

/// Worth a store and a load.
static bool isExpensive(Operation *op) {
  return isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp>(op);
}

RowPlan::RowPlan(rtir::ElementwiseOp op, bool keep) : rows(op.rowValues()) {
  Block &body = op.getBody().front();
  for (Operation &inner : body.without_terminator()) {
    size_t stage = 0;
    for (Value operand : inner.getOperands())
      stage = std::max(stage, stageOf(operand));
    if (isa<rtir::ReduceOp>(inner)) {
      loops = std::max(loops, stage + 1);
      ++stage;
    }
    stages[inner.getResult(0)] = stage;
  }
  for (Value result : body.getTerminator()->getOperands())
    if (!rows.contains(result))
      loops = std::max(loops, stageOf(result) + 1);
  roots.resize(loops);
  for (auto reduce : body.getOps<rtir::ReduceOp>())
    roots[stageOf(reduce.getResult()) - 1].push_back(reduce.getValue());
  for (Value result : body.getTerminator()->getOperands())
    if (!rows.contains(result))
      roots[loops - 1].push_back(result);
  if (keep) {
    std::vector<llvm::DenseSet<Operation *>> needed(loops);
    for (size_t k = 0; k < loops; ++k) {
      llvm::DenseSet<Value> read;
      for (Value root : roots[k])
        need(root, k, needed[k], read);
    }
    for (Operation &inner : body.without_terminator())
      for (size_t k = 0; k + 1 < loops; ++k) {
        if (!isExpensive(&inner) || !needed[k].contains(&inner))
          continue;
        for (size_t later = k + 1; later < loops; ++later)
          if (needed[later].contains(&inner) && keptIn.try_emplace(inner.getResult(0), k).second)
            kept.push_back(inner.getResult(0));
        break;
      }
  }
  fill(body);
}

/// Row values and constants are at hand in every loop.
bool RowPlan::isEverywhere(Value value) const {
  return rows.contains(value) || value.getDefiningOp<arith::ConstantOp>();
}

void RowPlan::need(Value value, size_t loop, llvm::DenseSet<Operation *> &needed,
                   llvm::DenseSet<Value> &read) const {
  if (isEverywhere(value))
    return;
  auto stored = keptIn.find(value);
  if (stored != keptIn.end() && stored->second < loop) {
    read.insert(value);
    return;
  }
  Operation *op = value.getDefiningOp();
  if (!op || !needed.insert(op).second)
    return;
  for (Value operand : op->getOperands())
    need(operand, loop, needed, read);
}

void RowPlan::fill(Block &body) {
  ops.resize(loops), reductions.resize(loops), stored.resize(loops), loaded.resize(loops);
  rowOps.resize(loops + 1);
  for (Operation &op : body.without_terminator()) {
    if (auto reduce = dyn_cast<rtir::ReduceOp>(op))
      reductions[stageOf(op.getResult(0)) - 1].push_back(reduce);
    else if (rows.contains(op.getResult(0)))
      rowOps[stageOf(op.getResult(0))].push_back(&op);
  }
  for (size_t k = 0; k < loops; ++k) {
    llvm::DenseSet<Operation *> needed;
    llvm::DenseSet<Value> read;
    for (Value root : roots[k])
      need(root, k, needed, read);
    for (Operation &op : body)
      if (needed.contains(&op))
        ops[k].push_back(&op);
    for (Value value : kept) {
      if (keptIn.lookup(value) == k)
        stored[k].push_back(value);
      if (read.contains(value))
        loaded[k].push_back(value);
    }
  }
}
