// decompose-attention: an attention block becomes the sum of n experts, each some of its groups of
// heads with their columns of the query, key and value projections and their rows of the output
// projection. Exact: heads meet in the output projection's sum alone (Union of Experts, arXiv
// 2503.02495, section on equivalent decomposition).
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/decompose/Slicer.h"
#include "passes/decompose/UnfuseAttention.h"

namespace uoe {
#define GEN_PASS_DEF_DECOMPOSEATTENTIONPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

namespace {

struct DecomposeAttentionPass : uoe::impl::DecomposeAttentionPassBase<DecomposeAttentionPass> {
  using DecomposeAttentionPassBase::DecomposeAttentionPassBase;

  void runOnOperation() override {
    SmallVector<AttentionOp> blocks;
    getOperation().walk([&](AttentionOp attention) {
      if (!attention->getParentOfType<ExpertsOp>())
        blocks.push_back(attention);
    });
    std::optional<PermutationFile> file;
    try {
      if (!permutation.empty())
        file.emplace(permutation);
    } catch (const std::exception &problem) {
      getOperation().emitError(problem.what());
      return signalPassFailure();
    }
    for (auto [index, attention] : llvm::enumerate(blocks))
      if (failed(decompose(attention, index, file ? &*file : nullptr)))
        return signalPassFailure();
  }

  LogicalResult decompose(AttentionOp op, size_t index, const PermutationFile *permutations) {
    std::string name = blockName(op, "attention");
    if (op.getQuery())
      return decompose(op, op, name, index, permutations);
    // A fused operator is split as what it stands for, and stays as it is if that can't be.
    Constants facts;
    UnfusedAttention unfused = unfuseAttention(op, facts);
    if (!unfused.core)
      return decomposeSpelling(op, name, index, permutations, unfused.why);
    copyName(op, unfused.core);
    for (auto [old, now] : llvm::zip(op->getResults(), unfused.results))
      if (now)
        old.replaceAllUsesWith(now);
    if (failed(decompose(unfused.core, op, name, index, permutations)))
      return failure();
    if (!op->hasAttr(kLeftDense)) {
      op->erase();
      return success();
    }
    for (auto [old, now] : llvm::zip(op->getResults(), unfused.results))
      if (now)
        now.replaceAllUsesWith(old);
    for (Operation *made : llvm::reverse(unfused.made))
      made->erase();
    return success();
  }

  // A block without operands, whose nodes are followed one by one: heads [B, H, S, D], of which as
  // many belong together as the nodes need to.
  LogicalResult decomposeSpelling(AttentionOp op, const std::string &name, size_t index,
                                  const PermutationFile *permutations, const std::string &why) {
    int64_t heads =
        op->getNumResults() == 1 && rankOf(op.getResult(0)) == 4 ? sizeOf(op.getResult(0), 1) : -1;
    std::string found = why;
    for (int64_t groups = op.getFused() ? 0 : heads; groups > 1; --groups) {
      if (heads % groups != 0 || (!sizes.empty() && llvm::sum_of(sizes) != groups))
        continue;
      FailureOr<Partition> partition = partitionOf(op, name, index, groups, permutations);
      if (failed(partition))
        return failure();
      std::string stopped = split(op, name, heads / groups, groups, *partition);
      if (stopped.empty())
        return success();
      if (groups == heads)
        found = (Twine(why) + ", and " + stopped).str();
    }
    leaveDense(op, name, found);
    return success();
  }

  // `core` stands for the block `op`, or is it.
  LogicalResult decompose(AttentionOp core, AttentionOp op, const std::string &name, size_t index,
                          const PermutationFile *permutations) {
    int64_t heads = sizeOf(core.getQuery(), 1), groups = sizeOf(core.getKey(), 1);
    std::string why;
    if (core->getNumResults() != 1) {
      why = "it has several results";
    } else if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) ||
               !isa<RankedTensorType>(core.getResult(0).getType())) {
      why = "its number of heads is not known";
    } else {
      FailureOr<Partition> partition = partitionOf(op, name, index, groups, permutations);
      if (failed(partition))
        return failure();
      why = split(core, name, heads / groups, groups, *partition);
    }
    if (!why.empty())
      leaveDense(op, name, why);
    return success();
  }

