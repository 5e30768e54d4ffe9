// uoe.Route: a choice of experts from scores, as lists. Inputs: scores [rows.., n], thresholds
// [n]?, selection_bias [n]?, group_scores [rows.., groups]?, and of the routing around it offsets
// and ids?. Attributes as of uoe.select; `tokens` and `within_tokens` say what a row of each speaks
// for. With `heads`, each of as many equal parts of a row of scores chooses among its experts.
// Results: offsets [rows + 1], ids, weights (absent where all are 1), and for readers that need
// them dense: weights [rows.., n], flags [rows.., n], places [.., c, n].
//
// uoe.Rows and uoe.AddRows: the chosen rows of an expert whose body runs in operators, and their
// way back into the result.
#include "runtime/cpu/fused/Routing.h"
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"
#include <cstring>

namespace uoe::rt {
namespace {

template <typename E> E choiceOf(const Node &node, const char *name, int64_t count) {
  int64_t value = node.integer(name, 0);
  check(value >= 0 && value < count, "unknown ", name, " ", value);
  return static_cast<E>(value);
}

fast::SelectSpec specOf(const Node &node) {
  using S = fast::SelectSpec;
  S spec;
  spec.rule = choiceOf<S::Rule>(node, "rule", 4);
  spec.scoring = choiceOf<S::Scoring>(node, "scoring", 3);
  spec.empty = choiceOf<S::Empty>(node, "empty", 3);
  spec.normalize = choiceOf<S::Normalize>(node, "normalize", 4);
  spec.scaling = choiceOf<S::Scaling>(node, "scaling", 3);
  spec.temperature = node.real("temperature", 1);
  spec.tau = node.real("tau", 0);
  spec.p = node.real("p", 1);
  spec.k = node.integer("k", 0);
  spec.groups = node.integers("groups");
  spec.groupK = node.integer("group_k", 0);
  spec.groupTop2 = node.integer("group_score", 0) == 1;
  spec.groupTemperature = node.real("group_temperature", 1);
  spec.capacity = node.integer("capacity", 0);
  spec.capacityShare = node.real("capacity_share", 0);
  spec.capacityTakers = node.integer("capacity_takers", 0) != 0;
  spec.padWithTokens = node.integer("padding", 0) == 1;
  spec.gateWeights = node.integer("weight", 0) == 1;
  spec.factor = node.real("factor", 1);
  return spec;
}

std::any prepareRoute(const Node &node, std::vector<bool> &) {
  return std::make_shared<const fast::SelectSpec>(specOf(node));
}

const fast::SelectSpec &spec(KernelCall &call) {
  using Spec = std::shared_ptr<const fast::SelectSpec>;
  if (!std::any_cast<Spec>(&call.state))
    call.state = Spec(std::make_shared<const fast::SelectSpec>(specOf(call.node)));
  return **std::any_cast<Spec>(&call.state);
}

int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

void readWithin(KernelCall &call, fast::SelectInput &in) {
  const Tensor *offsets = call.maybe(4);
  if (!offsets)
    return;
  expectType(*offsets, DType::I64, "offsets of the routing around");
  expectType(call.in(5), DType::I32, "ids of the routing around");
  const int64_t own = call.node.integer("tokens", 1), outer = call.node.integer("within_tokens", 1);
  if (outer == own) {
    in.withinPerSample = in.rows;
  } else if (outer == 0) {
    in.withinRows = std::max<int64_t>(1, in.rows);
    in.withinPerSample = 1;
  } else {
    check(own > 0 && outer % own == 0, "rows of ", own, " tokens do not lie within rows of ",
          outer);
    in.withinRows = outer / own;
    in.withinPerSample = ceilDiv(in.rows, in.withinRows);
  }
  check(offsets->size() == in.samples * in.withinPerSample + 1, "the routing around has ",
        offsets->size() - 1, " rows, expected ", in.samples * in.withinPerSample);
  in.within = {offsets->data<int64_t>(), call.in(5).data<int32_t>(), nullptr};
}

template <typename T> Tensor tensorOf(DType type, const std::vector<T> &values) {
  Tensor tensor(type, {static_cast<int64_t>(values.size())});
  if (!values.empty())
    std::memcpy(tensor.raw(), values.data(), values.size() * sizeof(T));
  return tensor;
}

void writeDense(KernelCall &call, const Tensor &scores, const fast::Selected &selected) {
  const fast::Choice &choice = selected.choice;
  const int64_t n = scores.dim(-1), rows = choice.tokens();
  auto each = [&](auto *to, auto value) {
    std::memset(to, 0, static_cast<size_t>(rows * n) * sizeof(*to));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = choice.offsets[size_t(r)]; i < choice.offsets[size_t(r) + 1]; ++i)
        to[r * n + choice.ids[size_t(i)]] = value(size_t(i));
  };
  if (call.wants(3))
    each(call.out(3, DType::F32, scores.shape()).data<float>(),
         [&](size_t i) { return choice.weights.empty() ? 1.0f : choice.weights[i]; });
  if (call.wants(4))
    each(call.out(4, DType::Bool, scores.shape()).data<uint8_t>(),
         [](size_t) { return uint8_t(1); });
  if (call.wants(5)) {
    Shape shape = scores.shape();
    shape[shape.size() - 2] = selected.capacity;
    Tensor &places = call.out(5, DType::I64, shape);
    if (!selected.places.empty())
      std::memcpy(places.raw(), selected.places.data(), selected.places.size() * sizeof(int64_t));
  }
}

/// A choice of rows' parts as one of rows.
void joinHeads(fast::Choice &choice, int64_t heads, int64_t experts) {
  const size_t rows = (choice.offsets.size() - 1) / static_cast<size_t>(heads);
  for (size_t r = 0; r < rows * size_t(heads); ++r)
    for (int64_t i = choice.offsets[r]; i < choice.offsets[r + 1]; ++i)
      choice.ids[size_t(i)] += static_cast<int32_t>(int64_t(r) % heads * experts);
  for (size_t r = 0; r <= rows; ++r)
    choice.offsets[r] = choice.offsets[r * size_t(heads)];
  choice.offsets.resize(rows + 1);
}

void runRoute(KernelCall &call) {
  const Tensor &scores = call.in(0);
  expectType(scores, DType::F32, "scores");
  const int64_t rank = scores.rank();
  check(rank >= 1 && scores.dim(-1) >= 1, "scores: expected a score for each expert, found shape ",
        toString(scores.shape()));
  fast::SelectInput in;
  const fast::SelectSpec &decisions = spec(call);
  const int64_t heads = call.node.integer("heads", 1);
  check(heads == 1 || (heads > 1 && scores.dim(-1) % heads == 0 && !decisions.hasCapacity() &&
                       decisions.normalize <= fast::SelectSpec::Normalize::Experts &&
                       !call.has(1) && !call.has(2) && !call.has(3) && !call.has(4)),
        heads, " heads of scores of shape ", toString(scores.shape()),
        " cannot choose by themselves");
  in.experts = scores.dim(-1) / heads;
  in.rows = (rank >= 2 ? scores.dim(-2) : 1) * heads;
  in.samples = 1;
  for (int64_t axis = 0; axis + 2 < rank; ++axis)
    in.samples *= scores.dim(axis);
  in.batch = rank >= 3 ? scores.dim(0) : 1;
  in.scores = scores.data<float>();
  in.thresholds = vectorInput(call, 1, in.experts, "thresholds");
  in.selectionBias = vectorInput(call, 2, in.experts, "selection_bias");
  if (const Tensor *groups = call.maybe(3)) {
    check(rowsOf(*groups, decisions.groupCount(), "group_scores") == in.samples * in.rows,
          "group_scores: expected a row for each row of scores, found shape ",
          toString(groups->shape()));
    in.groupScores = groups->data<float>();
  }
  check(rank >= 2 || !decisions.hasCapacity(), "a capacity needs rows, found scores of shape ",
        toString(scores.shape()));
  readWithin(call, in);
  fast::Selected selected = fast::select(decisions, in);
  if (heads > 1)
    joinHeads(selected.choice, heads, in.experts);
  call.set(0, tensorOf(DType::I64, selected.choice.offsets));
  call.set(1, tensorOf(DType::I32, selected.choice.ids));
  if (!decisions.unitWeights())
    call.set(2, tensorOf(DType::F32, selected.choice.weights));
  writeDense(call, scores, selected);
}

/// The result's shape for rows of x: [.., columns].
Shape rowShape(const Tensor &x, int64_t rows, int64_t columns) {
  Shape shape(x.shape().size(), 1);
  shape[shape.size() - 2] = rows;
  shape.back() = columns;
  return shape;
}

// Inputs: x [.., d], offsets, ids, weights?; attributes `expert`, `tokens`, `slots`?. Results: the
// rows of x that chose the expert, [1.., rows, d], where they lie in x, [rows], and their weights,
// [rows].
void runRows(KernelCall &call) {
  const Tensor &x = call.in(0);
  check(x.rank() >= 2, "input 0: expected rows, found shape ", toString(x.shape()));
  const int64_t d = x.dim(-1), expert = call.node.integer("expert", 0);
  rowsOf(x, d, "input 0");
  fast::Choice own;
  const fast::Routing routing = routingOf(call, 1, x, call.node.integers("slots"), own);
  int64_t tokens = 1;
  for (int64_t axis = 0; axis + 1 < x.rank(); ++axis)
    tokens *= x.dim(axis);
  std::vector<int64_t> index;
  std::vector<float> weights;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = routing.offsets[t]; i < routing.offsets[t + 1]; ++i)
      if (routing.ids[i] == expert) {
        index.push_back(t);
        weights.push_back(routing.weights ? routing.weights[i] : 1.0f);
      }
  const auto count = static_cast<int64_t>(index.size());
  float *rows = call.out(0, DType::F32, rowShape(x, count, d)).data<float>();
  const float *from = x.data<float>();
  ThreadPool::global().parallelFor(count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::memcpy(rows + i * d, from + index[size_t(i)] * d,
                  static_cast<size_t>(d) * sizeof(float));
  });
  call.set(1, tensorOf(DType::I64, index));
  call.set(2, tensorOf(DType::F32, weights));
}

