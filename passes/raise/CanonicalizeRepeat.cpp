// Keys and values that groups of queries share are repeated along the axis of heads, in one of many
// spellings and in many places. Repetition moves towards the product that needs it, past what
// treats all heads alike, and is spelled there in one way.
#include "passes/raise/Regroup.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {
/// A value that is `operand`, in the shape `dims`, with each index of an axis `times` times.
struct Repetition {
  Value operand;
  SmallVector<Dim> dims;
  int64_t axis = 0, times = 1;
  /// Copies of the whole axis, one after the other, instead of copies of each index.
  bool inTurn = false;

  bool isLike(const Repetition &other) const {
    return axis == other.axis && times == other.times && inTurn == other.inTurn;
  }
};
} // namespace

/// What a Gather by constant indices repeats.
static std::optional<Repetition> gathered(Graph &graph, NodeOp node) {
  Value data = node.input(0);
  int64_t rank = graph.rank(data), axis = node.integer("axis", 0);
  auto indices = graph.integersOf(node.input(1));
  if (rank < 0 || !indices || graph.rank(node.input(1)) != 1)
    return std::nullopt;
  axis += axis < 0 ? rank : 0;
  auto groups = graph.size(data, axis);
  int64_t count = static_cast<int64_t>(indices->size());
  if (!groups || *groups <= 0 || count <= *groups || count % *groups != 0)
    return std::nullopt;
  int64_t times = count / *groups;
  auto all = [&](auto &&index) {
    for (int64_t i = 0; i < count; ++i)
      if ((*indices)[i] != index(i))
        return false;
    return true;
  };
  Repetition result{data, SmallVector<Dim>(graph.facts.facts(data).dims), axis, times};
  if (all([&](int64_t i) { return i / times; }))
    return result;
  result.inTurn = true;
  return all([&](int64_t i) { return i % *groups; }) ? std::optional(result) : std::nullopt;
}

/// What an Expand, a Tile or a Concat repeats along one axis.
static std::optional<Repetition> filled(Graph &graph, NodeOp node) {
  if (!(node.is("Expand") || node.is("Tile") ||
        (node.is("Concat") && llvm::all_equal(node.getInputs()))))
    return std::nullopt;
  const Facts &from = graph.facts.facts(node.input(0)), &to = graph.facts.facts(node.getResult(0));
  if (!from.ranked || !to.ranked || from.rank() != to.rank())
    return std::nullopt;
  std::optional<int64_t> axis;
  for (int64_t i = 0; i < from.rank(); ++i) {
    if (from.dims[i] == to.dims[i])
      continue;
    if (axis)
      return std::nullopt;
    axis = i;
  }
  if (!axis || !from.dims[*axis].constant() || !to.dims[*axis].constant())
    return std::nullopt;
  int64_t one = *from.dims[*axis].constant(), all = *to.dims[*axis].constant();
  if (one <= 0 || all % one != 0)
    return std::nullopt;
  return Repetition{node.input(0), SmallVector<Dim>(from.dims), *axis, all / one, one != 1};
}

/// What a Reshape merges behind an axis that was made for the copies.
static std::optional<Repetition> merged(Graph &graph, NodeOp node) {
  auto inner = node.input(0) ? node.input(0).getDefiningOp<NodeOp>() : NodeOp();
  auto copies = inner ? filled(graph, inner) : std::nullopt;
  if (!copies || copies->inTurn)
    return std::nullopt;
  const Facts &fine = graph.facts.facts(node.input(0)), &to = graph.facts.facts(node.getResult(0));
  auto parts = to.ranked ? refine(graph, fine.dims, to.dims) : std::nullopt;
  if (!parts)
    return std::nullopt;
  auto place = parts->placeOf(copies->axis);
  int64_t before = 1, behind = 1;
  for (size_t i = place.begin; i < place.end; ++i) {
    auto size = parts->sizes[i].constant();
    if (!size || (i == place.part && *size != copies->times))
      return std::nullopt;
    if (i != place.part)
      (i < place.part ? before : behind) *= *size;
  }
  if (before != 1 && behind != 1)
    return std::nullopt;
  Repetition result{copies->operand, SmallVector<Dim>(to.dims), place.axis, copies->times,
                    behind != 1};
  result.dims[place.axis] = graph.facts.dims.constant(before * behind);
  return result;
}

