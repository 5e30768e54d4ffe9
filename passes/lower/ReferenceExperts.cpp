// Experts in ONNX operators, where they are not one masked product: bodies that see gathered
// tokens, merged weights, loops over depth.
#include "lib/Onnx/Operators/Inference.h"
#include "mlir/IR/IRMapping.h"
#include "passes/lower/Reference.h"
#include <numeric>

using namespace mlir;
using namespace uoe;

Value reference::perToken(NodeBuilder &b, Value rows, int64_t tokens, Value x) {
  if (tokens == 1)
    return rows;
  if (tokens == 0)
    return b.node("Unsqueeze", {rows, b.ints({-2})});
  Type i64 = IntegerType::get(x.getContext(), 64);
  Value length = b.node("Squeeze", {dimension(b, x, -2), b.ints({0})});
  Value token = b.node("Range", {b.scalarInt(0), length, b.scalarInt(1)});
  Value row = b.node("Div", {token, b.scalarInt(tokens)}, {}, i64);
  return b.node("Gather", {rows, row}, {b.attr("axis", -2)});
}

SmallVector<Value> reference::expertOperands(NodeBuilder &b, ExpertsOp op, ValueRange shared,
                                             int64_t e) {
  SmallVector<Value> operands(shared);
  int64_t begin = 0;
  for (int64_t i = 0; i < e; ++i)
    begin += op.getSizes()[i];
  for (auto [value, axis] : llvm::zip(op.getSliced(), op.getAxes()))
    operands.push_back(b.slice(value, axis, begin, begin + op.getSizes()[e]));
  return operands;
}

// The expert behind each slot of a routing.
static SmallVector<int64_t> slotsOf(ExpertsOp op, int64_t experts) {
  SmallVector<int64_t> slots(experts);
  for (int64_t i = 0; i < experts; ++i)
    slots[i] = op.getSlots() ? (*op.getSlots())[i] : i;
  return slots;
}

// x [batch, a, b, ...] as [batch, b, a, ...].
static Value swapTokens(NodeBuilder &b, Value x, int64_t rank) {
  SmallVector<int64_t> perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[1], perm[2]);
  MLIRContext *context = x.getContext();
  return b.node(
      "Transpose", {x},
      {NamedAttribute(StringAttr::get(context, "perm"), DenseI64ArrayAttr::get(context, perm))});
}

