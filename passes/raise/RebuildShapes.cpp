// Shape arithmetic, written anew from the dimensions of the graph's inputs.
#include "passes/raise/Simplify.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {
class Rebuilder {
public:
  Rebuilder(func::FuncOp function, Graph &graph)
      : graph(graph), entry(function.getBody().front()) {}

  int64_t run() {
    SmallVector<OpResult> roots;
    entry.walk([&](NodeOp node) {
      for (OpResult result : node->getResults())
        if (isRoot(result))
          roots.push_back(result);
    });
    int64_t rewritten = 0;
    for (OpResult root : roots)
      if (Value built = build(root))
        rewritten += graph.replace(root, built);
    return rewritten;
  }

private:
  /// Elements known but not all constant, 64-bit, and every symbol is a dimension of an argument of
  /// the graph.
  bool isSymbolic(Value value) {
    const Facts &facts = graph.facts.facts(value);
    if (!facts.contents || !facts.element || !facts.element.isSignlessInteger(64) ||
        facts.rank() > 1 || facts.contents->empty() || facts.contents->size() > 16)
      return false;
    bool symbolic = false;
    for (Dim dim : *facts.contents) {
      if (!readable(dim))
        return false;
      symbolic |= !dim.isConstant();
    }
    return symbolic;
  }

  bool readable(Dim dim, int depth = 0) {
    if (depth > 8)
      return false;
    for (const DimNode::Term &term : dim->terms)
      for (unsigned index : term.atoms) {
        const DimAtom &atom = graph.facts.dims.atom(index);
        switch (atom.kind) {
        case DimAtom::Named:
        case DimAtom::Anonymous: {
          const DimOrigin *origin = graph.facts.origin(index);
          if (!origin || !origin->value)
            return false;
          break;
        }
        case DimAtom::Broadcast:
          return false;
        case DimAtom::FloorDiv: // as ONNX divides, towards zero
          if ((!graph.facts.dims.isNonNegative(atom.left) && !shifted(atom)) ||
              !graph.facts.dims.isNonNegative(atom.right))
            return false;
          [[fallthrough]];
        default:
          if (!readable(atom.left, depth + 1) || !readable(atom.right, depth + 1))
            return false;
        }
      }
    return true;
  }

  /// The dividend and one divisor, where that is not negative while the dividend may be: what a
  /// convolution makes of a size, (s - 1) // 2 + 1. The quotient is then one too high. Null if it
  /// is no such quotient.
  Dim shifted(const DimAtom &atom) {
    DimTable &dims = graph.facts.dims;
    Dim sum = atom.right.isConstant() ? dims.add(atom.left, atom.right) : Dim();
    return sum && dims.isNonNegative(sum) ? sum : Dim();
  }

  /// A symbolic vector that something other than shape arithmetic uses, and that is more than one
  /// reading.
  bool isRoot(OpResult value) {
    auto node = cast<NodeOp>(value.getOwner());
    if (value.use_empty() || node.is("Constant") || node.is("Identity") || built.contains(value) ||
        !isSymbolic(value))
      return false;
    if (node.is("Shape") && isa<BlockArgument>(node.input(0)))
      return false;
    return llvm::any_of(value.getUsers(), [&](Operation *user) {
      return !isa<NodeOp>(user) ||
             llvm::any_of(user->getResults(), [&](Value result) { return !isSymbolic(result); });
    });
  }

  /// The whole vector as a piece of one argument's shape.
  Value slice(ArrayRef<Dim> contents) {
    for (BlockArgument argument : entry.getArguments()) {
      const Facts &facts = graph.facts.facts(argument);
      if (!facts.ranked)
        continue;
      for (int64_t at = 0; at + static_cast<int64_t>(contents.size()) <= facts.rank(); ++at) {
        if (ArrayRef<Dim>(facts.dims).slice(at, contents.size()) != contents)
          continue;
        int64_t end = at + contents.size();
        SmallVector<NamedAttribute> attributes;
        if (at > 0)
          attributes.push_back(graph.attribute("start", at));
        if (end < facts.rank())
          attributes.push_back(graph.attribute("end", end));
        return remember(graph.make(insertion, "Shape", {argument}, attributes));
      }
    }
    return {};
  }

  /// A vector of one element.
  Value vector(Dim dim) {
    Value &slot = vectors[dim.operator->()];
    if (slot)
      return slot;
    Value made = makeVector(dim);
    vectors[dim.operator->()] = made;
    return made;
  }

