// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
#include "Elementwise.h"
#include "Register.h"
#include <cmath>
#include <limits>

namespace uoe::rt {
namespace {

/// [batch, classes, positions...] as three axes.
struct Scores {
  explicit Scores(const Tensor &x) {
    check(x.rank() >= 2, "expected scores [batch, classes, ...], found ", describe(x));
    batch = x.dim(0);
    classes = x.dim(1);
    positions = productOf(x.shape(), 2, x.shape().size());
  }
  int64_t batch, classes, positions;
};

/// x - log Σ e^x over the classes, in double.
Tensor logSoftmax(const Tensor &x, const Scores &s) {
  Tensor result(DType::F64, x.shape());
  const double *from = x.data<double>();
  double *to = result.data<double>();
  for (int64_t i = 0; i < s.batch * s.positions; ++i) {
    int64_t base = i / s.positions * s.classes * s.positions + i % s.positions;
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t c = 0; c < s.classes; ++c)
      most = std::max(most, from[base + c * s.positions]);
    for (int64_t c = 0; c < s.classes; ++c)
      sum += std::exp(from[base + c * s.positions] - most);
    double shift = most + std::log(sum);
    for (int64_t c = 0; c < s.classes; ++c)
      to[base + c * s.positions] = from[base + c * s.positions] - shift;
  }
  return result;
}

/// -w[t]·x[t] for the target class t of each position, reduced as the attribute says; in double.
Tensor likelihoodLoss(const KernelCall &call, const Tensor &x, const Scores &s) {
  const Node &node = call.node;
  const Tensor &given = call.in(1);
  Shape expected(x.shape().begin(), x.shape().end());
  expected.erase(expected.begin() + 1);
  check(given.shape() == expected, "the targets have shape ", toString(given.shape()),
        ", expected ", toString(expected));
  check(given.dtype() == DType::I32 || given.dtype() == DType::I64,
        "the targets must be int32 or int64, found ", nameOf(given.dtype()));
  Tensor targets = castTo(given, DType::I64), weights;
  if (call.has(2)) {
    weights = castTo(call.in(2), DType::F64);
    check(weights.rank() == 1 && weights.size() == s.classes, "the weights ", describe(call.in(2)),
          " do not fit ", s.classes, " classes");
  }
  bool ignores = node.has("ignore_index");
  int64_t ignored = node.integer("ignore_index", 0);
  std::string reduction = node.string("reduction", "mean");
  check(reduction == "none" || reduction == "sum" || reduction == "mean",
        "attribute 'reduction': expected none, sum or mean, found ", reduction);
  Tensor losses(DType::F64, expected);
  double total = 0, weight = 0;
  for (int64_t i = 0; i < s.batch * s.positions; ++i) {
    int64_t target = targets.data<int64_t>()[i];
    double &loss = losses.data<double>()[i];
    loss = 0;
    if (ignores && target == ignored)
      continue;
    check(target >= 0 && target < s.classes, "target ", target, " is outside [0, ", s.classes - 1,
          "]");
    double w = weights.rank() ? weights.data<double>()[target] : 1;
    int64_t at = (i / s.positions * s.classes + target) * s.positions + i % s.positions;
    loss = -w * x.data<double>()[at];
    total += loss;
    weight += w;
  }
  if (reduction == "none")
    return losses;
  Tensor result(DType::F64, {});
  *result.data<double>() = reduction == "sum" ? total : total / weight;
  return result;
}

void negativeLogLikelihood(KernelCall &call) {
  const Tensor &x = call.in(0);
  Scores scores(x);
  check(isReal(x.dtype()), "expected a float type, found ", nameOf(x.dtype()));
  call.set(0, castTo(likelihoodLoss(call, castTo(x, DType::F64), scores), x.dtype()));
}

void softmaxCrossEntropy(KernelCall &call) {
  const Tensor &x = call.in(0);
  Scores scores(x);
  check(isReal(x.dtype()), "expected a float type, found ", nameOf(x.dtype()));
  Tensor logarithms = logSoftmax(castTo(x, DType::F64), scores);
  call.set(0, castTo(likelihoodLoss(call, logarithms, scores), x.dtype()));
  if (call.wants(1))
    call.set(1, castTo(logarithms, x.dtype()));
}

} // namespace

void registerLoss(KernelTable &table) {
  table.add("", "NegativeLogLikelihoodLoss", negativeLogLikelihood);
  table.add("", "SoftmaxCrossEntropyLoss", softmaxCrossEntropy);
}

} // namespace uoe::rt