/// The repetition of heads that makes `value`, if one does. The last axis holds no heads.
static std::optional<Repetition> repetitionOf(Graph &graph, Value value) {
  auto node = value ? value.getDefiningOp<NodeOp>() : NodeOp();
  if (!node || !(node.getDomain().empty() || node.getDomain() == "ai.onnx") ||
      graph.rank(value) < 4 || !graph.isFloat(value))
    return std::nullopt;
  auto found = node.is("Gather")    ? gathered(graph, node)
               : node.is("Reshape") ? merged(graph, node)
                                    : filled(graph, node);
  return found && found->times > 1 && found->axis + 1 < graph.rank(value) ? found : std::nullopt;
}

/// What is repeated, in its shape; null if no node can say that.
static Value operandOf(Graph &graph, NodeOp at, const Repetition &repetition) {
  Value operand = repetition.operand;
  if (auto insert = operand.getDefiningOp<NodeOp>();
      insert && (insert.is("Unsqueeze") || insert.is("Reshape")) &&
      llvm::equal(graph.facts.facts(insert.input(0)).dims, repetition.dims))
    return insert.input(0);
  return reshaped(graph, at, operand, repetition.dims);
}

/// `value` repeated along `axis` as `like` says, in the spelling that attention is matched by.
static Value repeated(Graph &graph, NodeOp at, Value value, int64_t axis, const Repetition &like) {
  SmallVector<Dim> shape(graph.facts.facts(value).dims);
  bool single = shape[axis].is(1);
  int64_t rank = static_cast<int64_t>(shape.size()), made = like.inTurn ? axis : axis + 1;
  shape[axis] = graph.facts.dims.multiply(shape[axis], graph.facts.dims.constant(like.times));
  if (!single)
    value = graph.make(at, "Unsqueeze", {value, graph.integers(at, {made})});
  SmallVector<int64_t> times(single ? rank : rank + 1, 1);
  times[single ? axis : made] = like.times;
  value = graph.make(at, "Expand", {value, graph.integers(at, times)});
  return single ? value : reshaped(graph, at, value, shape);
}

/// The repetition of what `make` gives for what is repeated.
template <typename Make>
static Simplified repeatBehind(Graph &graph, NodeOp root, const Repetition &repetition,
                               int64_t axis, Make &&make) {
  Value operand = operandOf(graph, root, repetition);
  Value made = operand ? make(operand) : Value();
  Value result = made ? repeated(graph, root, made, axis, repetition) : Value();
  return result ? Simplified::with(result) : Simplified::none();
}

/// Without axes of one element beyond the four of [B, H, T, D], in whatever order those are; `perm`
/// is what becomes of a permutation of all.
static void dropSingle(Repetition &repetition, Permutation &perm) {
  for (int64_t axis = static_cast<int64_t>(perm.size()) - 1; axis >= 0 && perm.size() > 4; --axis) {
    if (!repetition.dims[axis].is(1) || axis == repetition.axis)
      continue;
    repetition.dims.erase(repetition.dims.begin() + axis);
    repetition.axis -= axis < repetition.axis;
    llvm::erase(perm, axis);
    for (int64_t &other : perm)
      other -= axis < other;
  }
}

static Simplified behindTranspose(Graph &graph, NodeOp root) {
  auto perm = permutationOf(root);
  auto repetition = perm ? repetitionOf(graph, root.input(0)) : std::nullopt;
  const Facts &to = graph.facts.facts(root.getResult(0));
  if (!repetition || !to.ranked)
    return Simplified::none();
  SmallVector<Dim> shape(to.dims);
  dropSingle(*repetition, *perm);
  // What transposes keys for their product stays behind: [.., T, D] is what is repeated.
  int64_t rank = static_cast<int64_t>(perm->size());
  Permutation swap = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(swap[rank - 2], swap[rank - 1]);
  bool keys = (*perm)[rank - 2] == rank - 1;
  if (*perm == swap)
    return Simplified::none();
  if (keys)
    std::swap((*perm)[rank - 2], (*perm)[rank - 1]);
  int64_t axis = llvm::find(*perm, repetition->axis) - perm->begin();
  if (axis == rank - 1 || (keys && axis == rank - 2))
    return Simplified::none();
  Simplified result = repeatBehind(graph, root, *repetition, axis, [&](Value operand) {
    return transposed(graph, root, operand, *perm);
  });
  if (!result.changed)
    return result;
  if (keys)
    result.value = transposed(graph, root, result.value, swap);
  return Simplified::with(reshaped(graph, root, result.value, shape));
}

