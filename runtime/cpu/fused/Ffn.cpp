// uoe.Ffn, uoe.Experts and uoe.Products: feed-forward blocks, dense and routed, and experts that
// are one matrix, with constant weights.
#include "runtime/cpu/fast/Neurons.h"
#include "runtime/cpu/fast/Products.h"
#include "runtime/cpu/fused/Routing.h"
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"

namespace uoe::rt {
namespace {

using Packed = std::shared_ptr<const fast::PackedFfn>;

// Inputs: x, up, gate?, down, bias_up?, bias_gate?, bias_down?, and scales and zero points of
// packed matrices.
std::any prepareFfn(const Node &node, std::vector<bool> &consumed) {
  fast::QuantizedSource codes[3];
  return Packed(std::make_shared<const fast::PackedFfn>(
      fast::packExact(ffnInputs(node, 1, consumed, 7, &codes), activationOf(node))));
}

const fast::PackedFfn &packed(KernelCall &call) {
  auto *state = std::any_cast<Packed>(&call.state);
  check(state && *state, "the weights must be constants");
  return **state;
}

void runFfn(KernelCall &call) {
  const fast::PackedFfn &block = packed(call);
  const Tensor &x = call.in(0);
  int64_t rows = rowsOf(x, block.in, "input 0");
  Tensor &y = call.out(0, DType::F32, withLast(x, block.out));
  fast::ffn(block, x.data<float>(), block.in, rows, y.data<float>(), block.out);
}

// Inputs: x, offsets, ids, weights?, up, gate?, down, bias_up?, bias_gate?, bias_down?, skip?,
// residual?: of the result's shape, added to it; and scales and zero points of packed matrices.
constexpr size_t firstWeight = 4, skipInput = 10, residualInput = 11, packedInput = 12;

struct Experts {
  fast::PackedFfn groups;      // experts in groups of 16 hidden units,
  fast::PackedNeurons neurons; // or, if they are small, by neuron
  bool byNeuron = false;
  int64_t in = 0, out = 0;
  std::vector<int64_t> slots;
};
using PackedExperts = std::shared_ptr<const Experts>;

std::any prepareExperts(const Node &node, std::vector<bool> &consumed) {
  std::vector<int64_t> sizes = node.integers("sizes"), starts{0};
  for (int64_t size : sizes)
    starts.push_back(starts.back() + size);
  fast::QuantizedSource codes[3];
  const fast::FfnSource source = ffnInputs(node, firstWeight, consumed, packedInput, &codes);
  check(starts.back() == source.hidden, "the experts have ", starts.back(),
        " neurons, the weights ", source.hidden);
  std::vector<float> wide[3];
  auto experts = std::make_shared<Experts>();
  experts->slots = slotsOf(node, static_cast<int64_t>(sizes.size()));
  experts->in = source.in;
  experts->out = source.out;
  experts->byNeuron = fast::preferNeurons(sizes);
  if (experts->byNeuron)
    experts->neurons = fast::PackedNeurons(fast::widened(source, wide), activationOf(node), starts);
  else
    experts->groups = fast::packExact(source, activationOf(node), starts);
  if (const Tensor *skip = node.constant(skipInput)) {
    expectType(*skip, DType::F32, "skip");
    check(skip->size() == static_cast<int64_t>(sizes.size()) * source.out,
          "skip: expected one row per expert, found shape ", toString(skip->shape()));
    if (experts->byNeuron)
      experts->neurons.setSkipVectors(skip->data<float>());
    else
      experts->groups.setSkipVectors(skip->data<float>());
    consumed[skipInput] = true;
  }
  return PackedExperts(experts);
}

void runExperts(KernelCall &call) {
  auto *state = std::any_cast<PackedExperts>(&call.state);
  check(state && *state, "the weights must be constants");
  const Experts &block = **state;
  const Tensor &x = call.in(0);
  const int64_t tokens = rowsOf(x, block.in, "input 0");
  fast::Choice own;
  fast::Routing routing = routingOf(call, 1, x, block.slots, own);
  Tensor &y = call.out(0, DType::F32, withLast(x, block.out));
  const fast::FfnEpilogue epilogue = epilogueOf(call, residualInput, y);
  if (block.byNeuron)
    fast::experts(block.neurons, x.data<float>(), block.in, tokens, routing, y.data<float>(),
                  block.out, epilogue);
  else
    fast::experts(block.groups, x.data<float>(), block.in, tokens, routing, y.data<float>(),
                  block.out, epilogue);
}

// Inputs: x, offsets, ids, weights?, matrices, bias [experts * out]?, residual?. `experts` matrices
// lie side by side along `axis` of one: [in, experts * out] or [experts * in, out]. Of several
// `heads`, each with an equal part of the experts, those along axis 0 read each its part of a row
// of x, those along axis 1 make each its part of a row of y.
constexpr size_t matricesInput = 4;

struct Products {
  fast::PackedProducts experts;
  std::vector<int64_t> slots;
};
using SharedProducts = std::shared_ptr<const Products>;

std::any prepareProducts(const Node &node, std::vector<bool> &consumed) {
  auto constant = [&](size_t i) {
    const Tensor *t = node.constant(i);
    if (t) {
      expectType(*t, DType::F32, "weight");
      consumed[i] = true;
    }
    return t;
  };
  const Tensor *matrices = constant(matricesInput), *bias = constant(matricesInput + 1);
  check(matrices, "the weights must be constants");
  check(matrices->rank() == 2, "weight: expected a matrix, found shape ",
        toString(matrices->shape()));
  const bool transposed = (node.integer("transposed", 0) >> matricesInput) & 1;
  const int64_t axis = node.integer("axis", 0), experts = node.integer("experts", 1);
  check(axis == 0 || axis == 1, "axis ", axis, " of a matrix");
  const int64_t whole = matrices->dim((axis == 1) != transposed ? 1 : 0);
  check(experts >= 1 && whole % experts == 0, "the weights ", toString(matrices->shape()),
        " do not fit ", experts, " experts");
  const int64_t rows = matrices->dim(transposed ? 1 : 0),
                columns = matrices->dim(transposed ? 0 : 1);
  fast::ProductSource source;
  source.experts = experts;
  source.in = axis == 0 ? rows / experts : rows;
  source.out = axis == 1 ? columns / experts : columns;
  source.weight = matrices->data<float>();
  source.stepIn = transposed ? 1 : columns;
  source.stepOut = transposed ? rows : 1;
  source.stepExpert = axis == 0 ? source.in * source.stepIn : source.out * source.stepOut;
  source.heads = node.integer("heads", 1);
  source.splitInput = axis == 0;
  check(!bias || bias->size() == experts * source.out, "bias: expected ", experts * source.out,
        " elements, found shape ", bias ? toString(bias->shape()) : "");
  source.bias = bias ? bias->data<float>() : nullptr;
  return SharedProducts(std::make_shared<const Products>(
      Products{fast::PackedProducts(source), slotsOf(node, experts)}));
}

void runProducts(KernelCall &call) {
  auto *state = std::any_cast<SharedProducts>(&call.state);
  check(state && *state, "the weights must be constants");
  const fast::PackedProducts &block = (*state)->experts;
  const Tensor &x = call.in(0);
  const int64_t tokens = rowsOf(x, block.inWidth(), "input 0");
  fast::Choice own;
  fast::Routing routing = routingOf(call, 1, x, (*state)->slots, own);
  Tensor &y = call.out(0, DType::F32, withLast(x, block.outWidth()));
  fast::products(block, x.data<float>(), block.inWidth(), tokens, routing, y.data<float>(),
                 block.outWidth(), epilogueOf(call, matricesInput + 2, y));
}

} // namespace

void registerFusedFfn(KernelTable &table) {
  table.add("uoe", "Ffn", runFfn, prepareFfn);
  table.add("uoe", "Experts", runExperts, prepareExperts);
  table.add("uoe", "Products", runProducts, prepareProducts);
}

} // namespace uoe::rt