FailureOr<Value> reference::gathered(NodeBuilder &b, ExpertsOp op, const Routing &routing,
                                     function_ref<Value(ValueRange)> body) {
  Value like = op.getShared()[0];
  int64_t width = op.getOutput().getType().getShape().back();
  if (!routing.places || op.getOutput().getType().getRank() != 3 || ShapedType::isDynamic(width))
    return op.emitOpError("gathers tokens, which needs a select with a capacity and a result "
                          "[batch, tokens, width] of known width, found ")
           << op.getOutput().getType();
  MLIRContext *context = op.getContext();
  Type i1 = IntegerType::get(context, 1), i64 = IntegerType::get(context, 64);
  Type element = elementTypeOf(like);
  Value zero = b.scalar(0, like);
  // Of the routing: operands may be the same for all samples.
  Value rows = b.slice(b.node("Shape", {routing.chosen}, {}, i64), 0, 0, 2);
  Value batch = b.slice(rows, 0, 0, 1), length = b.slice(rows, 0, 1, 2);
  SmallVector<Value> whole(op.getShared());
  for (Value &x : whole)
    if (auto type = cast<RankedTensorType>(x.getType()); type.getDimSize(0) == 1) {
      SmallVector<int64_t> ones(type.getRank() - 1, 1);
      x = b.node("Expand", {x, b.node("Concat", {batch, b.ints(ones)}, {b.attr("axis", 0)}, i64)});
    }
  Value sum =
      b.node("Expand", {zero, b.node("Concat", {rows, b.ints({width})}, {b.attr("axis", 0)}, i64)});
  auto number = [&](Value flags) {
    return b.node("Where", {flags, b.scalar(1, like), zero}, {}, element);
  };
  SmallVector<int64_t> slots = slotsOf(op, routing.experts);
  for (int64_t slot = 0; slot < routing.experts; ++slot) {
    int64_t expert = slots[slot];
    if (expert < 0)
      continue;
    auto column = [&](Value x) {
      return b.node("Gather", {x, b.scalarInt(slot)}, {b.attr("axis", -1)});
    };
    // Places in ascending order of their tokens, blank ones last.
    Value index = column(routing.places);
    Value takes = number(column(routing.chosen));
    Value valid = b.node(
        "Greater", {b.node("GatherElements", {takes, index}, {b.attr("axis", 1)}), zero}, {}, i1);
    Value key = b.add(index, b.node("Where", {valid, b.ints({0}), length}, {}, i64));
    ResultRange sorted = b.nodes("TopK", {key, dimension(b, key, 1)},
                                 {UnrankedTensorType::get(i64), UnrankedTensorType::get(i64)},
                                 {b.attr("axis", 1), b.attr("largest", 0)});
    valid = b.node("Less", {sorted[0], length}, {}, i1);
    index = b.node("Mod", {sorted[0], b.node("Max", {length, b.ints({1})}, {}, i64)}, {}, i64);
    Value points = b.node("Unsqueeze", {index, b.ints({2})});
    auto gather = [&](Value x) {
      return b.node("GatherND", {x, points}, {b.attr("batch_dims", 1)});
    };
    SmallVector<Value> shared;
    for (auto [i, x] : llvm::enumerate(whole)) {
      const auto number = static_cast<int64_t>(i);
      if (op.isCompacted(number)) {
        Value places = dimension(b, index, 1);
        auto first = [&](Value of, int64_t axis) {
          return b.node("Slice", {of, b.ints({0}), places, b.ints({axis})});
        };
        shared.push_back(op.isPair(number) ? first(first(x, 1), 2) : first(x, 1));
      } else if (op.isPair(number)) {
        // Rows, then columns as rows.
        auto rank = cast<RankedTensorType>(op.getShared()[i].getType()).getRank();
        shared.push_back(swapTokens(b, gather(swapTokens(b, gather(x), rank)), rank));
      } else {
        shared.push_back(gather(x));
      }
    }
    SmallVector<Value> operands = expertOperands(b, op, shared, expert);
    if (op.takesValid())
      operands.push_back(valid);
    Value part = body(operands);
    Value weight = b.node("GatherElements", {column(routing.weight), index}, {b.attr("axis", 1)});
    part = b.node("Where",
                  {b.node("Unsqueeze", {valid, b.ints({2})}),
                   b.mul(part, b.node("Unsqueeze", {weight, b.ints({2})})), zero},
                  {}, element);
    // Where tokens lie, as a matrix [B, L, c]: adds rows up without an operator for it.
    Value range =
        b.node("Range", {b.scalarInt(0), b.node("Squeeze", {length, b.ints({0})}), b.scalarInt(1)});
    if (b.opset() >= 18) {
      // Rows by (sample, token).
      NamedAttribute add(StringAttr::get(context, "reduction"), StringAttr::get(context, "add"));
      Value samples = b.node(
          "Range", {b.scalarInt(0), b.node("Squeeze", {batch, b.ints({0})}), b.scalarInt(1)});
      samples = b.node("Unsqueeze", {samples, b.ints({1, 2})});
      samples = b.node("Expand", {samples, b.node("Shape", {points}, {}, i64)});
      Value where = b.node("Concat", {samples, points}, {b.attr("axis", 2)});
      sum = b.node("ScatterND", {sum, where, part}, {add});
    } else {
      Value at = b.node(
          "Equal",
          {b.node("Unsqueeze", {index, b.ints({1})}), b.node("Unsqueeze", {range, b.ints({1})})},
          {}, i1);
      sum = b.add(sum, b.matmul(number(at), part));
    }
  }
  return sum;
}

Value reference::mergedTensors(NodeBuilder &b, ExpertsOp op, Value weight) {
  Value tensors = op.getSliced()[0];
  auto type = cast<RankedTensorType>(tensors.getType());
  if (type.getRank() == 2)
    return b.matmul(weight, tensors);
  ArrayRef<int64_t> part = type.getShape().drop_front();
  const int64_t size = type.getNumElements() / std::max<int64_t>(1, type.getDimSize(0));
  Value matrix = b.node("Reshape", {tensors, b.ints({type.getDimSize(0), size})});
  matrix.setType(RankedTensorType::get({type.getDimSize(0), size}, type.getElementType()));
  // [rows..., size] as [rows..., shape...]; rows are taken over as they are.
  SmallVector<int64_t> shape(op.getOutput().getType().getRank() - part.size(), 0);
  shape.append(part.begin(), part.end());
  return b.node("Reshape", {b.matmul(weight, matrix), b.ints(shape)});
}