/// Axes that are split, merged, made or dropped beside that of the heads.
static Simplified behindRegrouping(Graph &graph, NodeOp root) {
  // The Reshape that merges the copies may regroup more: that is done before.
  if (auto own = repetitionOf(graph, root.getResult(0));
      own && graph.rank(root.input(0)) > graph.rank(root.getResult(0)) + 1)
    return repeatBehind(graph, root, *own, own->axis, [](Value operand) { return operand; });
  auto repetition = repetitionOf(graph, root.input(0));
  const Facts &to = graph.facts.facts(root.getResult(0));
  if (!repetition || !to.ranked || to.rank() < 4)
    return Simplified::none();
  const Facts &from = graph.facts.facts(root.input(0));
  auto parts = refine(graph, from.dims, to.dims);
  if (!parts)
    return Simplified::none();
  auto place = parts->placeOf(repetition->axis);
  Dim copies = from.dims[repetition->axis];
  if (parts->sizes[place.part] != copies || to.dims[place.axis] != copies ||
      place.axis == to.rank() - 1)
    return Simplified::none();
  SmallVector<Dim> shape(to.dims);
  shape[place.axis] = repetition->dims[repetition->axis];
  return repeatBehind(graph, root, *repetition, place.axis,
                      [&](Value operand) { return reshaped(graph, root, operand, shape); });
}

/// An operator that does to each head what it does to the others, `operands` being those that have
/// heads of their own: all are repeated alike.
static Simplified behindAll(Graph &graph, NodeOp root, ArrayRef<unsigned> operands) {
  std::optional<Repetition> first;
  SmallVector<Value> values(root.getInputs());
  for (unsigned i : operands) {
    auto repetition = repetitionOf(graph, values[i]);
    if (!repetition || (first && !first->isLike(*repetition)))
      return Simplified::none();
    first = first ? first : repetition;
    values[i] = operandOf(graph, root, *repetition);
    if (!values[i])
      return Simplified::none();
  }
  if (!first)
    return Simplified::none();
  Value made = graph.make(root, root.getOpType(), values, llvm::to_vector(root.getNodeAttrs()),
                          root.getDomain());
  Value result = repeated(graph, root, made, first->axis, *first);
  return result ? Simplified::with(result) : Simplified::none();
}

static Simplified behindElements(Graph &graph, NodeOp root) {
  std::optional<Repetition> first;
  Value result = root.getResult(0);
  for (Value operand : root.getInputs())
    if (auto found = repetitionOf(graph, operand); found && graph.sameShape(operand, result)) {
      first = found;
      break;
    }
  if (!first || !graph.isFloat(result))
    return Simplified::none();
  // What is the same for all heads stays as it is.
  SmallVector<unsigned> own;
  for (auto [i, operand] : llvm::enumerate(root.getInputs())) {
    if (isa<NoneType>(operand.getType()))
      continue;
    const Facts &facts = graph.facts.facts(operand);
    if (!facts.ranked)
      return Simplified::none();
    int64_t axis = first->axis - (graph.rank(result) - facts.rank());
    if (axis >= 0 && !facts.dims[axis].is(1))
      own.push_back(static_cast<unsigned>(i));
  }
  return behindAll(graph, root, own);
}

static Simplified behindRows(Graph &graph, NodeOp root) {
  // Norms of the last axis, and parts and pieces of other axes than the heads'.
  auto repetition = repetitionOf(graph, root.input(0));
  if (!repetition)
    return Simplified::none();
  int64_t rank = graph.rank(root.input(0));
  auto isHeads = [&](int64_t axis) { return (axis < 0 ? axis + rank : axis) == repetition->axis; };
  if (root.is("Slice")) {
    auto axes = root.input(3) ? graph.integersOf(root.input(3)) : std::nullopt;
    return axes && llvm::none_of(*axes, isHeads) ? behindAll(graph, root, {0}) : Simplified::none();
  }
  if (root.is("Concat")) {
    SmallVector<unsigned> all =
        llvm::to_vector(llvm::seq<unsigned>(0, static_cast<unsigned>(root.getInputs().size())));
    return isHeads(root.integer("axis", 0)) ? Simplified::none() : behindAll(graph, root, all);
  }
  if (root.is("RotaryEmbedding"))
    return rank == 4 && repetition->axis == 1 ? behindAll(graph, root, {0}) : Simplified::none();
  int64_t axis = root.integer("axis", -1);
  for (Value operand : llvm::drop_begin(root.getInputs()))
    if (!isa<NoneType>(operand.getType()) && graph.rank(operand) != 1)
      return Simplified::none();
  return (axis == -1 || axis == rank - 1) && root.getNumResults() == 1 ? behindAll(graph, root, {0})
                                                                       : Simplified::none();
}

