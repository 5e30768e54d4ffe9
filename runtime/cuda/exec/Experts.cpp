// uoe.Route and uoe.Experts on a device, through ExpertLayer. A choice that only experts read is
// not made by uoe.Route: its scores travel in place of the lists, and the layer chooses for itself,
// so that the host never learns how many were chosen.
#include "Call.h"
#include "Weights.h"
#include "runtime/cuda/ExpertLayer.h"
#include "runtime/cuda/ops/Pointwise.h"

namespace uoe::rt::cuda {
namespace {

// Inputs of uoe.Experts: x, offsets, ids, weights?, then these.
constexpr size_t kUp = 4, kGate = 5, kDown = 6, kUpBias = 7, kGateBias = 8, kDownBias = 9,
                 kSkip = 10, kResidual = 11;

/// The rule of a uoe.Route, thresholds and bias on the host. False for what dispatch does not have:
/// capacity, groups, heads, choices within choices, gates normalised over tokens.
bool ruleOf(const Node &route, SelectRule &rule) {
  auto is = [&](const char *name, int64_t value) { return route.integer(name, value) == value; };
  const int64_t kind = route.integer("rule", 0), scoring = route.integer("scoring", 0),
                empty = route.integer("empty", 0), scaling = route.integer("scaling", 0),
                normalize = route.integer("normalize", 0);
  if (kind < 0 || kind > 3 || scoring < 0 || scoring > 2 || empty < 0 || empty > 2 || scaling < 0 ||
      scaling > 2 || normalize < 0 || normalize > 1 || !is("heads", 1) || !is("tokens", 1) ||
      !is("capacity", 0) || route.real("capacity_share", 0) != 0 || !is("capacity_takers", 0) ||
      !is("group_k", 0) || !route.integers("groups").empty())
    return false;
  rule.rule = static_cast<Rule>(kind);
  rule.scoring = static_cast<Scoring>(scoring);
  rule.empty = static_cast<Empty>(empty);
  rule.scaling = static_cast<Scaling>(scaling);
  rule.k = static_cast<int32_t>(route.integer("k", 0));
  rule.temperature = route.real("temperature", 1);
  rule.tau = route.real("tau", 0);
  rule.p = route.real("p", 1);
  rule.factor = route.real("factor", 1);
  rule.normalizeExperts = normalize == 1;
  rule.gateWeights = route.integer("weight", 0) == 1;
  if (const Tensor *thresholds = route.constant(1))
    rule.thresholds = thresholds->data<float>();
  if (const Tensor *bias = route.constant(2))
    rule.bias = bias->data<float>();
  return true;
}

/// Whether uoe.Experts of this node can run here, its choice being this one's.
bool covers(const Node &experts) {
  const std::vector<int64_t> sizes = experts.integers("sizes");
  if (sizes.empty() || experts.has("limit") || experts.has("up_offset") ||
      experts.integer("tokens", 1) != 1 || !experts.integers("slots").empty() ||
      experts.constant(kSkip))
    return false;
  int64_t hidden = 0;
  for (int64_t size : sizes) {
    if (size < 1 || size > (int64_t(1) << 30))
      return false;
    hidden += size;
  }
  const Tensor *up = experts.constant(kUp), *down = experts.constant(kDown);
  if (!up || !down || hidden > (int64_t(1) << 30))
    return false;
  for (size_t i = kUp; i <= kDownBias; ++i)
    if (const Tensor *weight = experts.constant(i))
      if (weight->dtype() != DType::F32 || (i <= kDown && weight->rank() != 2))
        return false;
  const int64_t bits = experts.integer("transposed", 0);
  return up->dim((bits >> kUp) & 1 ? 0 : 1) == hidden &&
         down->dim((bits >> kDown) & 1 ? 1 : 0) == hidden;
}

bool route(Call &call) {
  SelectRule rule;
  if (!call.has(0) || call.type(0) != DType::F32 || call.shape(0).empty() ||
      !ruleOf(call.node, rule) || call.has(3) || call.has(4) || call.wants(3) || call.wants(4) ||
      call.wants(5))
    return false;
  const int64_t experts = call.shape(0).back();
  if (experts < 1 || experts > (int64_t(1) << 20) ||
      (rule.rule == Rule::TopK && (rule.k < 1 || rule.k > experts)))
    return false;
  for (size_t i : {1, 2})
    if (call.has(i) &&
        (!call.constant(i) || call.type(i) != DType::F32 || elementCount(call.shape(i)) != experts))
      return false;
  for (size_t k = 0; k < 3 && k < call.outputs.size(); ++k)
    for (const auto &[reader, input] : (*call.readers)[k])
      if (!reader || reader->domain != "uoe" || reader->op != "Experts" || input != k + 1 ||
          !covers(*reader) || int64_t(reader->integers("sizes").size()) != experts)
        return false;
  const Tensor scores = call.in(0);
  for (size_t k = 0; k < 3 && k < call.outputs.size(); ++k)
    call.set(k, scores);
  return true;
}

std::shared_ptr<ExpertLayer> build(Call &call, const Node &choice) {
  const Node &node = call.node;
  SelectRule rule;
  check(ruleOf(choice, rule), "the choice cannot be made on the device");
  const int64_t bits = node.integer("transposed", 0);
  const Tensor &up = *call.constant(kUp), &down = *call.constant(kDown);
  const Tensor *gate = call.constant(kGate);
  const bool upTurned = (bits >> kUp) & 1, gateTurned = (bits >> kGate) & 1,
             downTurned = (bits >> kDown) & 1;
  ExpertLayerSource source;
  const int64_t in = up.dim(upTurned ? 1 : 0), hidden = up.dim(upTurned ? 0 : 1),
                out = down.dim(downTurned ? 0 : 1);
  source.in = static_cast<int32_t>(in);
  source.out = static_cast<int32_t>(out);
  source.gated = gate != nullptr;
  source.act = deviceActivation(node);
  const Tensor inner = innerRows(up, upTurned, gate, gateTurned);
  std::vector<float> outer;
  int64_t first = 0;
  const float *from = down.data<float>();
  for (int64_t size : node.integers("sizes")) {
    source.sizes.push_back(static_cast<int32_t>(size));
    for (int64_t o = 0; o < out; ++o)
      for (int64_t j = first; j < first + size; ++j)
        outer.push_back(from[downTurned ? o * hidden + j : j * out + o]);
    first += size;
  }
  const Tensor bias =
      innerBias(call.constant(kUpBias), call.constant(kGateBias), gate != nullptr, hidden);
  if (bias.dtype() != DType::None)
    source.innerBias = bias.data<float>();
  source.inner = inner.data<float>();
  source.outer = outer.data();
  if (const Tensor *last = call.constant(kDownBias))
    source.outerBias = last->data<float>();
  return std::make_shared<ExpertLayer>(call.device, source, rule, 0, false, *call.images);
}

bool experts(Call &call) {
  // Lists made on the CPU are for the CPU.
  if (call.type(0) != DType::F32 || !call.has(1) || call.type(1) != DType::F32 ||
      call.producers->size() < 2 || !(*call.producers)[1])
    return false;
  const Tensor &down = *call.constant(kDown);
  const int64_t out = down.dim((call.node.integer("transposed", 0) >> kDown) & 1 ? 0 : 1);
  const Shape x = call.shape(0);
  Shape dims = x;
  const int64_t n = call.shape(1).back(), rows = elementCount(call.shape(1)) / n;
  check(!x.empty() && elementCount(x) == rows * x.back(), "a routing of ", rows,
        " rows for tokens of shape ", toString(x));
  dims.back() = out;
  if (!call.state.has_value())
    call.state = build(call, *(*call.producers)[1]);
  auto &layer = *std::any_cast<std::shared_ptr<ExpertLayer> &>(call.state);
  check(!call.has(kResidual) ||
            (call.shape(kResidual) == dims && call.type(kResidual) == DType::F32),
        "residual: expected shape ", toString(dims));
  const Tensor in = call.in(0), scores = call.in(1);
  Tensor y = call.out(0, DType::F32, dims);
  layer.run(1, static_cast<int32_t>(rows), addressOf(in), addressOf(y), addressOf(scores));
  if (call.has(kResidual)) {
    const Tensor residual = call.in(kResidual);
    PointwiseCall add;
    add.op = Point::Add;
    add.operands = 2;
    add.types[0] = add.types[1] = DType::F32;
    add.in[0] = add.out = y.raw();
    add.in[1] = residual.raw();
    add.loops.count = add.loops.dims[0] = y.size();
    add.loops.strides[0][0] = add.loops.strides[1][0] = 1;
    call.each("pointwise_real", y.size(), add);
  }
  return true;
}

} // namespace

void addExperts(DeviceKernels &table) {
  table[{"uoe", "Route"}] = route;
  table[{"uoe", "Experts"}] = experts;
}

} // namespace uoe::rt::cuda
