// Matrix products and Einsum.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

/// numpy.matmul of two shapes into result 0; inner sizes must agree.
LogicalResult matmulShapes(NodeContext &c, unsigned ia, unsigned ib, Type element,
                           bool transA = false, bool transB = false, bool batchA = false,
                           bool batchB = false) {
  c.setElement(0, element);
  if (!c.ranked(ia) || !c.ranked(ib))
    return success();
  SmallVector<Dim> a(c.in(ia).dims), b(c.in(ib).dims);
  if (a.empty() || b.empty())
    return c.fail("needs operands of rank 1 or more, found " + c.describe(c.in(ia)) + " and " +
                  c.describe(c.in(ib)));
  // The first axis becomes the last but one.
  if (batchA && a.size() > 2)
    std::rotate(a.begin(), a.begin() + 1, a.end() - 1);
  if (batchB && b.size() > 2)
    std::rotate(b.begin(), b.begin() + 1, b.end() - 1);
  if (transA && a.size() > 1)
    std::swap(a[a.size() - 1], a[a.size() - 2]);
  if (transB && b.size() > 1)
    std::swap(b[b.size() - 1], b[b.size() - 2]);
  bool vectorA = a.size() == 1, vectorB = b.size() == 1;
  if (vectorA)
    a.insert(a.begin(), c.dim(1));
  if (vectorB)
    b.push_back(c.dim(1));
  if (c.dims.equal(a.back(), b[b.size() - 2]) == false)
    return c.fail("needs equal inner sizes, found " + c.describe(c.in(ia)) + " and " +
                  c.describe(c.in(ib)));
  SmallVector<Dim> shape;
  if (failed(c.broadcast(ArrayRef(a).drop_back(2), ArrayRef(b).drop_back(2), shape)))
    return failure();
  if (!vectorA)
    shape.push_back(a[a.size() - 2]);
  if (!vectorB)
    shape.push_back(b.back());
  c.set(0, element, shape);
  return success();
}

LogicalResult matmul(NodeContext &c) {
  return matmulShapes(c, 0, 1, c.in(0).element);
}
LogicalResult matmulInteger(NodeContext &c) {
  return matmulShapes(c, 0, 1, c.i32());
}
LogicalResult matmulIntegerToFloat(NodeContext &c) {
  return matmulShapes(c, 0, 1, c.in(2).element);
}
LogicalResult dynamicQuantizeMatmul(NodeContext &c) {
  return matmulShapes(c, 0, 1, c.in(0).element);
}
LogicalResult qlinearMatmul(NodeContext &c) {
  return matmulShapes(c, 0, 3, c.in(7).element);
}
LogicalResult fusedMatmul(NodeContext &c) {
  auto flag = [&](StringRef name) { return c.node.integer(name, 0) != 0; };
  return matmulShapes(c, 0, 1, c.in(0).element, flag("transA"), flag("transB"), flag("transBatchA"),
                      flag("transBatchB"));
}

/// Operands `a` and `b` are the matrices, `bias` broadcasts to the product.
LogicalResult gemmOf(NodeContext &c, unsigned a, unsigned b, unsigned bias, Type element) {
  c.setElement(0, element);
  for (unsigned i : {a, b})
    if (c.ranked(i) && c.in(i).rank() != 2)
      return c.fail("needs matrices, found " + c.describe(c.in(a)) + " and " + c.describe(c.in(b)));
  bool transA = c.node.integer("transA", 0), transB = c.node.integer("transB", 0);
  if (c.ranked(a) && c.ranked(b)) {
    if (c.dims.equal(c.size(a, transA ? 0 : 1), c.size(b, transB ? 1 : 0)) == false)
      return c.fail("needs equal inner sizes, found " + c.describe(c.in(a)) + " and " +
                    c.describe(c.in(b)));
  }
  SmallVector<Dim> shape = {c.size(a, transA ? 1 : 0), c.size(b, transB ? 0 : 1)};
  c.set(0, element, shape);
  if (c.has(bias) && c.ranked(bias)) {
    SmallVector<Dim> with;
    if (failed(c.broadcast(shape, c.in(bias).dims, with)))
      return failure();
  }
  return success();
}

LogicalResult gemm(NodeContext &c) {
  return gemmOf(c, 0, 1, 2, c.in(0).element);
}

/// com.microsoft.QGemm: (A, scale, zero, B, scale, zero, C, the result's scale, its zero); float
/// without the last two.
LogicalResult qgemm(NodeContext &c) {
  return gemmOf(c, 0, 3, 6, c.has(7) ? c.in(0).element : c.f32());
}