//===----------------------------------------------------------------------===//
// Queries stacked in groups
//===----------------------------------------------------------------------===//

/// An einsum over groups multiplies all queries of a group at once, [B, G, R·S, D] times
/// [B, G, D, T], and takes the result apart, [B, G, R, S, T] or [B, G·R, S, T]: a product over all
/// heads, of keys repeated for the group's R.
static Simplified unstacked(Graph &graph, NodeOp root) {
  NodeOp product = producer(root.input(0), "MatMul");
  NodeOp stack = product ? producer(product.input(0), "Reshape") : NodeOp();
  const Facts &to = graph.facts.facts(root.getResult(0));
  if (!stack || !root.input(0).hasOneUse() || !to.ranked || to.rank() < 4)
    return Simplified::none();
  const Facts &all = graph.facts.facts(root.input(0)), &keys = graph.facts.facts(product.input(1)),
              &queries = graph.facts.facts(product.input(0));
  SmallVector<Dim> apart(to.dims), shape(to.dims);
  while (apart.size() > 5 && apart.back().is(1))
    apart.pop_back();
  DimTable &dims = graph.facts.dims;
  if (apart.size() == 4 && all.rank() == 4)
    if (Dim times = dims.exactDiv(apart[1], all.dims[1])) {
      apart[1] = times;
      apart.insert(apart.begin() + 1, all.dims[1]);
    }
  if (apart.size() != 5 || all.rank() != 4 || keys.rank() != 4 || queries.rank() != 4 ||
      apart[0] != all.dims[0] || apart[1] != all.dims[1] || apart[4] != all.dims[3] ||
      keys.dims[0] != all.dims[0] || keys.dims[1] != all.dims[1] ||
      dims.multiply(apart[2], apart[3]) != all.dims[2] || !apart[1].constant() ||
      !apart[2].constant() || apart[2].is(1) || isConstantExpression(graph, product.input(1)))
    return Simplified::none();
  Repetition group{{}, {}, 1, *apart[2].constant()};
  Dim width = queries.dims[3];
  Value heads = reshaped(graph, root, stack.input(0),
                         {apart[0], dims.multiply(apart[1], apart[2]), apart[3], width});
  // Keys are repeated before they are transposed for the product.
  Value shared = product.input(1);
  Permutation swap{0, 1, 3, 2};
  bool swapped = permutationOf(shared.getDefiningOp<NodeOp>()) == swap;
  if (swapped)
    shared = shared.getDefiningOp<NodeOp>().input(0);
  shared = repeated(graph, root, shared, 1, group);
  if (!heads || !shared)
    return Simplified::none();
  if (swapped)
    shared = transposed(graph, root, shared, swap);
  Value result = reshaped(graph, root, graph.make(root, "MatMul", {heads, shared}), shape);
  return result ? Simplified::with(result) : Simplified::none();
}

/// Whether the value is what a product of activations gives, but for elementwise nodes and softmax.
static bool isOfProduct(Graph &graph, Value value) {
  for (int steps = 0; steps < 12; ++steps) {
    auto node = value.getDefiningOp<NodeOp>();
    if (!node)
      return false;
    if (node.is("MatMul") || node.is("Einsum"))
      return !isConstantExpression(graph, node.input(1));
    if (!node.is("Softmax") && !isElementByElement(node))
      return false;
    Value next;
    for (Value operand : node.getInputs())
      if (!next && graph.sameShape(operand, value) && graph.isFloat(operand))
        next = operand;
    if (!next)
      return false;
    value = next;
  }
  return false;
}

