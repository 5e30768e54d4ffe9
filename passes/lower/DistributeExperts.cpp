// distribute-experts: calls of experts that have a placement keep the weights of one rank's
// experts.
#include "dialects/rt/Rt.h"
#include "lib/Onnx/Operators/Inference.h"
#include "mlir/IR/Dominance.h"
#include "passes/Passes.h"
#include "passes/lower/Lower.h"
#include <map>
#include <numeric>

namespace uoe {
#define GEN_PASS_DEF_DISTRIBUTEEXPERTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

// Operands of uoe.Experts: x, offsets, ids, weights, then these (runtime/cpu/fused/Ffn.cpp).
static constexpr unsigned kUp = 4, kDown = 6, kBiasUp = 7, kBiasGate = 8;

using Interval = std::pair<int64_t, int64_t>; // begin, end

static RankedTensorType withDim(RankedTensorType type, int64_t axis, int64_t size) {
  SmallVector<int64_t> shape(type.getShape());
  shape[axis] = size;
  return RankedTensorType::get(shape, type.getElementType());
}

static int64_t sizeBefore(ArrayRef<int64_t> shape, int64_t axis) {
  return std::accumulate(shape.begin(), shape.begin() + axis, int64_t(1), std::multiplies<>());
}

namespace {

/// Slices of what is computed from weights, taken as near to the weights as can be: what is
/// computed of the rest is never needed.
class Taker {
public:
  Taker(OpBuilder &builder, Location loc, int64_t opset) : b(builder, loc, opset) {}

  Value take(Value value, int64_t axis, Interval range) {
    auto type = cast<RankedTensorType>(value.getType());
    auto [begin, end] = range;
    if (begin == 0 && end == type.getDimSize(axis))
      return value;
    if (auto node = value.getDefiningOp<onnx::NodeOp>(); node && isStatic(node))
      if (Value inner = through(node, axis, range))
        return inner;
    return typed(b.slice(value, axis, begin, end), withDim(type, axis, end - begin));
  }

  Value join(ArrayRef<Value> parts, int64_t axis) {
    if (parts.size() == 1)
      return parts[0];
    int64_t size = 0;
    for (Value part : parts)
      size += cast<RankedTensorType>(part.getType()).getDimSize(axis);
    return typed(b.node("Concat", parts, {b.attr("axis", axis)}),
                 withDim(cast<RankedTensorType>(parts[0].getType()), axis, size));
  }

private:
  static bool isStatic(onnx::NodeOp node) {
    auto fits = [](Type type) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      return tensor && tensor.hasStaticShape();
    };
    return node.getDomain().empty() && node->getNumResults() == 1 && !node.getInputs().empty() &&
           fits(node.getResult(0).getType()) && fits(node.getInputs()[0].getType());
  }

  static Value typed(Value value, RankedTensorType type) {
    value.setType(type);
    return value;
  }

  // The node on other operands, of which the result is `size` long along the axis.
  Value again(onnx::NodeOp node, ValueRange operands, int64_t axis, int64_t size) {
    auto type = cast<RankedTensorType>(node.getResult(0).getType());
    return typed(b.node(node.getOpType(), operands, node.getNodeAttrs().getValue()),
                 withDim(type, axis, size));
  }

  // The range of the node's result from a range of its input; null where that is not known.
  Value through(onnx::NodeOp node, int64_t axis, Interval range) {
    Value x = node.getInputs()[0];
    const int64_t size = range.second - range.first;
    if (node.is("Cast"))
      return again(node, {take(x, axis, range)}, axis, size);
    if (node.is("Transpose")) {
      auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
      return perm ? again(node, {take(x, perm[axis], range)}, axis, size) : Value();
    }
    if (node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze"))
      return throughReshape(node, axis, range);
    if (node.is("Concat"))
      return throughConcat(node, axis, range);
    if (node.is("Slice") && node.getInputs().size() > 3) {
      auto axes = onnx::integersOf(onnx::constantOf(node.getInputs()[3]));
      int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
      if (!axes || llvm::any_of(*axes, [&](int64_t a) { return a == axis || a + rank == axis; }))
        return {};
      SmallVector<Value> operands(node.getInputs());
      operands[0] = take(x, axis, range);
      return again(node, operands, axis, size);
    }
    return {};
  }

  // Elements keep their order, so a range along an axis of the result is one along the axis of x
  // before which as many elements lie, if the one's steps are whole ones of the other's.
  Value throughReshape(onnx::NodeOp node, int64_t axis, Interval range) {
    Value x = node.getInputs()[0];
    auto to = cast<RankedTensorType>(node.getResult(0).getType());
    ArrayRef<int64_t> from = cast<RankedTensorType>(x.getType()).getShape();
    const int64_t before = sizeBefore(to.getShape(), axis), length = to.getDimSize(axis);
    for (size_t i = 0; i < from.size(); ++i) {
      if (sizeBefore(from, static_cast<int64_t>(i)) != before || from[i] < 1 || length < 1)
        continue;
      auto [begin, end] = range;
      if (int64_t step = length / from[i];
          length % from[i] == 0 && begin % step == 0 && end % step == 0)
        std::tie(begin, end) = Interval(begin / step, end / step);
      else if (from[i] % length == 0)
        std::tie(begin, end) = Interval(begin * (from[i] / length), end * (from[i] / length));
      else
        continue;
      RankedTensorType part = withDim(to, axis, range.second - range.first);
      Value shape = b.ints(part.getShape());
      Value inner = take(x, static_cast<int64_t>(i), {begin, end});
      return typed(b.node("Reshape", {inner, shape}, {b.attr("allowzero", 1)}), part);
    }
    return {};
  }

  Value throughConcat(onnx::NodeOp node, int64_t axis, Interval range) {
    auto attr = dyn_cast_or_null<IntegerAttr>(node.attribute("axis"));
    if (!attr)
      return {};
    for (Value input : node.getInputs())
      if (auto type = dyn_cast<RankedTensorType>(input.getType()); !type || !type.hasStaticShape())
        return {};
    int64_t along = attr.getInt(), at = 0;
    if (along < 0)
      along += cast<RankedTensorType>(node.getResult(0).getType()).getRank();
    SmallVector<Value> parts;
    for (Value input : node.getInputs()) {
      if (along != axis) {
        parts.push_back(take(input, axis, range));
        continue;
      }
      int64_t size = cast<RankedTensorType>(input.getType()).getDimSize(axis);
      Interval part(std::max(range.first, at) - at, std::min(range.second, at + size) - at);
      if (part.first < part.second)
        parts.push_back(take(input, axis, part));
      at += size;
    }
    if (along != axis)
      return again(node, parts, axis, range.second - range.first);
    return parts.empty() ? take(node.getInputs()[0], axis, {0, 0}) : join(parts, axis);
  }

  NodeBuilder b;
};

struct DistributeExpertsPass : uoe::impl::DistributeExpertsPassBase<DistributeExpertsPass> {
  using DistributeExpertsPassBase::DistributeExpertsPassBase;