  Value makeVector(Dim dim) {
    if (auto constant = dim.constant())
      return remember(graph.integers(insertion, {*constant}));
    if (auto index = dim.atom()) {
      const DimAtom &atom = graph.facts.dims.atom(*index);
      const char *op = nullptr;
      switch (atom.kind) {
      case DimAtom::FloorDiv:
        op = "Div";
        break;
      case DimAtom::Mod:
        op = "Mod";
        break;
      case DimAtom::Max:
        op = "Max";
        break;
      case DimAtom::Min:
        op = "Min";
        break;
      default:
        break;
      }
      if (op) {
        Dim left = atom.left, right = atom.right;
        if (atom.kind == DimAtom::FloorDiv && !graph.facts.dims.isNonNegative(left)) {
          Value a = vector(shifted(atom)), b = vector(right),
                one = vector(graph.facts.dims.constant(1));
          Value high = remember(graph.make(insertion, "Div", {a, b}));
          return remember(graph.make(insertion, "Sub", {high, one}));
        }
        Value a = vector(left), b = vector(right);
        return remember(graph.make(insertion, op, {a, b}));
      }
      const DimOrigin *origin = graph.facts.origin(*index);
      int64_t axis = origin->axis;
      SmallVector<NamedAttribute> attributes;
      if (axis > 0)
        attributes.push_back(graph.attribute("start", axis));
      if (axis + 1 < graph.rank(origin->value))
        attributes.push_back(graph.attribute("end", axis + 1));
      return remember(graph.make(insertion, "Shape", {origin->value}, attributes));
    }
    Value sum;
    auto add = [&](Value term) {
      sum = sum ? remember(graph.make(insertion, "Add", {sum, term})) : term;
    };
    // Terms with a positive sign first, so that sums stay readable.
    SmallVector<const DimNode::Term *> terms;
    for (const DimNode::Term &term : dim->terms)
      terms.push_back(&term);
    llvm::stable_sort(terms, [](const auto *a, const auto *b) {
      return (a->coefficient > 0) > (b->coefficient > 0);
    });
    for (const DimNode::Term *term : terms) {
      Value product;
      for (unsigned index : term->atoms) {
        Value factor = vector(graph.facts.dims.symbol(index));
        product = product ? remember(graph.make(insertion, "Mul", {product, factor})) : factor;
      }
      if (term->coefficient != 1)
        product = remember(graph.make(
            insertion, "Mul", {product, vector(graph.facts.dims.constant(term->coefficient))}));
      add(product);
    }
    if (dim->constant)
      add(vector(graph.facts.dims.constant(dim->constant)));
    return sum;
  }

  Value build(OpResult root) {
    insertion = anchor();
    const Facts &facts = graph.facts.facts(root);
    SmallVector<Dim> contents(*facts.contents);
    bool scalar = facts.rank() == 0;
    std::vector<const void *> key;
    for (Dim dim : contents)
      key.push_back(dim.operator->());
    Value &known = made[{key, scalar}];
    if (known)
      return known == root ? Value() : known;
    Value result;
    if (contents.size() == 1) {
      result = vector(contents[0]);
    } else if (Value whole = slice(contents)) {
      result = whole;
    } else {
      SmallVector<Value> parts;
      for (Dim dim : contents)
        parts.push_back(vector(dim));
      result =
          remember(graph.make(insertion, "Concat", parts, {graph.attribute("axis", int64_t(0))}));
    }
    if (scalar)
      result = remember(graph.make(insertion, "Squeeze", {result, graph.integers(insertion, {0})}));
    // Written so already: nothing to do, now and for equal vectors.
    if (sameExpression(result, root))
      result = root;
    made[{key, scalar}] = result;
    return result == root ? Value() : result;
  }

  /// The same nodes over the same values, whatever their names.
  static bool sameExpression(Value a, Value b, int depth = 0) {
    if (a == b)
      return true;
    auto x = a.getDefiningOp<NodeOp>(), y = b.getDefiningOp<NodeOp>();
    if (!x || !y || depth > 16 || x.getOpTypeAttr() != y.getOpTypeAttr() ||
        x.getNodeAttrsAttr() != y.getNodeAttrsAttr() || x->getNumOperands() != y->getNumOperands())
      return false;
    return llvm::all_of(llvm::zip(x->getOperands(), y->getOperands()), [&](auto pair) {
      return sameExpression(std::get<0>(pair), std::get<1>(pair), depth + 1);
    });
  }

  Value remember(Value value) {
    built.insert(value);
    return value;
  }

  /// Everything is computed from the arguments, so all of it can stand before the first node.
  Operation *anchor() {
    if (!insertion)
      insertion = &entry.front();
    return insertion;
  }

  Graph &graph;
  Block &entry;
  Operation *insertion = nullptr;
  DenseMap<const DimNode *, Value> vectors;
  std::map<std::pair<std::vector<const void *>, bool>, Value> made;
  DenseSet<Value> built;
};
} // namespace

int64_t raise::rebuildShapes(func::FuncOp function, Graph &graph) {
  if (function.isExternal() || opsetOf(function) < 15 || function.getBody().front().empty())
    return 0;
  return Rebuilder(function, graph).run();
}