/// com.microsoft.MatMulNBits: A (..., K) by quantised B of logical shape (K, N).
LogicalResult matmulNBits(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (!c.ranked(0) || c.in(0).dims.empty())
    return success();
  SmallVector<Dim> shape(c.in(0).dims);
  int64_t k = c.node.integer("K", 0), n = c.node.integer("N", 0);
  if (c.dims.equal(shape.back(), c.dim(k)) == false)
    return c.fail("needs a last axis of size K = " + llvm::Twine(k) + ", found " +
                  c.describe(c.in(0)));
  shape.back() = c.dim(n);
  c.set(0, c.in(0).element, shape);
  return success();
}

LogicalResult einsum(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  std::string equation;
  for (char ch : c.node.string("equation", ""))
    if (ch != ' ')
      equation += ch;
  auto [left, right] = StringRef(equation).split("->");
  bool explicitOutput = StringRef(equation).contains("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != c.count())
    return c.fail("needs as many operands as its equation has terms, found " +
                  llvm::Twine(c.count()) + " and " + llvm::Twine(terms.size()));
  std::map<char, Dim> sizes;
  std::map<char, int> uses;
  SmallVector<Dim> ellipsis;
  for (auto [i, term] : llvm::enumerate(terms)) {
    if (!c.ranked(i))
      return success();
    ArrayRef<Dim> shape = c.in(i).dims;
    size_t letters = 0;
    for (char ch : term)
      letters += ch != '.';
    bool dots = term.contains("...");
    if (term.count('.') != (dots ? 3 : 0))
      return c.fail("has a term that is no list of indices: " + term);
    if (dots ? shape.size() < letters : shape.size() != letters)
      return c.fail("needs operand " + llvm::Twine(i) + " of rank " + llvm::Twine(letters) +
                    ", found " + c.describe(c.in(i)));
    size_t axis = 0;
    for (size_t j = 0; j < term.size(); ++j) {
      if (term[j] == '.') {
        if (failed(c.broadcast(ellipsis, shape.slice(axis, shape.size() - letters), ellipsis)))
          return failure();
        axis += shape.size() - letters;
        j += 2;
        continue;
      }
      ++uses[term[j]];
      Dim &size = sizes[term[j]];
      Dim merged = size ? c.dims.broadcast(size, shape[axis]) : shape[axis];
      if (!merged)
        return c.fail("has two sizes for " + llvm::Twine(term[j]));
      size = merged;
      ++axis;
    }
  }
  std::string output = right.str();
  if (!explicitOutput) {
    output = left.contains("...") ? "..." : "";
    for (auto &[letter, count] : uses)
      if (count == 1)
        output += letter;
  }
  SmallVector<Dim> shape;
  for (size_t j = 0; j < output.size(); ++j) {
    if (StringRef(output).substr(j).starts_with("...")) {
      shape.append(ellipsis.begin(), ellipsis.end());
      j += 2;
    } else if (auto it = sizes.find(output[j]); it != sizes.end()) {
      shape.push_back(it->second);
    } else {
      return c.fail("has an output index that no operand has: " + llvm::Twine(output[j]));
    }
  }
  c.set(0, c.in(0).element, shape);
  return success();
}

/// Drops the last two axes.
LogicalResult det(NodeContext &c) {
  c.setElement(0, c.in(0).element);
  if (c.ranked(0) && c.in(0).rank() >= 2)
    c.set(0, c.in(0).element, ArrayRef<Dim>(c.in(0).dims).drop_back(2));
  return success();
}

} // namespace

void uoe::onnx::addMatmul(OperatorTable &table) {
  table.add("MatMul", matmul);
  table.add("MatMulInteger", matmulInteger);
  table.add("QLinearMatMul", qlinearMatmul);
  table.add("Gemm", gemm);
  table.add("Einsum", einsum);
  table.add("Det", det);
  table.addContrib("FusedMatMul", fusedMatmul);
  table.addContrib("TransposeMatMul", fusedMatmul);
  table.addContrib("FusedGemm", gemm);
  table.addContrib("QGemm", qgemm);
  table.addContrib("MatMulInteger16", matmulInteger);
  table.addContrib("MatMulIntegerToFloat", matmulIntegerToFloat);
  table.addContrib("DynamicQuantizeMatMul", dynamicQuantizeMatmul);
  table.addContrib("MatMulNBits", matmulNBits);
  table.addContrib("MatMulBnb4", matmulNBits);
}