/// Scores [B, H, S, T] that were taken apart by groups, [B, G, R, S, T], are so after what treats
/// them alike.
static Simplified apartLast(Graph &graph, NodeOp root) {
  Value result = root.getResult(0), whole;
  const Facts &to = graph.facts.facts(result);
  if (!to.ranked || to.rank() != 5 || root.getNumResults() != 1 || !graph.isFloat(result))
    return Simplified::none();
  DimTable &dims = graph.facts.dims;
  SmallVector<Dim> shape(to.dims);
  Dim heads = dims.multiply(shape[1], shape[2]), one = dims.constant(1);
  for (Value operand : root.getInputs())
    if (NodeOp apart = producer(operand, "Reshape");
        apart && graph.rank(apart.input(0)) == 4 && graph.sameShape(operand, result))
      whole = apart.input(0);
  SmallVector<Dim> merged{shape[0], heads, shape[3], shape[4]};
  if (!whole || !heads.constant() || !llvm::equal(graph.facts.facts(whole).dims, merged) ||
      !isOfProduct(graph, whole))
    return Simplified::none();
  if (root.is("Softmax")) {
    if (int64_t axis = root.integer("axis", -1); axis != -1 && axis != 4)
      return Simplified::none();
    Value made = graph.make(root, "Softmax", {whole}, {graph.attribute("axis", int64_t(-1))});
    return Simplified::with(reshaped(graph, root, made, shape));
  }
  SmallVector<Value> operands;
  for (Value operand : root.getInputs()) {
    const Facts &facts = graph.facts.facts(operand);
    if (isa<NoneType>(operand.getType()) || (facts.ranked && facts.rank() < 3)) {
      operands.push_back(operand);
      continue;
    }
    if (!facts.ranked)
      return Simplified::none();
    SmallVector<Dim> sizes(5 - facts.rank(), one);
    llvm::append_range(sizes, facts.dims);
    bool own = sizes[1] == shape[1] && sizes[2] == shape[2];
    if (!own && !(sizes[1].is(1) && sizes[2].is(1)))
      return Simplified::none();
    operands.push_back(
        reshaped(graph, root, operand, {sizes[0], own ? heads : one, sizes[3], sizes[4]}));
    if (!operands.back())
      return Simplified::none();
  }
  Value made = graph.make(root, root.getOpType(), operands, llvm::to_vector(root.getNodeAttrs()));
  return Simplified::with(reshaped(graph, root, made, shape));
}

//===----------------------------------------------------------------------===//
// Heads that share keys in turn
//===----------------------------------------------------------------------===//

/// The order of an axis after a Gather by constant indices, if each index is there once.
static std::optional<Permutation> orderOf(Graph &graph, NodeOp node, int64_t &axis) {
  int64_t rank = node && node.is("Gather") ? graph.rank(node.input(0)) : -1;
  auto indices =
      rank > 0 && graph.rank(node.input(1)) == 1 ? graph.integersOf(node.input(1)) : std::nullopt;
  if (!indices)
    return std::nullopt;
  axis = node.integer("axis", 0);
  axis += axis < 0 ? rank : 0;
  Permutation sorted(*indices);
  llvm::sort(sorted);
  if (graph.size(node.input(0), axis) != static_cast<int64_t>(sorted.size()) ||
      !llvm::equal(sorted, llvm::seq<int64_t>(0, sorted.size())))
    return std::nullopt;
  return Permutation(*indices);
}

/// Heads [B, H, ..] in another order.
static Value ordered(Graph &graph, NodeOp at, Value value, ArrayRef<int64_t> order) {
  int64_t axis = 0;
  Permutation all(order);
  if (auto inner = orderOf(graph, value.getDefiningOp<NodeOp>(), axis); inner && axis == 1) {
    for (int64_t &index : all)
      index = (*inner)[index];
    value = value.getDefiningOp<NodeOp>().input(0);
  }
  if (llvm::is_sorted(all))
    return value;
  return graph.make(at, "Gather", {value, graph.integers(at, all)},
                    {graph.attribute("axis", int64_t(1))});
}

/// Two orders in a row are one.
static Simplified oneOrder(Graph &graph, NodeOp root) {
  int64_t axis = 0, inner = 0;
  auto order = orderOf(graph, root, axis);
  if (!order || axis != 1 || !orderOf(graph, root.input(0).getDefiningOp<NodeOp>(), inner) ||
      inner != 1)
    return Simplified::none();
  return Simplified::with(ordered(graph, root, root.input(0), *order));
}

/// Whether batch and heads, the first two of four axes, are multiplied one by one.
static bool isBatched(NodeOp product) {
  if (product.is("MatMul"))
    return true;
  std::string equation = product.string("equation", "").str();
  llvm::erase(equation, ' ');
  SmallVector<StringRef> sides, operands;
  StringRef(equation).split(sides, "->");
  sides[0].split(operands, ',');
  return sides.size() == 2 && operands.size() == 2 &&
         llvm::all_of(std::array{operands[0], operands[1], sides[1]}, [&](StringRef axes) {
           return axes.size() == 4 && axes.take_front(2) == operands[0].take_front(2);
         });
}

