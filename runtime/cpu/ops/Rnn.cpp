// RNN, GRU, LSTM.
#include "MatrixMultiply.h"
#include "Numeric.h"
#include "Register.h"
#include <algorithm>
#include <cctype>
#include <cmath>

namespace uoe::rt {
namespace {

/// An activation by name with its parameters.
struct Activation {
  char kind;
  float alpha, beta;
  template <typename T> T operator()(T x) const {
    T a = static_cast<T>(alpha), b = static_cast<T>(beta);
    switch (kind) {
    case 's':
      return T(1) / (T(1) + std::exp(-x));
    case 't':
      return std::tanh(x);
    case 'r':
      return std::max(x, T(0));
    case 'a': // Affine
      return a * x + b;
    case 'l': // LeakyRelu
      return x >= 0 ? x : a * x;
    case 'h': // ThresholdedRelu
      return x > a ? x : T(0);
    case 'c': // ScaledTanh
      return a * std::tanh(b * x);
    case 'g': // HardSigmoid
      return std::min(std::max(a * x + b, T(0)), T(1));
    case 'e':
      return x >= 0 ? x : a * (std::exp(x) - T(1));
    case 'n': // Softsign
      return x / (T(1) + std::fabs(x));
    default: // Softplus
      return std::log(T(1) + std::exp(x));
    }
  }
};

Activation activationOf(const Node &node, std::string name, const float *alpha, const float *beta) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  struct Entry {
    const char *name;
    char kind;
    float alpha, beta;
  };
  static const Entry entries[] = {{"sigmoid", 's', 0, 0},       {"tanh", 't', 0, 0},
                                  {"relu", 'r', 0, 0},          {"affine", 'a', 1, 0},
                                  {"leakyrelu", 'l', 0.01f, 0}, {"thresholdedrelu", 'h', 1, 0},
                                  {"scaledtanh", 'c', 1, 1},    {"hardsigmoid", 'g', 0.2f, 0.5f},
                                  {"elu", 'e', 1, 0},           {"softsign", 'n', 0, 0},
                                  {"softplus", 'p', 0, 0}};
  for (const Entry &entry : entries)
    if (name == entry.name)
      return {entry.kind, alpha ? *alpha : entry.alpha, beta ? *beta : entry.beta};
  fail(node.op, ": unknown activation '", name, "'");
}

enum class Cell { Rnn, Gru, Lstm };

template <typename T> struct Recurrent {
  Cell cell;
  int64_t steps, batch, input, hidden, gates;
  std::vector<int64_t> lengths;
  std::vector<Activation> act; // of this direction
  T clip;
  bool linearBeforeReset, inputForget;
  const T *w, *r, *b, *peephole; // of this direction; b and peephole may be null

  T clipped(T x) const { return clip > 0 ? std::min(std::max(x, -clip), clip) : x; }

  /// x (steps, batch, input); h and c (batch, hidden), updated; y(step, batch) gives where a step's
  /// h goes.
  template <typename Output> void run(const T *x, bool reverse, T *h, T *c, Output &&y) const {
    std::vector<T> gate(batch * gates * hidden), rec(batch * gates * hidden), reset(batch * hidden);
    for (int64_t s = 0; s < steps; ++s) {
      // Each sequence runs backwards from its own end: gather the rows of this step.
      std::vector<T> rows(batch * input);
      for (int64_t n = 0; n < batch; ++n) {
        int64_t t = reverse ? lengths[n] - 1 - s : s;
        if (s < lengths[n])
          std::copy_n(x + (t * batch + n) * input, input, rows.begin() + n * input);
      }
      int64_t width = gates * hidden;
      multiply(rows.data(), input, batch, w, input, true, input, width, gate.data(), width);
      multiply(h, hidden, batch, r, hidden, true, hidden, width, rec.data(), width);
      for (int64_t n = 0; n < batch; ++n) {
        if (s >= lengths[n])
          continue;
        T *g = gate.data() + n * width, *q = rec.data() + n * width;
        for (int64_t j = 0; b && j < width; ++j) {
          g[j] += b[j];
          q[j] += b[width + j];
        }
        T *hn = h + n * hidden, *cn = c ? c + n * hidden : nullptr;
        if (cell == Cell::Rnn)
          for (int64_t j = 0; j < hidden; ++j)
            hn[j] = act[0](clipped(g[j] + q[j]));
        else if (cell == Cell::Lstm)
          lstm(g, q, hn, cn);
        else
          gru(g, q, hn, reset.data());
      }
      for (int64_t n = 0; n < batch; ++n)
        if (s < lengths[n])
          std::copy_n(h + n * hidden, hidden, y(reverse ? lengths[n] - 1 - s : s, n));
    }
  }

  /// Gates i, o, f, c.
  void lstm(const T *g, const T *q, T *h, T *c) const {
    for (int64_t j = 0; j < hidden; ++j) {
      auto sum = [&](int64_t k) { return g[k * hidden + j] + q[k * hidden + j]; };
      T pi = peephole ? peephole[j] * c[j] : T(0),
        pf = peephole ? peephole[2 * hidden + j] * c[j] : T(0);
      T i = act[0](clipped(sum(0) + pi));
      T f = inputForget ? T(1) - i : act[0](clipped(sum(2) + pf));
      T next = f * c[j] + i * act[1](clipped(sum(3)));
      T po = peephole ? peephole[hidden + j] * next : T(0);
      T o = act[0](clipped(sum(1) + po));
      c[j] = next;
      h[j] = o * act[2](next);
    }
  }

  /// Gates z, r, h.
  void gru(const T *g, T *q, T *h, T *reset) const {
    for (int64_t j = 0; j < hidden; ++j)
      reset[j] = act[0](clipped(g[hidden + j] + q[hidden + j]));
    const T *candidate = q + 2 * hidden;
    std::vector<T> scaled;
    if (!linearBeforeReset) {
      scaled.resize(2 * hidden);
      for (int64_t j = 0; j < hidden; ++j)
        scaled[j] = reset[j] * h[j];
      for (int64_t j = 0; j < hidden; ++j)
        scaled[hidden + j] = vec::dot(scaled.data(), r + (2 * hidden + j) * hidden, hidden) +
                             (b ? b[gates * hidden + 2 * hidden + j] : T(0));
      candidate = scaled.data() + hidden;
    }
    for (int64_t j = 0; j < hidden; ++j) {
      T z = act[0](clipped(g[j] + q[j]));
      T part = linearBeforeReset ? reset[j] * candidate[j] : candidate[j];
      T next = act[1](clipped(g[2 * hidden + j] + part));
      h[j] = (T(1) - z) * next + z * h[j];
    }
  }
};

/// Exchanges the first two dimensions.
template <typename T> Tensor swapped(const Tensor &x) {
  Shape shape = x.shape();
  int64_t a = shape[0], b = shape[1], inner = extent(shape, 2, x.rank());
  std::swap(shape[0], shape[1]);
  Tensor result(x.dtype(), shape);
  for (int64_t i = 0; i < a; ++i)
    for (int64_t j = 0; j < b; ++j)
      std::copy_n(x.data<T>() + (i * b + j) * inner, inner, result.data<T>() + (j * a + i) * inner);
  return result;
}

template <typename T> void recurrent(KernelCall &call, Cell cell) {
  const Node &node = call.node;
  bool layout = node.integer("layout", 0); // batch first
  Tensor x = inputAs<T>(call, 0), w = inputAs<T>(call, 1), r = inputAs<T>(call, 2), b, h, c,
         peephole;
  std::string direction = node.string("direction", "forward");
  check(direction == "forward" || direction == "reverse" || direction == "bidirectional", node.op,
        ": unknown direction '", direction, "'");
  int64_t directions = direction == "bidirectional" ? 2 : 1;
  Recurrent<T> net;
  net.cell = cell;
  net.gates = cell == Cell::Rnn ? 1 : cell == Cell::Gru ? 3 : 4;
  check(x.rank() == 3 && w.rank() == 3 && r.rank() == 3, node.op,
        ": X, W and R must have 3 dimensions, found shapes ", toString(x.shape()), ", ",
        toString(w.shape()), " and ", toString(r.shape()));
  if (layout)
    x = swapped<T>(x);
  net.steps = x.dim(0);
  net.batch = x.dim(1);
  net.input = x.dim(2);
  net.hidden = r.dim(2);
  int64_t width = net.gates * net.hidden;
  check(node.integer("hidden_size", net.hidden) == net.hidden &&
            w.shape() == Shape{directions, width, net.input} &&
            r.shape() == Shape{directions, width, net.hidden},
        node.op, ": W and R must have shapes [", directions, ", ", width, ", ", net.input,
        "] and [", directions, ", ", width, ", ", net.hidden, "], found ", toString(w.shape()),
        " and ", toString(r.shape()));
  auto optional = [&](size_t i, const Shape &shape) {
    Tensor tensor = inputAs<T>(call, i);
    check(tensor.shape() == shape, node.op, ": input ", i, " must have shape ", toString(shape),
          ", found ", toString(tensor.shape()));
    return tensor;
  };
  if (call.has(3))
    b = optional(3, {directions, 2 * width});
  net.lengths.assign(net.batch, net.steps);
  if (call.has(4)) {
    net.lengths = toInts(call.in(4), "sequence_lens");
    check(static_cast<int64_t>(net.lengths.size()) == net.batch, node.op,
          ": sequence_lens must have ", net.batch, " elements, found ", net.lengths.size());
    for (int64_t length : net.lengths)
      check(length >= 0 && length <= net.steps, node.op, ": sequence_lens must be at most ",
            net.steps, ", found ", length);
  }
  Shape stateShape =
      layout ? Shape{net.batch, directions, net.hidden} : Shape{directions, net.batch, net.hidden};
  auto state = [&](size_t i) {
    Tensor fresh(DTypeOf<T>::value, {directions, net.batch, net.hidden});
    std::fill_n(fresh.data<T>(), fresh.size(), T(0));
    if (call.has(i)) {
      Tensor given = optional(i, stateShape);
      if (layout)
        given = swapped<T>(given);
      std::copy_n(given.data<T>(), given.size(), fresh.data<T>());
    }
    return fresh;
  };
  h = state(5);
  if (cell == Cell::Lstm) {
    c = state(6);
    if (call.has(7))
      peephole = optional(7, {directions, 3 * net.hidden});
  }
  net.clip = static_cast<T>(node.real("clip", 0));
  net.linearBeforeReset = node.integer("linear_before_reset", 0);
  net.inputForget = node.integer("input_forget", 0);
  std::vector<std::string> names;
  if (auto it = node.attributes.find("activations"); it != node.attributes.end())
    if (auto *list = std::get_if<std::vector<std::string>>(&it->second))
      names = *list;
  std::vector<std::string> standard = cell == Cell::Rnn ? std::vector<std::string>{"Tanh"}
                                      : cell == Cell::Gru
                                          ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                          : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
  size_t each = standard.size();
  if (names.empty())
    for (int64_t d = 0; d < directions; ++d)
      names.insert(names.end(), standard.begin(), standard.end());
  check(names.size() == each * directions, node.op, ": there must be ", each * directions,
        " activations, found ", names.size());
  auto alphas = node.reals("activation_alpha"), betas = node.reals("activation_beta");
  // y is (steps, directions, batch, hidden).
  Tensor y(DTypeOf<T>::value, {net.steps, directions, net.batch, net.hidden});
  std::fill_n(y.data<T>(), y.size(), T(0));
  for (int64_t d = 0; d < directions; ++d) {
    net.act.clear();
    for (size_t i = 0; i < each; ++i) {
      size_t at = d * each + i;
      net.act.push_back(activationOf(node, names[at], at < alphas.size() ? &alphas[at] : nullptr,
                                     at < betas.size() ? &betas[at] : nullptr));
    }
    net.w = w.data<T>() + d * width * net.input;
    net.r = r.data<T>() + d * width * net.hidden;
    net.b = call.has(3) ? b.data<T>() + d * 2 * width : nullptr;
    net.peephole = peephole.raw() ? peephole.data<T>() + d * 3 * net.hidden : nullptr;
    int64_t offset = d * net.batch * net.hidden;
    bool reverse = d == 1 || direction == "reverse";
    net.run(x.data<T>(), reverse, h.data<T>() + offset,
            cell == Cell::Lstm ? c.data<T>() + offset : nullptr, [&](int64_t t, int64_t n) {
              return y.data<T>() + ((t * directions + d) * net.batch + n) * net.hidden;
            });
  }
  DType type = call.in(0).dtype();
  if (call.wants(0)) {
    if (layout) { // (batch, steps, directions, hidden)
      Tensor turned(DTypeOf<T>::value, {net.batch, net.steps, directions, net.hidden});
      for (int64_t t = 0; t < net.steps; ++t)
        for (int64_t d = 0; d < directions; ++d)
          for (int64_t n = 0; n < net.batch; ++n)
            std::copy_n(y.data<T>() + ((t * directions + d) * net.batch + n) * net.hidden,
                        net.hidden,
                        turned.data<T>() + ((n * net.steps + t) * directions + d) * net.hidden);
      y = turned;
    }
    setReal(call, 0, y, type);
  }
  if (call.wants(1))
    setReal(call, 1, layout ? swapped<T>(h) : h, type);
  if (cell == Cell::Lstm && call.wants(2))
    setReal(call, 2, layout ? swapped<T>(c) : c, type);
}

template <Cell cell> void run(KernelCall &call) {
  withCompute(call.in(0).dtype(), call.node.op.c_str(),
              [&](auto zero) { recurrent<decltype(zero)>(call, cell); });
}

} // namespace

void registerRnn(KernelTable &table) {
  table.add("", "RNN", run<Cell::Rnn>);
  table.add("", "GRU", run<Cell::Gru>);
  table.add("", "LSTM", run<Cell::Lstm>);
}

} // namespace uoe::rt
