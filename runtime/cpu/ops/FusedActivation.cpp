// com.microsoft.FusedGemm and FusedConv: a product or convolution with the activation that its
// attribute names; FusedConv adds a fourth input before it.
#include "Register.h"

namespace uoe::rt {
namespace {

/// The parts' own states, and the activation as a node of its own.
struct State {
  std::any base, sum, activation;
  Node node;
};

Node activationOf(const Node &fused) {
  Node node;
  node.name = fused.name;
  node.op = fused.string("activation", "");
  bool clip = node.op == "Clip";
  node.version = clip ? 6 : 24; // the last version that has the bounds as attributes
  for (auto [from, to] :
       {std::pair("activation_alpha", "alpha"), std::pair("activation_beta", "beta"),
        std::pair("activation_gamma", "gamma")})
    if (fused.has(from))
      node.attributes[to] = fused.real(from, 0.0f);
  // FusedConv has them as one list.
  std::vector<float> params = fused.reals("activation_params");
  const char *names[] = {clip ? "min" : "alpha", clip ? "max" : "beta"};
  for (size_t i = 0; i < params.size() && i < 2; ++i)
    node.attributes[names[i]] = params[i];
  return node;
}

/// Runs a kernel of ONNX's own domain over `inputs`; result 0 of the call.
void runPart(KernelCall &call, const Node &node, const char *op, std::vector<Value *> inputs,
             std::any &state, bool inPlace) {
  Kernel kernel = KernelTable::builtin().find("", op);
  check(kernel, "attribute 'activation': '", op, "' is no activation that is known");
  std::vector<Value> results(1);
  std::vector<bool> dying(inputs.size(), false);
  dying[0] = inPlace;
  KernelCall part{node, std::move(inputs), results, std::move(dying), state};
  kernel(part);
  call.outputs[0] = std::move(results[0]);
}

void runFused(KernelCall &call, const char *op, size_t inputs) {
  if (!std::any_cast<State>(&call.state)) {
    State fresh;
    fresh.node = activationOf(call.node);
    call.state = std::move(fresh);
  }
  State &state = *std::any_cast<State>(&call.state);
  std::vector<Value *> own(call.inputs.begin(),
                           call.inputs.begin() + std::min(inputs, call.inputs.size()));
  runPart(call, call.node, op, own, state.base, false);
  Value result = std::move(call.outputs[0]);
  if (inputs < call.inputs.size() && call.has(inputs)) {
    Node add;
    add.name = call.node.name;
    add.op = "Add";
    add.version = 14;
    runPart(call, add, "Add", {&result, call.inputs[inputs]}, state.sum, true);
    result = std::move(call.outputs[0]);
  }
  if (state.node.op.empty())
    call.outputs[0] = std::move(result);
  else
    runPart(call, state.node, state.node.op.c_str(), {&result}, state.activation, true);
}

void runFusedGemm(KernelCall &call) {
  runFused(call, "Gemm", 3);
}
void runFusedConv(KernelCall &call) {
  runFused(call, "Conv", 3);
}

} // namespace

void registerFusedActivation(KernelTable &table) {
  table.add("com.microsoft", "FusedGemm", runFusedGemm);
  table.add("com.microsoft", "FusedConv", runFusedConv);
}

} // namespace uoe::rt
