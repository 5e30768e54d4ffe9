// Einsum: operands are contracted from left to right, each step a batched matrix product.
#include "Elementwise.h"
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "Register.h"
#include <algorithm>
#include <cctype>

namespace uoe::rt {
namespace {

constexpr char firstEllipsisLabel =
    1; // dimensions behind "..." are the labels 1, 2, ... counted from the right

template <typename T> struct Operand {
  std::string labels; // one a dimension, distinct
  Tensor tensor;
  int64_t dimOf(char label) const { return tensor.shape()[labels.find(label)]; }
  bool has(char label) const { return labels.find(label) != std::string::npos; }
};

/// Reads `tensor` with the given strides as a fresh tensor of `shape`.
template <typename T>
Tensor gather(const Tensor &tensor, const Shape &shape, const std::vector<int64_t> &strides) {
  Tensor result(tensor.dtype(), shape);
  const T *from = tensor.data<T>();
  T *to = result.data<T>();
  int64_t count = result.size(), offset = 0;
  Shape index(shape.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    to[i] = from[offset];
    for (size_t d = shape.size(); d-- > 0;) {
      offset += strides[d];
      if (++index[d] < shape[d])
        break;
      offset -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return result;
}

std::vector<int64_t> stridesOf(const Shape &shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return strides;
}

template <typename T> Operand<T> permute(const Operand<T> &operand, const std::string &labels) {
  if (labels == operand.labels)
    return operand;
  auto strides = stridesOf(operand.tensor.shape());
  Shape shape;
  std::vector<int64_t> steps;
  for (char label : labels) {
    size_t at = operand.labels.find(label);
    shape.push_back(operand.tensor.shape()[at]);
    steps.push_back(strides[at]);
  }
  return {labels, gather<T>(operand.tensor, shape, steps)};
}

/// Sums over the labels that are not in `kept`.
template <typename T> Operand<T> reduce(const Operand<T> &operand, const std::string &kept) {
  std::string keep, drop;
  for (char label : operand.labels)
    (kept.find(label) == std::string::npos ? drop : keep) += label;
  if (drop.empty())
    return operand;
  Operand<T> ordered = permute(operand, keep + drop);
  int64_t rows = extent(ordered.tensor.shape(), 0, keep.size());
  int64_t columns = extent(ordered.tensor.shape(), keep.size(), ordered.labels.size());
  Tensor result(ordered.tensor.dtype(), Shape(ordered.tensor.shape().begin(),
                                              ordered.tensor.shape().begin() + keep.size()));
  const T *from = ordered.tensor.template data<T>();
  for (int64_t r = 0; r < rows; ++r) {
    T total = 0;
    for (int64_t c = 0; c < columns; ++c)
      total = static_cast<T>(total + from[r * columns + c]);
    result.data<T>()[r] = total;
  }
  return {keep, result};
}

template <typename T>
Operand<T> contract(const Node &node, Operand<T> a, Operand<T> b, const std::string &needed) {
  // A dimension of 1 against n broadcasts: it is dropped on the side where it is 1.
  auto dropOnes = [&](Operand<T> &x, const Operand<T> &y) {
    std::string labels;
    Shape shape;
    for (size_t i = 0; i < x.labels.size(); ++i) {
      char label = x.labels[i];
      int64_t n = x.tensor.shape()[i];
      if (y.has(label) && n == 1 && y.dimOf(label) != 1)
        continue;
      labels += label;
      shape.push_back(n);
    }
    x.tensor = x.tensor.reshaped(shape);
    x.labels = labels;
  };
  dropOnes(a, b);
  dropOnes(b, a);
  a = reduce(a, needed + b.labels);
  b = reduce(b, needed + a.labels);
  std::string batch, summed, left, right;
  for (char label : a.labels)
    if (!b.has(label))
      left += label;
    else
      (needed.find(label) == std::string::npos ? summed : batch) += label;
  for (char label : b.labels)
    if (!a.has(label))
      right += label;
  for (char label : batch + summed)
    check(a.dimOf(label) == b.dimOf(label), node.op, ": dimension '", std::string(1, label),
          "' is ", a.dimOf(label), " in one operand and ", b.dimOf(label), " in another");
  a = permute(a, batch + left + summed);
  b = permute(b, batch + summed + right);
  Shape shape(a.tensor.shape().begin(), a.tensor.shape().begin() + batch.size() + left.size());
  shape.insert(shape.end(), b.tensor.shape().begin() + batch.size() + summed.size(),
               b.tensor.shape().end());
  int64_t count = extent(shape, 0, batch.size());
  int64_t rows = extent(shape, batch.size(), batch.size() + left.size());
  int64_t columns = extent(shape, batch.size() + left.size(), shape.size());
  int64_t depth = extent(a.tensor.shape(), batch.size() + left.size(), a.tensor.shape().size());
  Tensor result(DTypeOf<T>::value, shape);
  const T *x = a.tensor.template data<T>(), *y = b.tensor.template data<T>();
  T *out = result.data<T>();
  if (result.size() > 0)
    ThreadPool::global().parallelFor(
        count, std::max<int64_t>(1, 100000 / std::max<int64_t>(1, rows * columns * depth)),
        [&](int64_t begin, int64_t end) {
          for (int64_t m = begin; m < end; ++m) {
            const T *p = x + m * rows * depth, *q = y + m * depth * columns;
            T *to = out + m * rows * columns;
            if constexpr (std::is_floating_point_v<T>)
              multiply(p, depth, rows, q, columns, false, depth, columns, to, columns);
            else
              multiplyIntegers(p, rows, q, depth, columns, to);
          }
        });
  return {batch + left + right, result};
}

/// One term of the equation as labels, "..." replaced by the labels of `ellipsisRank` dimensions.
std::string expand(const std::string &term, size_t ellipsisRank) {
  std::string labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term[i] == '.') {
      check(term.compare(i, 3, "...") == 0, "Einsum: a stray '.' in the term '", term, "'");
      for (size_t d = ellipsisRank; d-- > 0;)
        labels += static_cast<char>(firstEllipsisLabel + d);
      i += 2;
      continue;
    }
    check(std::isalpha(static_cast<unsigned char>(term[i])), "Einsum: unexpected character '",
          std::string(1, term[i]), "' in the term '", term, "'");
    labels += term[i];
  }
  return labels;
}

template <typename T> Tensor einsum(const Node &node, std::vector<Tensor> inputs) {
  std::string equation;
  for (char c : node.string("equation", ""))
    if (c != ' ')
      equation += c;
  size_t arrow = equation.find("->");
  std::string left = equation.substr(0, arrow);
  std::vector<std::string> terms(1);
  for (char c : left)
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  check(terms.size() == inputs.size(), "Einsum: the equation '", equation, "' has ", terms.size(),
        " terms, found ", inputs.size(), " inputs");
  size_t mostEllipsis = 0;
  std::vector<Operand<T>> operands;
  std::map<char, int> uses;
  for (size_t i = 0; i < terms.size(); ++i) {
    size_t named = std::count_if(terms[i].begin(), terms[i].end(), [](char c) { return c != '.'; });
    bool ellipsis = terms[i].find('.') != std::string::npos;
    size_t rank = inputs[i].shape().size();
    check(ellipsis ? named <= rank : named == rank, "Einsum: the term '", terms[i], "' names ",
          named, " dimensions, input ", i, " has shape ", toString(inputs[i].shape()));
    mostEllipsis = std::max(mostEllipsis, rank - named);
    std::string labels = expand(terms[i], rank - named);
    // A label that occurs twice in one term is a diagonal.
    auto strides = stridesOf(inputs[i].shape());
    std::string distinct;
    Shape shape;
    std::vector<int64_t> steps;
    for (size_t d = 0; d < labels.size(); ++d) {
      ++uses[labels[d]];
      size_t at = distinct.find(labels[d]);
      int64_t n = inputs[i].shape()[d];
      if (at == std::string::npos) {
        distinct += labels[d];
        shape.push_back(n);
        steps.push_back(strides[d]);
        continue;
      }
      check(shape[at] == n, "Einsum: the repeated dimension '", std::string(1, labels[d]),
            "' of input ", i, " is ", shape[at], " and ", n);
      steps[at] += strides[d];
    }
    Operand<T> operand{distinct, inputs[i]};
    if (distinct.size() != labels.size())
      operand.tensor = gather<T>(inputs[i], shape, steps);
    operands.push_back(operand);
  }
  std::string output;
  if (arrow != std::string::npos) {
    output = expand(equation.substr(arrow + 2), mostEllipsis);
  } else {
    output = expand("...", mostEllipsis);
    for (auto [label, count] : uses) // in alphabetical order
      if (count == 1 && label >= 'A')
        output += label;
  }
  for (size_t i = 0; i < output.size(); ++i)
    check(uses.count(output[i]) && output.find(output[i], i + 1) == std::string::npos,
          "Einsum: the output of '", equation, "' repeats a label or has one that no input has");
  Operand<T> result = operands[0];
  for (size_t i = 1; i < operands.size(); ++i) {
    std::string needed = output;
    for (size_t j = i + 1; j < operands.size(); ++j)
      needed += operands[j].labels;
    result = contract(node, result, operands[i], needed);
  }
  return permute(reduce(result, output), output).tensor;
}

void runEinsum(KernelCall &call) {
  dispatch(NumberTypes(), call.in(0).dtype(), "Einsum: an input", [](auto) {});
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < call.count(); ++i) {
    expectType(call.in(i), call.in(0).dtype(), "Einsum: every input");
    inputs.push_back(widest(call.in(i)));
  }
  dispatch(WideTypes(), inputs.at(0).dtype(), "Einsum: every input", [&](auto type) {
    using T = typename decltype(type)::type;
    call.set(0, castTo(einsum<T>(call.node, inputs), call.in(0).dtype()));
  });
}

} // namespace

void registerEinsum(KernelTable &table) {
  table.add("", "Einsum", runEinsum);
}

} // namespace uoe::rt
