// Einsum of two operands as Transpose, Reshape and MatMul.
#include "passes/raise/Canonicalize.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::onnx;
using namespace uoe::raise;

namespace {
/// "bnd,hde->bnhe", one letter an axis; "..." has letters of its own, '0', '1' and so on.
struct Equation {
  std::string a, b, out;
};
} // namespace

static std::optional<Equation> parse(Graph &graph, NodeOp root) {
  std::string text;
  for (char c : root.string("equation", ""))
    if (c != ' ')
      text += c;
  auto [operands, out] = StringRef(text).split("->");
  auto [a, b] = operands.split(',');
  if (!StringRef(text).contains("->") || b.contains(',') || root.getInputs().size() != 2)
    return std::nullopt;
  int64_t dots = -1;
  // False if a letter stands twice, or the axes that "..." is are others than before.
  auto expand = [&](StringRef term, int64_t rank, std::string &axes) {
    auto [before, after] = term.split("...");
    bool any = term.contains("...");
    int64_t count = rank - static_cast<int64_t>(before.size() + after.size());
    if (rank < 0 || count < 0 || count > 9 || (!any && count != 0) ||
        (any && dots >= 0 && dots != count))
      return false;
    axes = before;
    if (any)
      for (dots = 0; dots < count; ++dots)
        axes += static_cast<char>('0' + dots);
    axes += after;
    return llvm::SmallDenseSet<char>(axes.begin(), axes.end()).size() == axes.size();
  };
  Equation result;
  if (!expand(a, graph.rank(root.input(0)), result.a) ||
      !expand(b, graph.rank(root.input(1)), result.b) ||
      !expand(out, graph.rank(root.getResult(0)), result.out))
    return std::nullopt;
  return result;
}

/// `value`, whose axes are `from`, with its axes in the order `to`.
static Value ordered(Graph &graph, NodeOp root, Value value, StringRef from, StringRef to) {
  if (from == to)
    return value;
  SmallVector<int64_t> perm;
  for (char axis : to)
    perm.push_back(static_cast<int64_t>(from.find(axis)));
  return graph.make(root, "Transpose", {value}, {graph.attribute("perm", ArrayRef<int64_t>(perm))});
}

// A product with a constant matrix: its axes that meet the activation's become one, and so do those
// of the result.
static Simplified linear(Graph &graph, NodeOp root, Value x, StringRef from, Value weight,
                         StringRef matrix, StringRef met, StringRef kept, StringRef made,
                         StringRef out) {
  auto product = [&](StringRef axes) {
    int64_t all = 1;
    for (char axis : axes) {
      auto size = graph.size(weight, static_cast<int64_t>(matrix.find(axis)));
      all = size && all > 0 ? all * *size : -1;
    }
    return all;
  };
  int64_t in = product(met), columns = product(made);
  SmallVector<int64_t> sizes;
  for (char axis : made)
    sizes.push_back(product(StringRef(&axis, 1)));
  if (in < 0 || columns < 0)
    return Simplified::none();
  x = ordered(graph, root, x, from, (kept + met).str());
  weight = ordered(graph, root, weight, matrix, (met + made).str());
  if (met.size() + made.size() != 2 || met.size() != 1)
    weight = graph.make(root, "Reshape", {weight, graph.integers(root, {in, columns})});
  SmallVector<int64_t> shape(kept.size(), 0); // as they were
  if (met.size() != 1) {
    shape.push_back(in);
    x = graph.make(root, "Reshape", {x, graph.integers(root, shape)});
    shape.pop_back();
  }
  Value y = graph.make(root, "MatMul", {x, weight});
  if (made.size() != 1) {
    shape.append(sizes);
    y = graph.make(root, "Reshape", {y, graph.integers(root, shape)});
  }
  return Simplified::with(ordered(graph, root, y, (kept + made).str(), out));
}

Simplified raise::canonicalEinsum(Graph &graph, NodeOp root) {
  if (!root.is("Einsum") || !graph.isFloat(root.getResult(0)))
    return Simplified::none();
  auto equation = parse(graph, root);
  if (!equation)
    return Simplified::none();
  Value x = root.input(0), y = root.input(1);
  StringRef a = equation->a, b = equation->b, out = equation->out;
  if (isConstantExpression(graph, x) && !isConstantExpression(graph, y)) {
    std::swap(x, y);
    std::swap(a, b);
  }
  std::string both, left, right, met;
  for (char axis : out) {
    if (!a.contains(axis) && !b.contains(axis))
      return Simplified::none();
    (!b.contains(axis) ? left : !a.contains(axis) ? right : both) += axis;
  }
  for (char axis : b)
    if (a.contains(axis) && !out.contains(axis))
      met += axis;
  if (both.size() + left.size() + met.size() != a.size() ||
      both.size() + right.size() + met.size() != b.size() || met.empty())
    return Simplified::none();
  if (both.empty() && isConstantExpression(graph, y))
    return linear(graph, root, x, a, y, b, met, left, right, out);
  // The result's rows come from the first operand.
  if (right.size() > 1 ||
      (left.size() == 1 && right.size() == 1 && out.find(right) < out.find(left))) {
    std::swap(x, y);
    std::swap(a, b);
    std::swap(left, right);
  }
  // Matchers know a batched product that only turns its second operand.
  if (left.empty() || right.size() != 1 || met.size() != 1 ||
      (left.size() == 1 && a == both + left + met && out == both + left + right))
    return Simplified::none();
  Value lhs = ordered(graph, root, x, a, both + left + met);
  Value rhs = ordered(graph, root, y, b, both + met + right);
  SmallVector<int64_t> axes; // those that only the first operand has
  for (size_t i = 0; i + 1 < left.size(); ++i)
    axes.push_back(static_cast<int64_t>(both.size() + i));
  if (!axes.empty())
    rhs = graph.make(root, "Unsqueeze", {rhs, graph.integers(root, axes)});
  Value product = graph.make(root, "MatMul", {lhs, rhs});
  return Simplified::with(ordered(graph, root, product, both + left + right, out));
}
