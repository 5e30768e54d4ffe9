// Transpositions move towards the end of the graph, past nodes that treat all elements or all axes
// alike, until they meet another and cancel. Products that exporters spell around an order of axes
// (1x1 convolutions; one key head for all queries) come out in the usual order.
#include "passes/raise/Regroup.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

/// The permutation of a Transpose that nothing but one node reads.
static std::optional<Permutation> soleTranspose(Value value) {
  return value && value.hasOneUse() ? permutationOf(value.getDefiningOp<NodeOp>()) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Elementwise nodes
//===----------------------------------------------------------------------===//

/// `operand` with its axes before the permutation, where that costs nothing at run time; null
/// otherwise.
static Value unpermuted(Graph &graph, NodeOp at, Value operand, ArrayRef<int64_t> perm) {
  auto count = graph.facts.facts(operand).count();
  if (count && *count == 1)
    return operand;
  if (auto own = soleTranspose(operand); own && *own == ArrayRef<int64_t>(perm))
    return operand.getDefiningOp<NodeOp>().input(0);
  int64_t rank = graph.rank(operand), full = static_cast<int64_t>(perm.size());
  if (rank < 0 || rank > full)
    return {};
  bool constant = isConstantExpression(graph, operand);
  // The leading axes that broadcasting adds.
  Permutation added;
  for (int64_t axis = 0; axis < full - rank; ++axis)
    added.push_back(axis);
  Permutation back = inverse(perm);
  if (!constant) {
    Permutation lifted;
    SmallVector<Dim> dims(full - rank, graph.facts.dims.constant(1));
    dims.append(graph.facts.facts(operand).dims);
    SmallVector<Dim> to;
    int64_t last = -1;
    for (int64_t axis : back) {
      to.push_back(dims[axis]);
      if (dims[axis].is(1))
        continue;
      if (axis < last)
        return {};
      last = axis;
    }
    auto target = reshapeTarget(graph.facts.facts(operand).dims, to);
    return target ? graph.make(at, "Reshape", {operand, graph.integers(at, *target)}) : Value();
  }
  if (!added.empty())
    operand = graph.make(at, "Unsqueeze", {operand, graph.integers(at, added)});
  return transposed(graph, at, operand, back);
}

static Simplified sinkPastElementwise(Graph &graph, NodeOp root) {
  Permutation perm;
  for (Value operand : root.getInputs())
    if (auto found = soleTranspose(operand); found && graph.sameShape(operand, root.getResult(0))) {
      perm = *found;
      break;
    }
  if (perm.empty())
    return Simplified::none();
  SmallVector<Value> operands;
  for (Value operand : root.getInputs()) {
    Value before =
        isa<NoneType>(operand.getType()) ? operand : unpermuted(graph, root, operand, perm);
    if (!before)
      return Simplified::none();
    operands.push_back(before);
  }
  SmallVector<NamedAttribute> attributes(root.getNodeAttrs().begin(), root.getNodeAttrs().end());
  Value made = graph.make(root, root.getOpType(), operands, attributes);
  return Simplified::with(transposed(graph, root, made, perm));
}

/// Softmax along an axis that stays the last.
static Simplified sinkPastSoftmax(Graph &graph, NodeOp root) {
  auto perm = soleTranspose(root.input(0));
  int64_t axis = root.integer("axis", -1);
  if (!perm || graph.opset(root) < 13)
    return Simplified::none();
  int64_t rank = static_cast<int64_t>(perm->size());
  if ((axis != -1 && axis != rank - 1) || perm->back() != rank - 1)
    return Simplified::none();
  Value made = graph.make(root, "Softmax", {root.input(0).getDefiningOp<NodeOp>().input(0)},
                          {graph.attribute("axis", int64_t(-1))});
  return Simplified::with(transposed(graph, root, made, *perm));
}

//===----------------------------------------------------------------------===//
// Regrouping of axes
//===----------------------------------------------------------------------===//

/// Heads on the way to their repetition for groups of queries. A transposition cannot pass that,
/// and whoever looks for the repetition expects it behind the axis that it fills.
static bool isRepeated(Value value) {
  return !value.use_empty() && llvm::all_of(value.getUsers(), [&](Operation *user) {
    auto node = dyn_cast<NodeOp>(user);
    return node && (((node.is("Expand") || node.is("Tile")) && node.input(0) == value) ||
                    (node.is("Concat") && llvm::all_equal(node.getInputs())));
  });
}

/// Splitting axes of a transposed value is transposing the value with its axes split.
static Simplified splitFirst(Graph &graph, NodeOp root) {
  auto perm = soleTranspose(root.input(0));
  if (!perm || isRepeated(root.getResult(0)))
    return Simplified::none();
  Value source = root.input(0).getDefiningOp<NodeOp>().input(0);
  const Facts &from = graph.facts.facts(root.input(0)), &to = graph.facts.facts(root.getResult(0));
  if (!from.ranked || !to.ranked || graph.rank(source) != from.rank())
    return Simplified::none();
  auto parts = refine(graph, from.dims, to.dims);
  if (!parts || !parts->splits())
    return Simplified::none();
  SmallVector<Dim> shape(to.dims);
  // The parts in the order of the source's axes.
  Permutation back = inverse(*perm);
  SmallVector<Dim> sizes = permuted(parts->sizes, refined(back, parts->a));
  SmallVector<int64_t> counts;
  for (int64_t axis : back)
    counts.push_back(parts->a[axis]);
  Value split = reshaped(graph, root, source, sizes);
  if (!split)
    return Simplified::none();
  Value turned = transposed(graph, root, split, refined(*perm, counts));
  return Simplified::with(reshaped(graph, root, turned, shape));
}

/// Axes that are split, moved side by side and merged again are moved as one; those of one element
/// are no axes.
static Simplified moveWhole(Graph &graph, NodeOp root) {
  auto perm = soleTranspose(root.input(0));
  Value split = perm ? root.input(0).getDefiningOp<NodeOp>().input(0) : Value(), source = split;
  while (source && source.hasOneUse() &&
         (producer(source, "Reshape") || producer(source, "Unsqueeze")))
    source = source.getDefiningOp<NodeOp>().input(0);
  if (source == split)
    return Simplified::none();
  const Facts &fine = graph.facts.facts(split), &to = graph.facts.facts(root.getResult(0));
  if (!graph.facts.facts(source).ranked || !fine.ranked || !to.ranked)
    return Simplified::none();
  DimTable &dims = graph.facts.dims;
  SmallVector<int64_t> place(fine.rank(), -1); // among the axes of more than one element
  for (int64_t axis = 0, next = 0; axis < fine.rank(); ++axis)
    if (!fine.dims[axis].is(1))
      place[axis] = next++;
  // Runs of axes that stay side by side, in the new order: the first one's place, and the size.
  SmallVector<std::pair<int64_t, Dim>> runs;
  int64_t last = -2;
  for (int64_t axis : *perm) {
    if (place[axis] < 0)
      continue;
    if (place[axis] == last + 1)
      runs.back().second = dims.multiply(runs.back().second, fine.dims[axis]);
    else
      runs.push_back({place[axis], fine.dims[axis]});
    last = place[axis];
  }
  if (static_cast<int64_t>(runs.size()) == fine.rank() || runs.size() < 2)
    return Simplified::none();
  SmallVector<std::pair<int64_t, Dim>> before(runs);
  llvm::sort(before, [](const auto &a, const auto &b) { return a.first < b.first; });
  Permutation moved;
  SmallVector<Dim> whole, turned, shape(to.dims);
  for (auto &run : before)
    whole.push_back(run.second);
  for (auto &run : runs) {
    turned.push_back(run.second);
    moved.push_back(llvm::find_if(before, [&](auto &b) { return b.first == run.first; }) -
                    before.begin());
  }
  // A Reshape that splits would go back before the transposition.
  auto rest = refine(graph, turned, shape);
  Value merged = rest && !rest->splits() ? reshaped(graph, root, source, whole) : Value();
  if (!merged)
    return Simplified::none();
  Value result = reshaped(graph, root, transposed(graph, root, merged, moved), shape);
  return result ? Simplified::with(result) : Simplified::none();
}

/// Transposing what a Reshape merged is merging after the transposition.
static Simplified mergeLast(Graph &graph, NodeOp root) {
  auto perm = permutationOf(root);
  NodeOp reshape = producer(root.input(0), "Reshape");
  if (!perm || !reshape || !root.input(0).hasOneUse())
    return Simplified::none();
  Value source = reshape.input(0);
  const Facts &from = graph.facts.facts(source), &coarse = graph.facts.facts(root.input(0)),
              &to = graph.facts.facts(root.getResult(0));
  if (!from.ranked || !coarse.ranked || !to.ranked)
    return Simplified::none();
  auto parts = refine(graph, from.dims, coarse.dims);
  // Worth it if two transpositions meet, or if the axes that come out have a meaning of their own.
  if (!parts || !parts->merges() ||
      !(parts->splits() || permutationOf(source.getDefiningOp<NodeOp>())))
    return Simplified::none();
  SmallVector<Dim> shape(to.dims);
  Permutation fine = refined(*perm, parts->b);
  Value split = reshaped(graph, root, source, parts->sizes);
  if (!split)
    return Simplified::none();
  Value turned = transposed(graph, root, split, fine);
  return Simplified::with(reshaped(graph, root, turned, shape));
}

/// Rotating [B, S, H·D] is rotating [B, H, S, D], on which the others are.
static Simplified rotateHeads(Graph &graph, NodeOp root) {
  Value x = root.input(0);
  int64_t heads = root.integer("num_heads", 0);
  auto width = graph.size(x, 2);
  if (graph.rank(x) != 3 || heads <= 0 || !width || *width % heads != 0)
    return Simplified::none();
  SmallVector<Value> operands(root.getInputs());
  operands[0] =
      graph.make(root, "Reshape", {x, graph.integers(root, {0, 0, heads, *width / heads})});
  operands[0] = transposed(graph, root, operands[0], {0, 2, 1, 3});
  SmallVector<NamedAttribute> attributes;
  for (NamedAttribute attribute : root.getNodeAttrs())
    if (attribute.getName() != "num_heads")
      attributes.push_back(attribute);
  Value rotated = graph.make(root, "RotaryEmbedding", operands, attributes);
  rotated = transposed(graph, root, rotated, {0, 2, 1, 3});
  return Simplified::with(
      graph.make(root, "Reshape", {rotated, graph.integers(root, {0, 0, *width})}));
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// True for a convolution that is a matrix for each position: a kernel of one element, no groups.
static bool isPointwise(Graph &graph, NodeOp node) {
  if (!node || !node.is("Conv") || node.integer("group", 1) != 1)
    return false;
  Value x = node.input(0), kernel = node.input(1), bias = node.input(2);
  int64_t rank = x ? graph.rank(x) : -1;
  if (rank < 3 || !kernel || graph.rank(kernel) != rank || !isConstantExpression(graph, kernel) ||
      (bias && !isConstantExpression(graph, bias)))
    return false;
  for (int64_t axis = 2; axis < rank; ++axis)
    if (graph.size(kernel, axis) != 1)
      return false;
  auto all = [&](StringRef name, int64_t value) {
    auto list = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute(name));
    return !list || llvm::all_of(list.asArrayRef(), [&](int64_t i) { return i == value; });
  };
  // With a kernel of one element, any automatic padding is none.
  return all("strides", 1) && all("pads", 0);
}

/// True if one convolution of that kind and another have an activation between them: a
/// feed-forward block on images. Others of a convolutional network stay as they are.
static bool inBlock(Graph &graph, NodeOp conv) {
  auto onlyData = [&](NodeOp node) {
    Value data;
    for (Value operand : node.getInputs()) {
      if (isa<NoneType>(operand.getType()) || isConstantExpression(graph, operand) ||
          operand == data)
        continue;
      if (data)
        return Value();
      data = operand;
    }
    return data;
  };
  auto isActivation = [](NodeOp node) {
    return !(node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Div") ||
             node.is("Cast") || node.is("Identity"));
  };
  // The other may be a matrix by now, and transpositions have moved.
  bool active = false;
  Value behind = conv.input(0);
  for (int steps = 0; steps < 12; ++steps) {
    auto node = behind.getDefiningOp<NodeOp>();
    if (!node)
      break;
    if (isPointwise(graph, node) ||
        (node.is("MatMul") && isConstantExpression(graph, node.input(1)))) {
      if (active)
        return true;
      break;
    }
    bool layout = node.is("Transpose");
    if (!layout && !isElementByElement(node))
      break;
    active |= !layout && isActivation(node);
    behind = layout ? node.input(0) : onlyData(node);
    if (!behind)
      break;
  }
  active = false;
  Value ahead = conv.getResult(0);
  for (int steps = 0; steps < 12 && ahead.hasOneUse(); ++steps) {
    auto node = dyn_cast<NodeOp>(*ahead.user_begin());
    if (!node)
      break;
    if (node.input(0) == ahead &&
        (isPointwise(graph, node) ||
         (node.is("MatMul") && isConstantExpression(graph, node.input(1)))))
      return active;
    bool layout = node.is("Transpose");
    if (!layout && (!isElementByElement(node) || onlyData(node) != ahead))
      break;
    active |= !layout && isActivation(node);
    ahead = node.getResult(0);
  }
  return false;
}

/// Over a sequence always, over images in feed-forward blocks: a matrix product.
static Simplified pointwise(Graph &graph, NodeOp root) {
  if (!isPointwise(graph, root))
    return Simplified::none();
  Value x = root.input(0), kernel = root.input(1), bias = root.input(2);
  int64_t rank = graph.rank(x);
  if (rank > 3 && !inBlock(graph, root))
    return Simplified::none();
  SmallVector<int64_t> last{0}, first{0, rank - 1}, ones;
  for (int64_t axis = 2; axis < rank; ++axis) {
    last.push_back(axis);
    first.push_back(axis - 1);
    ones.push_back(axis);
  }
  last.push_back(1);
  Value rows = transposed(graph, root, x, last);
  Value matrix = graph.make(root, "Squeeze", {kernel, graph.integers(root, ones)});
  matrix = transposed(graph, root, matrix, {1, 0});
  Value product = graph.make(root, "MatMul", {rows, matrix});
  if (bias)
    product = graph.make(root, "Add", {product, bias});
  return Simplified::with(transposed(graph, root, product, first));
}

/// [B, S, H, D] as [B, S·H, D] times [B, D, T]: all heads of a position with the one key or value
/// that they share. As a product of [B, H, S, D] and [B, 1, D, T].
static Simplified sharedHead(Graph &graph, NodeOp root) {
  NodeOp merge = producer(root.input(0), "Reshape");
  Value other = root.input(1);
  if (!merge || !other || graph.rank(root.input(0)) != 3 || graph.rank(other) != 3 ||
      graph.rank(merge.input(0)) != 4 || isConstantExpression(graph, other))
    return Simplified::none();
  Value x = merge.input(0);
  const Facts &fine = graph.facts.facts(x), &coarse = graph.facts.facts(root.input(0)),
              &to = graph.facts.facts(root.getResult(0));
  DimTable &dims = graph.facts.dims;
  if (!to.ranked || fine.dims[0] != coarse.dims[0] || fine.dims[3] != coarse.dims[2] ||
      dims.multiply(fine.dims[1], fine.dims[2]) != coarse.dims[1] || !fine.dims[2].constant() ||
      fine.dims[1].is(1) || graph.facts.facts(other).dims[0] != fine.dims[0])
    return Simplified::none();
  SmallVector<Dim> shape(to.dims);
  Value heads = transposed(graph, root, x, {0, 2, 1, 3});
  Value shared;
  if (auto perm = permutationOf(other.getDefiningOp<NodeOp>());
      perm && *perm == Permutation{0, 2, 1}) {
    shared = graph.make(root, "Unsqueeze",
                        {other.getDefiningOp<NodeOp>().input(0), graph.integers(root, {1})});
    shared = transposed(graph, root, shared, {0, 1, 3, 2});
  } else {
    shared = graph.make(root, "Unsqueeze", {other, graph.integers(root, {1})});
  }
  Value product = graph.make(root, "MatMul", {heads, shared});
  product = transposed(graph, root, product, {0, 2, 1, 3});
  return Simplified::with(reshaped(graph, root, product, shape));
}

/// A product of activations over merged axes, [B·H, S, D] times [B·H, D, T], whose result a Reshape
/// takes apart again (an einsum over a batch of heads): the product over the axes apart.
static Simplified apartProduct(Graph &graph, NodeOp root) {
  NodeOp product = root.is("Reshape") ? producer(root.input(0), "MatMul") : NodeOp();
  if (!product || !root.input(0).hasOneUse() || graph.rank(root.input(0)) != 3)
    return Simplified::none();
  Value a = product.input(0), b = product.input(1);
  const Facts &left = graph.facts.facts(a), &right = graph.facts.facts(b),
              &to = graph.facts.facts(root.getResult(0));
  if (!left.ranked || !right.ranked || !to.ranked || left.rank() != 3 || right.rank() != 3 ||
      left.dims[0] != right.dims[0] || isConstantExpression(graph, a) ||
      isConstantExpression(graph, b))
    return Simplified::none();
  Dim apart = graph.facts.dims.constant(1);
  size_t count = 0;
  for (; count < to.dims.size() && !to.dims[count].is(1) && apart != left.dims[0]; ++count)
    apart = graph.facts.dims.multiply(apart, to.dims[count]);
  if (count < 2 || apart != left.dims[0])
    return Simplified::none();
  SmallVector<Dim> shape(to.dims);
  auto takenApart = [&](Value operand) {
    SmallVector<Dim> sizes(ArrayRef(shape).take_front(count));
    llvm::append_range(sizes, ArrayRef(graph.facts.facts(operand).dims).drop_front());
    // From what was merged, whose shape says more of the sizes.
    if (NodeOp merge = producer(operand, "Reshape"))
      if (Value direct = reshaped(graph, root, merge.input(0), sizes))
        return direct;
    return reshaped(graph, root, operand, sizes);
  };
  Value x = takenApart(a), y = x ? takenApart(b) : Value();
  if (!y)
    return Simplified::none();
  Value result = reshaped(graph, root, graph.make(root, "MatMul", {x, y}), shape);
  return result ? Simplified::with(result) : Simplified::none();
}

/// A product of activations with its last two axes swapped, (K·Qᵀ)ᵀ, perhaps scaled, where an
/// operand is swapped already: the product of the operands swapped, in the other order.
static Simplified swappedProduct(Graph &graph, NodeOp root) {
  auto perm = permutationOf(root);
  NodeOp product = producer(root.input(0), "MatMul"), scale;
  for (StringRef op : {"Mul", "Div"})
    if (NodeOp scaled = producer(root.input(0), op); scaled && graph.scalarOf(scaled.input(1)) &&
                                                     graph.rank(scaled.input(1)) <= 1 &&
                                                     scaled.input(0).hasOneUse()) {
      scale = scaled;
      product = producer(scaled.input(0), "MatMul");
    }
  if (!perm || perm->size() < 3 || !product || !root.input(0).hasOneUse())
    return Simplified::none();
  int64_t rank = static_cast<int64_t>(perm->size());
  Permutation swap = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(swap[rank - 1], swap[rank - 2]);
  Value a = product.input(0), b = product.input(1);
  auto isSwapped = [&](Value value) {
    auto own = permutationOf(value.getDefiningOp<NodeOp>());
    return own && (*own)[rank - 1] != rank - 1;
  };
  if (*perm != swap || graph.rank(a) != rank || graph.rank(b) != rank ||
      isConstantExpression(graph, a) || isConstantExpression(graph, b) ||
      !(isSwapped(a) || isSwapped(b)))
    return Simplified::none();
  Value result = graph.make(root, "MatMul",
                            {transposed(graph, root, b, swap), transposed(graph, root, a, swap)});
  if (scale)
    result = graph.make(root, scale.getOpType(), {result, scale.input(1)});
  return Simplified::with(result);
}

Simplified raise::canonicalTranspose(Graph &graph, NodeOp root) {
  if (root.is("Conv"))
    return pointwise(graph, root);
  if (root.is("MatMul"))
    return sharedHead(graph, root);
  if (root.is("RotaryEmbedding"))
    return rotateHeads(graph, root);
  if (root.is("Transpose")) {
    for (auto rule : {&mergeLast, &swappedProduct})
      if (Simplified result = rule(graph, root); result.changed)
        return result;
    return Simplified::none();
  }
  if (root.is("Reshape") || root.is("Unsqueeze")) {
    for (auto rule : {&moveWhole, &splitFirst, &apartProduct})
      if (Simplified result = rule(graph, root); result.changed)
        return result;
    return Simplified::none();
  }
  if (root.is("Softmax"))
    return sinkPastSoftmax(graph, root);
  if (isElementByElement(root))
    return sinkPastElementwise(graph, root);
  return Simplified::none();
}