  FailureOr<Partition> partitionOf(AttentionOp op, const std::string &name, size_t index,
                                   int64_t groups, const PermutationFile *permutations) {
    int64_t wanted = this->groups;
    if (Attribute attr = op->getAttr("uoe.groups")) {
      auto number = dyn_cast<IntegerAttr>(attr);
      if (!number)
        return op.emitError("needs an integer as uoe.groups, found ") << attr, failure();
      wanted = number.getInt();
    }
    if (wanted < 1)
      return op.emitError("needs at least one group of heads, found ") << wanted, failure();
    if (wanted > groups && sizes.empty() && !op->hasAttr("uoe.sizes"))
      op.emitRemark(name) << " becomes " << groups << " experts, not " << wanted << ": it has "
                          << groups << " key and value heads";
    PartitionOptions options{"groups of heads", wanted, ArrayRef<int64_t>(sizes), permutations};
    return uoe::partitionOf(op, name, index, groups, options);
  }

  // The node that `value` goes on to, on the way from the heads to the output projection; `where`
  // becomes the slice of its result. Null if heads cannot be told apart beyond it.
  static NodeOp step(Value value, AxisSlice &where, Slicer &slicer, std::string &why) {
    if (!value.hasOneUse()) {
      why = "its heads' results are used in several places";
      return {};
    }
    unsigned operand = value.getUses().begin()->getOperandNumber();
    auto node = dyn_cast<NodeOp>(*value.getUsers().begin());
    auto stop = [&](const Twine &text) {
      why = ((node ? describe(node) + " (" + node.getOpType().str() + ")" : "its use") + " " + text)
                .str();
      return NodeOp();
    };
    if (!node || node->getBlock() != value.getParentBlock() ||
        (operand != 0 && !node.is("Mul") && !node.is("Where")) ||
        !isa<RankedTensorType>(node.getResult(0).getType()))
      return stop("takes its heads' results and is no output projection");
    Value result = node.getResult(0);
    int64_t rank = rankOf(value);
    if (node.is("Transpose")) {
      auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
      int64_t axis = where.axis;
      for (int64_t i = 0; i < rank; ++i)
        if ((perm ? perm[i] : rank - 1 - i) == axis)
          where.axis = i;
      return node;
    }
    if (node.is("Reshape")) {
      int64_t detail;
      auto next = slicer.across(node, where, true, detail);
      if (!next)
        next = slicer.flattened(node, where, true, detail);
      if (!next)
        return stop("does not keep heads apart");
      where = *next;
      return node;
    }
    if (node.is("Unsqueeze") || node.is("Squeeze")) {
      // The axis of the result that comes from the heads' one.
      for (int64_t axis = 0; axis < rankOf(result); ++axis)
        if (auto behind = slicer.axisBehind(node, axis); behind && *behind == where.axis) {
          where.axis = axis;
          return node;
        }
      return stop("does not keep heads apart");
    }
    if (node.is("Gather")) {
      // Heads in another order, of which those of a group were side by side or are now.
      AxisSlice ahead{where.axis, 0, where.each, where.before};
      if (auto behind = slicer.behindOrder(node, ahead); behind && behind->key() == where.key()) {
        where = ahead;
        return node;
      }
      return stop("puts heads in an order that does not keep groups together");
    }
    static const char *const alike[] = {
        "Mul", "Div", "Where", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"};
    if ((isUnaryElementwise(node) ||
         llvm::any_of(alike, [&](const char *op) { return node.is(op); })) &&
        rankOf(result) == rank && sizeOf(result, where.axis) == sizeOf(value, where.axis))
      return node;
    return stop("between the heads and the output projection is not known to treat heads alike");
  }

  // Empty, or why the block cannot be split.
  std::string split(AttentionOp op, StringRef name, int64_t queries, int64_t groups,
                    const Partition &partition) {
    Constants facts;
    // The output projection is where the experts op will stand, so it is found first.
    OpBuilder builder(op);
    AxisSlice where{1, 0, 1, queries};
    NodeOp projection;
    {
      Slicer forward(builder, op.getLoc(), groups, partition, facts);
      std::string why;
      for (Value value = op.getResult(0);;) {
        if (value.hasOneUse())
          if (auto user = dyn_cast<NodeOp>(*value.getUsers().begin());
              user && user.input(0) == value && isProjection(user, facts)) {
            projection = user;
            break;
          }
        NodeOp node = step(value, where, forward, why);
        if (!node)
          return why;
        value = node.getResult(0);
      }
    }
    builder.setInsertionPoint(projection);
    Slicer slicer(builder, op.getLoc(), groups, partition, facts);
    SmallVector<Operation *> cloned;
    if (!op.getQuery() || quantisesActivations(op.getSpelling()))
      cloned = cloneSpelling(op, slicer);
    else
      slicer.resolveBlocksBy([&](Slicer &in, Value value, AxisSlice at) {
        return value == op.getResult(0) ? sliceCore(op, in, at, queries)
                                        : in.stop("its projections stand on another attention");
      });
    SplitProduct split = splitProduct(projection, where, slicer, facts);
    auto eraseClones = [&] {
      for (Operation *node : llvm::reverse(cloned))
        if (node->use_empty())
          node->erase();
    };
    if (!split) {
      slicer.undo();
      eraseClones();
      return slicer.reason;
    }
    for (ExpertsOp stage : slicer.stages())
      copyName(op, stage);
    copyName(op, split.experts);
    Value old = projection.getResult(0);
    old.replaceAllUsesWith(split.result);
    ++decomposed;
    if (keepDense) {
      builder.setInsertionPointAfter(projection);
      ProbeOp::create(builder, op.getLoc(), name.str() + ":dense", old);
      ProbeOp::create(builder, op.getLoc(), name.str() + ":experts", split.result);
      return "";
    }
    eraseClones();
    slicer.replaceMixed();
    eraseUnused(projection);
    return "";
  }

  // The attention itself on the expert's heads, in the slicer's body.
  static Value sliceCore(AttentionOp op, Slicer &slicer, AxisSlice at, int64_t queries) {
    AxisSlice where{1, 0, 1, queries};
    if (at.key() != where.key())
      return slicer.stop("its heads are not used side by side");
    Value q = slicer.slice(op.getQuery(), where);
    Value k = q ? slicer.slice(op.getKey(), {1, 0, 1, 1}) : Value();
    Value v = k ? slicer.slice(op.getValue(), {1, 0, 1, 1}) : Value();
    if (!v)
      return {};
    Value bias;
    if (op.getBias()) {
      int64_t axis = rankOf(op.getBias()) - 3;
      bool perHead = axis >= 0 && sizeOf(op.getBias(), axis) != 1;
      bias = perHead ? slicer.cut(op.getBias(), {axis, 0, 1, queries}) : slicer.whole(op.getBias());
      if (!bias)
        return {};
    }
    return AttentionOp::create(slicer.inside(), op.getLoc(),
                               TypeRange{slicer.restricted(op.getResult(0), where)}, q, k, v, bias,
                               op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(),
                               op.getSoftcapAttr(), op.getBooleanZeroAttr(), StringAttr())
        .getResult(0);
  }

  // Attention that rounds what it computes with is followed node by node, as the model spells it.
  static SmallVector<Operation *> cloneSpelling(AttentionOp op, Slicer &slicer) {
    SmallVector<Operation *> cloned;
    OpBuilder builder(op);
    IRMapping map;
    Block &body = op.getSpelling().front();
    for (Operation &node : body.without_terminator())
      cloned.push_back(builder.clone(node, map));
    slicer.alias(op.getResult(0), map.lookupOrDefault(body.getTerminator()->getOperand(0)));
    return cloned;
  }
};

} // namespace