/// Where head h reads key head h mod G, heads are put in the order of the groups for the product,
/// and its result in the old one.
static Simplified inOrderOfGroups(Graph &graph, NodeOp root) {
  Value keys = root.input(1);
  Permutation swap{0, 1, 3, 2};
  bool swapped = permutationOf(keys.getDefiningOp<NodeOp>()) == swap;
  auto repetition = repetitionOf(graph, swapped ? keys.getDefiningOp<NodeOp>().input(0) : keys);
  if (!repetition || !repetition->inTurn || repetition->axis != 1 || graph.rank(keys) != 4 ||
      graph.rank(root.input(0)) != 4 || !isBatched(root))
    return Simplified::none();
  auto heads = graph.size(keys, 1), groups = repetition->dims[1].constant();
  if (!heads || graph.size(root.input(0), 1) != heads || !groups || *groups == 1)
    return Simplified::none();
  Permutation order;
  for (int64_t group = 0; group < *groups; ++group)
    for (int64_t head = group; head < *heads; head += *groups)
      order.push_back(head);
  Value shared = operandOf(graph, root, *repetition);
  repetition->inTurn = false;
  shared = shared ? repeated(graph, root, shared, 1, *repetition) : Value();
  if (!shared)
    return Simplified::none();
  if (swapped)
    shared = transposed(graph, root, shared, swap);
  Value product =
      graph.make(root, root.getOpType(), {ordered(graph, root, root.input(0), order), shared},
                 llvm::to_vector(root.getNodeAttrs()));
  return Simplified::with(ordered(graph, root, product, inverse(order)));
}

/// Scores of heads in another order are put in that order after what treats them alike.
static Simplified orderLast(Graph &graph, NodeOp root) {
  Value result = root.getResult(0);
  std::optional<Permutation> order;
  int64_t axis = 0;
  for (Value operand : root.getInputs()) {
    auto node = operand.getDefiningOp<NodeOp>();
    if (node && !order && graph.sameShape(operand, result) && graph.rank(operand) == 4)
      if (auto found = orderOf(graph, node, axis);
          found && axis == 1 && isOfProduct(graph, node.input(0)))
        order = found;
  }
  if (!order || root.getNumResults() != 1)
    return Simplified::none();
  if (root.is("Softmax"))
    if (int64_t along = root.integer("axis", -1); along != -1 && along != 3)
      return Simplified::none();
  SmallVector<Value> operands;
  for (Value operand : root.getInputs()) {
    bool own = !isa<NoneType>(operand.getType()) && graph.rank(operand) >= 3 &&
               graph.size(operand, -3) != 1;
    if (own && graph.rank(operand) == 3)
      operand = graph.make(root, "Unsqueeze", {operand, graph.integers(root, {0})});
    if (graph.rank(operand) < 0 && !isa<NoneType>(operand.getType()))
      return Simplified::none();
    operands.push_back(own ? ordered(graph, root, operand, inverse(*order)) : operand);
  }
  Value made = graph.make(root, root.getOpType(), operands, llvm::to_vector(root.getNodeAttrs()));
  return Simplified::with(ordered(graph, root, made, *order));
}

Simplified raise::canonicalRepeat(Graph &graph, NodeOp root) {
  if (!root.input(0) || !(root.getDomain().empty() || root.getDomain() == "ai.onnx" ||
                          root.isContrib("RotaryEmbedding")))
    return Simplified::none();
  if (root.is("Transpose"))
    return behindTranspose(graph, root);
  if (root.is("Reshape") || root.is("Unsqueeze") || root.is("Squeeze")) {
    Simplified result = behindRegrouping(graph, root);
    return result.changed ? result : unstacked(graph, root);
  }
  if (root.is("Gather"))
    return oneOrder(graph, root);
  if (root.is("MatMul") || (root.is("Einsum") && root.getInputs().size() == 2))
    return inOrderOfGroups(graph, root);
  if (root.is("Softmax")) {
    Simplified result = apartLast(graph, root);
    return result.changed ? result : orderLast(graph, root);
  }
  if (root.is("Slice") || root.is("Concat") || root.is("RotaryEmbedding") ||
      root.is("RMSNormalization") || root.is("LayerNormalization"))
    return behindRows(graph, root);
  if (isElementByElement(root))
    for (auto rule : {&behindElements, &apartLast, &orderLast})
      if (Simplified result = rule(graph, root); result.changed)
        return result;
  return Simplified::none();
}