// Inputs: y [.., n]?, rows [1.., rows, n], index [rows], weights [rows], and x [.., d] whose rows
// they are. Result: y, or zeros where there is none, plus each row times its weight at its index.
void runAddRows(KernelCall &call) {
  const Tensor &rows = call.in(1), &index = call.in(2), &x = call.in(4);
  const int64_t n = rows.dim(-1), count = rowsOf(rows, n, "rows");
  expectType(index, DType::I64, "index");
  check(index.size() == count, "index: expected ", count, " elements, found shape ",
        toString(index.shape()));
  const float *weights = vectorInput(call, 3, count, "weights");
  const Shape shape = withLast(x, n);
  int64_t all = 1;
  for (size_t axis = 0; axis + 1 < shape.size(); ++axis)
    all *= shape[axis];
  const Tensor *y = call.maybe(0);
  check(!y || y->shape() == shape, "input 0: expected shape ", toString(shape), ", found ",
        y ? toString(y->shape()) : "");
  Tensor &out = y ? call.outInPlace(0, 0, DType::F32, shape) : call.out(0, DType::F32, shape);
  float *to = out.data<float>();
  const size_t bytes = static_cast<size_t>(all * n) * sizeof(float);
  if (!y)
    std::memset(to, 0, bytes);
  else if (y->data<float>() != to)
    std::memcpy(to, y->data<float>(), bytes);
  const int64_t *at = index.data<int64_t>();
  const float *part = rows.data<float>();
  for (int64_t i = 0; i < count; ++i)
    check(at[i] >= 0 && at[i] < all, "index: row ", at[i], " of ", all);
  // An expert has a token once at most, so no two rows meet.
  ThreadPool::global().parallelFor(count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float *row = to + at[i] * n;
      for (int64_t j = 0; j < n; ++j)
        row[j] += weights[i] * part[i * n + j];
    }
  });
}

} // namespace

void registerRoute(KernelTable &table) {
  table.add("uoe", "Rows", runRows);
  table.add("uoe", "AddRows", runAddRows);
  table.add("uoe", "Route", runRoute, prepareRoute);
}

} // namespace uoe::rt