Value reference::merged(NodeBuilder &b, ExpertsOp op, Value weight,
                        function_ref<Value(ValueRange)> body) {
  Value sum;
  for (int64_t e = 0; e < op.numExperts(); ++e) {
    Value part = body(expertOperands(b, op, {}, e));
    // [rows..., 1, 1, ...]: one dimension for each of the result.
    auto yield = cast<YieldOp>(op.getBody().front().getTerminator());
    int64_t rank = cast<RankedTensorType>(yield.getOperand(0).getType()).getRank();
    Value w = b.slice(weight, -1, e, e + 1);
    for (int64_t i = 1; i < rank; ++i)
      w = b.node("Unsqueeze", {w, b.ints({-1})});
    if (rank == 0)
      w = b.node("Squeeze", {w, b.ints({-1})});
    part = b.mul(part, w);
    sum = sum ? b.add(sum, part) : part;
  }
  return sum;
}

static void unrollRecur(OpBuilder &builder, NodeBuilder &b, RecurOp op) {
  int64_t times = static_cast<int64_t>(op.getTimes()), count = op.getInit().size();
  SmallVector<Value> carried(op.getInit());
  SmallVector<SmallVector<Value>> stacked(op.getOutputs().size() - count);
  Block &body = op.getBody().front();
  for (int64_t i = 0; i < times; ++i) {
    IRMapping map;
    map.map(body.getArguments().take_front(count), carried);
    for (auto [value, arg] : llvm::zip(op.getEach(), body.getArguments().drop_front(count))) {
      Value row = b.node("Gather", {value, b.scalarInt(i)}, {b.attr("axis", 0)});
      row.setType(arg.getType());
      map.map(arg, row);
    }
    for (Operation &inner : body.without_terminator())
      builder.clone(inner, map);
    Operation *yield = body.getTerminator();
    for (int64_t j = 0; j < count; ++j)
      carried[j] = map.lookupOrDefault(yield->getOperand(j));
    for (auto [j, list] : llvm::enumerate(stacked))
      list.push_back(
          b.node("Unsqueeze", {map.lookupOrDefault(yield->getOperand(count + j)), b.ints({0})}));
  }
  for (ArrayRef<Value> list : stacked) {
    Value all = list.size() == 1 ? list[0] : b.node("Concat", list, {b.attr("axis", 0)});
    all.setType(op.getOutputs()[carried.size()].getType());
    carried.push_back(all);
  }
  op.replaceAllUsesWith(carried);
  op.erase();
}

static std::optional<int64_t> integerOf(Value value) {
  auto integers = onnx::integersOf(onnx::constantOf(value));
  return integers && integers->size() == 1 ? std::optional(integers->front()) : std::nullopt;
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

// Stacks that iterations took apart again, caches of their own above all, are not made.
static void takeFromStacks(Operation *root) {
  SmallVector<onnx::NodeOp> picks;
  root->walk([&](onnx::NodeOp node) {
    if (pickedFrom(node))
      picks.push_back(node);
  });
  for (onnx::NodeOp node : picks) {
    Value value = pickedFrom(node);
    auto stack = node.input(0).getDefiningOp<onnx::NodeOp>();
    if (value.getType() != node.getResult(0).getType()) {
      // Only the names of dimensions may differ, which a reader may insist on.
      OpBuilder builder(node);
      value = onnx::NodeOp::create(builder, node.getLoc(), node->getResultTypes(), "Identity",
                                   ValueRange{value})
                  .getResult(0);
    }
    node.getResult(0).replaceAllUsesWith(value);
    node.erase();
    if (!stack->use_empty())
      continue;
    SmallVector<Value> parts(stack.getInputs());
    stack.erase();
    for (Value part : parts)
      if (auto made = part.getDefiningOp<onnx::NodeOp>();
          made && part.use_empty() && made.is("Unsqueeze"))
        made.erase();
  }
}

int64_t reference::unrollLoops(Operation *root) {
  int64_t unrolled = 0;
  // A loop's body may hold loops; the outer ones first, so that copies are unrolled in turn.
  for (bool again = true; again;) {
    SmallVector<RecurOp> loops;
    root->walk<WalkOrder::PreOrder>([&](RecurOp op) {
      loops.push_back(op);
      return WalkResult::skip();
    });
    again = !loops.empty();
    unrolled += static_cast<int64_t>(loops.size());
    for (RecurOp op : loops) {
      OpBuilder builder(op);
      NodeBuilder b(builder, op.getLoc(), onnx::opsetOf(op));
      unrollRecur(builder, b, op);
    }
  }
  if (unrolled > 0)
    takeFromStacks(root);
  return unrolled;
}