  void runOnOperation() override {
    if (ranks < 1 || rank < 0 || rank >= ranks) {
      getOperation().emitError("distribute-experts: expected a rank below the ")
          << ranks.getValue() << " ranks, found " << rank.getValue();
      return signalPassFailure();
    }
    SmallVector<rtir::CallOp> calls;
    getOperation().walk([&](rtir::CallOp call) {
      if (call.getDomain() == "uoe" && call.getEntry() == "Experts" &&
          call.getParams().contains("shard"))
        calls.push_back(call);
    });
    for (rtir::CallOp call : calls)
      if (failed(distribute(call)))
        return signalPassFailure();
    if (ranks > 1 && !calls.empty())
      eraseDead();
  }

  LogicalResult distribute(rtir::CallOp call) {
    auto shard = call.getParams().getAs<DenseI64ArrayAttr>("shard");
    auto sizes = call.getParams().getAs<DenseI64ArrayAttr>("sizes");
    SmallVector<Interval> own; // neurons of this rank's experts, runs of them
    int64_t at = 0;
    for (auto [expert, place, size] : llvm::enumerate(shard.asArrayRef(), sizes.asArrayRef())) {
      if (ranks > 1 && place >= ranks)
        return call.emitError("expert ")
               << expert << " is placed on rank " << place << ", but there are " << ranks.getValue()
               << " ranks; start a process for each rank (mpirun -n N), or place the experts anew "
                  "(pass shard-experts)";
      if (place == rank) {
        if (!own.empty() && own.back().second == at)
          own.back().second += size;
        else
          own.emplace_back(at, at + size);
      }
      at += size;
    }
    if (own.empty())
      own.emplace_back(0, 0);

    OpBuilder builder(call);
    SmallVector<Value> operands(call.getOperands());
    if (ranks > 1) {
      auto bits = call.getParams().getAs<IntegerAttr>("transposed");
      Taker taker(builder, call.getLoc(), onnx::opsetOf(call));
      for (unsigned i = kUp; i <= kBiasGate; ++i) {
        auto type = dyn_cast<RankedTensorType>(operands[i].getType());
        if (!type || !type.hasStaticShape())
          continue; // absent; the entry refuses what has no static shape
        const bool transposed = bits && (bits.getInt() >> i & 1);
        const int64_t axis = i >= kBiasUp ? type.getRank() - 1 : (i == kDown) == transposed ? 1 : 0;
        operands[i] = partOf(call, taker, operands[i], axis, own);
      }
    }
    NamedAttrList params(call.getParams());
    params.set("rank", builder.getI64IntegerAttr(rank));
    params.set("ranks", builder.getI64IntegerAttr(ranks));
    auto part =
        rtir::CallOp::create(builder, call.getLoc(), call.getResultTypes(), "uoe", "ShardedExperts",
                             1, operands, params.getDictionary(&getContext()), ArrayAttr(), 0u);
    part->setDiscardableAttrs(call->getDiscardableAttrDictionary());
    call.replaceAllUsesWith(part.getResults());
    call.erase();
    ++distributed;
    return success();
  }

  // Layers that share a weight share its part.
  Value partOf(rtir::CallOp call, Taker &taker, Value whole, int64_t axis,
               ArrayRef<Interval> ranges) {
    Value &known = parts[{whole.getAsOpaquePointer(), axis, ranges.vec()}];
    if (known && DominanceInfo().properlyDominates(known, call))
      return known;
    SmallVector<Value> taken;
    for (Interval range : ranges)
      taken.push_back(taker.take(whole, axis, range));
    return known = taker.join(taken, axis);
  }

  // What other ranks' experts are computed from: loading would compute it.
  void eraseDead() {
    SmallVector<Operation *> ops;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<onnx::NodeOp, onnx::WeightOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : llvm::reverse(ops))
      if (op->use_empty())
        op->erase();
  }

  std::map<std::tuple<void *, int64_t, std::vector<Interval>>, Value> parts;
};

} // namespace
