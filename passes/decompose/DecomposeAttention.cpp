// decompose-attention: an attention block becomes the sum of n experts, each some of its groups of
// heads with their columns of the query, key and value projections and their rows of the output
// projection. Exact: heads meet in the output projection's sum alone (Union of Experts, arXiv
// 2503.02495, section on equivalent decomposition).
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/decompose/Heads.h"

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
    for (AttentionOp attention : blocks)
      if (failed(decompose(attention)))
        return signalPassFailure();
  }

  LogicalResult decompose(AttentionOp op) {
    std::string name = blockName(op, "attention");
    auto dense = [&](const Twine &why) {
      op.emitRemark(name) << " is left dense: " << why;
      return success();
    };
    if (!op.getQuery())
      return dense("the operator " + op.getFused().value_or("that spells it") +
                   " holds more than the attention itself");
    if (quantisesActivations(op.getSpelling()))
      return dense("it quantises its activations, so that a sum of experts would not equal it");
    if (op->getNumResults() != 1)
      return dense("it has several results");
    int64_t heads = sizeOf(op.getQuery(), 1), groups = sizeOf(op.getKey(), 1);
    if (ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) ||
        !isa<RankedTensorType>(op.getResult(0).getType()))
      return dense("its number of heads is not known");
    int64_t wanted = this->groups;
    if (Attribute attr = op->getAttr("uoe.groups")) {
      auto number = dyn_cast<IntegerAttr>(attr);
      if (!number)
        return op.emitError("needs an integer as uoe.groups, found ") << attr;
      wanted = number.getInt();
    }
    if (wanted < 1)
      return op.emitError("needs at least one group of heads, found ") << wanted;
    if (wanted > groups) {
      op.emitRemark(name) << " becomes " << groups << " experts, not " << wanted << ": it has "
                          << groups << " key and value heads";
      wanted = groups;
    }
    return split(op, name, heads / groups, groups, evenSizes(groups, wanted));
  }

  // The way from the heads to the output projection: nodes, each with the slice of its result.
  struct Step {
    NodeOp node;
    unsigned operand;
    HeadSlice where;
    int64_t common = 0;
    bool flattens = false;
  };

  // The number of channels from the axis of heads on, 0 if it is not known or they are not all that
  // follows.
  static int64_t sideBySide(Value value, HeadSlice where) {
    int64_t width = 1;
    for (int64_t i = where.axis; i < rankOf(value); ++i)
      width = ShapedType::isDynamic(sizeOf(value, i)) ? 0 : width * sizeOf(value, i);
    return where.before == 1 && where.offset == 0 ? width : 0;
  }

  LogicalResult split(AttentionOp op, StringRef name, int64_t queries, int64_t groups,
                      ArrayRef<int64_t> sizes) {
    Facts facts;
    Value value = op.getResult(0);
    HeadSlice where{1, 0, 1, queries};
    // The output projection is where the experts op will stand, so it is found first.
    SmallVector<Step> steps;
    NodeOp projection;
    OpBuilder builder(op);
    HeadSlicer forward(builder, op.getLoc(), groups, sizes, facts);
    auto dense = [&](const Twine &why) {
      op.emitRemark(name) << " is left dense: " << why;
      return success();
    };
    while (!projection) {
      if (!value.hasOneUse())
        return dense("its heads' results are used in several places");
      auto node = dyn_cast<NodeOp>(*value.getUsers().begin());
      bool rows = !steps.empty() && steps.back().flattens;
      unsigned operand = value.getUses().begin()->getOperandNumber();
      auto at = [&](const Twine &why) {
        return dense(
            Twine(node ? describe(node) + " (" + node.getOpType().str() + ")" : "its use") + " " +
            why);
      };
      if (!node || node->getBlock() != op->getBlock() || node->getNumResults() != 1 ||
          !isa<RankedTensorType>(node.getResult(0).getType()))
        return at("takes its heads' results and is no output projection");
      Value result = node.getResult(0);
      Step step{node, operand, where};
      if ((node.is("MatMul") || node.is("Gemm")) && operand == 0) {
        if (!facts.isConstant(node.input(1)) || rankOf(node.input(1)) != 2 ||
            (!rows && where.axis != rankOf(value) - 1) || node.integer("transA", 0) != 0)
          return at("is no product of heads side by side with a constant matrix");
        projection = node;
      } else if (node.isContrib("MatMulNBits") && operand == 0 &&
                 (rows || where.axis == rankOf(value) - 1)) {
        projection = node;
      } else if (rows) {
        return at(
            "between flattened rows and the output projection is not known to treat heads alike");
      } else if (node.is("Transpose")) {
        auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
        int64_t rank = rankOf(value);
        for (int64_t i = 0; i < rank; ++i)
          if ((perm ? perm[i] : rank - 1 - i) == where.axis)
            step.where.axis = i;
      } else if (node.is("Reshape") && operand == 0) {
        auto next = forward.across(node, where, true, step.common);
        if (next) {
          step.where = *next;
        } else if (auto width = sideBySide(value, where);
                   width > 0 && rankOf(result) == 2 && sizeOf(result, 1) == width) {
          // Rows of all heads are flattened for the projection: that can be done after it.
          step.where.each = width / groups;
          step.flattens = true;
        } else {
          return at("does not keep heads apart");
        }
      } else if (node.is("Identity") || node.is("Cast")) {
      } else if (node.is("Mul") || node.is("Div")) {
        if (rankOf(value) != rankOf(result) ||
            sizeOf(value, where.axis) != sizeOf(result, where.axis))
          return at("broadcasts heads");
      } else {
        return at("between the heads and the output projection is not known to treat heads alike");
      }
      where = step.where;
      value = result;
      if (!projection)
        steps.push_back(step);
    }
    return build(op, name, queries, groups, sizes, steps, projection, where, facts);
  }

  LogicalResult build(AttentionOp op, StringRef name, int64_t queries, int64_t groups,
                      ArrayRef<int64_t> sizes, ArrayRef<Step> steps, NodeOp projection,
                      HeadSlice last, Facts &facts) {
    Location loc = op.getLoc();
    OpBuilder builder(projection);
    HeadSlicer slicer(builder, loc, groups, sizes, facts);
    OpBuilder &inner = slicer.inside();
    auto dense = [&]() {
      slicer.undo();
      op.emitRemark(name) << " is left dense: " << slicer.reason;
      return success();
    };
    Value q = slicer.slice(op.getQuery(), {1, 0, 1, queries});
    Value k = q ? slicer.slice(op.getKey(), {1, 0, 1, 1}) : Value();
    Value v = k ? slicer.slice(op.getValue(), {1, 0, 1, 1}) : Value();
    if (!v)
      return dense();
    Value bias;
    if (op.getBias()) {
      int64_t axis = rankOf(op.getBias()) - 3;
      bool perHead = axis >= 0 && sizeOf(op.getBias(), axis) != 1;
      bias = perHead ? slicer.cut(op.getBias(), {axis, 0, 1, queries}) : slicer.whole(op.getBias());
      if (!bias)
        return dense();
    }
    HeadSlice where{1, 0, 1, queries};
    auto attention =
        AttentionOp::create(inner, loc, TypeRange{slicer.restricted(op.getResult(0), where)}, q, k,
                            v, bias, op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(),
                            op.getSoftcapAttr(), op.getBooleanZeroAttr(), StringAttr());
    Value value = attention.getResult(0);
    bool flattened = false;
    for (const Step &step : steps) {
      NodeOp node = step.node;
      if (step.flattens) {
        auto whole = cast<RankedTensorType>(value.getType());
        SmallVector<int64_t> shape(step.where.axis + 1, 0);
        shape.back() = -1;
        SmallVector<int64_t> sizesOf(whole.getShape().take_front(shape.size()));
        sizesOf.back() = llvm::all_equal(sizes) ? sizes[0] * step.where.each : ShapedType::kDynamic;
        value = makeNode(inner, loc, "Reshape", {value, makeIntegers(inner, loc, shape)},
                         RankedTensorType::get(sizesOf, whole.getElementType()));
        flattened = true;
        continue;
      }
      if (node.is("Reshape")) {
        value = slicer.regroup(node, value, step.where, step.common);
        continue;
      }
      SmallVector<Value> operands;
      for (unsigned i = 0; i < node.getInputs().size(); ++i) {
        operands.push_back(i == step.operand ? value
                                             : slicer.sliceBroadcast(node.input(i), step.where,
                                                                     rankOf(node.getResult(0))));
        if (!operands.back())
          return dense();
      }
      value = slicer.copy(node, operands, step.where)->getResult(0);
    }

    // Rows of the output projection; its bias is added once.
    Value matrix = projection.input(1), outBias;
    bool transposed = false;
    if (projection.isContrib("MatMulNBits")) {
      if (projection.integer("accuracy_level", 0) == 4)
        return slicer.stop(Twine(describe(projection)) +
                           " (MatMulNBits) quantises its activations"),
               dense();
      auto linear = matchLinearCore(projection.getResult(0), facts);
      if (!linear || !linear->biases.empty())
        return slicer.stop("its output projection is no product with a constant matrix"), dense();
      matrix = linear->weight(builder);
    } else if (projection.is("Gemm")) {
      transposed = projection.integer("transB", 0) != 0;
      auto factor = [&](StringRef attr) {
        auto f = dyn_cast_or_null<FloatAttr>(projection.attribute(attr));
        return !f || f.getValueAsDouble() == 1.0;
      };
      if (!factor("alpha") || !factor("beta"))
        return slicer.stop(Twine(describe(projection)) + " (Gemm) scales its product or bias"),
               dense();
      if (projection.getInputs().size() > 2 && !isa<NoneType>(projection.input(2).getType()))
        outBias = projection.input(2);
    }
    HeadSlice rows = last;
    rows.axis = transposed ? 1 : 0;
    Value part = slicer.slice(matrix, rows);
    if (!part)
      return dense();
    if (transposed) {
      auto type = cast<RankedTensorType>(part.getType());
      auto swapped =
          RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
      part = makeNode(inner, loc, "Transpose", {part}, swapped,
                      {inner.getNamedAttr("perm", inner.getDenseI64ArrayAttr({1, 0}))});
    }
    auto type = cast<RankedTensorType>(projection.getResult(0).getType());
    if (flattened && type.isDynamicDim(1))
      return slicer.stop("the width of its output projection is not known"), dense();
    auto partType = type;
    if (flattened) {
      auto whole = cast<RankedTensorType>(value.getType());
      SmallVector<int64_t> shape(whole.getShape());
      shape.back() = type.getDimSize(1);
      partType = RankedTensorType::get(shape, type.getElementType(), whole.getEncoding());
    }
    Value partial = makeNode(inner, loc, "MatMul", {value, part}, partType);
    YieldOp::create(inner, loc, partial);

    auto experts =
        ExpertsOp::create(builder, loc, partType, slicer.sharedOperands(), slicer.slicedOperands(),
                          Value(), Value(), slicer.slicedAxes(), sizes, Combine::sum);
    experts.getBody().push_back(slicer.takeBody());
    for (StringRef attr : {"name", "layer"})
      if (Attribute value = op->getAttr(attr))
        experts->setAttr(attr, value);
    Value result = experts.getOutput();
    if (flattened)
      result = makeNode(builder, loc, "Reshape",
                        {result, makeIntegers(builder, loc, {-1, type.getDimSize(1)})}, type);
    result = addBias(builder, loc, result, outBias);
    Value old = projection.getResult(0);
    old.replaceAllUsesWith(result);
    ++decomposed;
    if (keepDense) {
      builder.setInsertionPointAfter(projection);
      ProbeOp::create(builder, loc, name.str() + ":dense", old);
      ProbeOp::create(builder, loc, name.str() + ":experts", result);
      return success();
    }
    eraseUnused(projection);
    return success();
  }

  // The dense form goes as far as nothing else (a cache that is an output, a tap) uses it.
  static void eraseUnused(Operation *op) {
    llvm::SetVector<Operation *> work;
    work.insert(op);
    while (!work.empty()) {
      Operation *next = work.pop_back_val();
      if (!next->use_empty() || !isa<NodeOp, AttentionOp>(next))
        continue;
      SetVector<Value> operands(next->operand_begin(), next->operand_end());
      for (Region &region : next->getRegions())
        region.walk([&](Operation *nested) {
          operands.insert(nested->operand_begin(), nested->operand_end());
        });
      SmallVector<Operation *> producers;
      for (Value operand : operands)
        if (Operation *producer = operand.getDefiningOp();
            producer && producer->getParentRegion() == next->getParentRegion())
          producers.push_back(producer);
      next->erase();
      work.insert(producers.begin(), producers.end());
    }
  }
};

} // namespace
