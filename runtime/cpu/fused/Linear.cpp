// uoe.Linear: act(x·W + b) with a constant W. Inputs: x [.., k], W [k, n], b [n]?, residual [..,
// n]?.
#include "runtime/cpu/fused/Weights.h"
#include "runtime/cpu/ops/Register.h"

namespace uoe::rt {
namespace {

using Packed = std::shared_ptr<const fast::PackedMatrix>;

std::any prepareLinear(const Node &node, std::vector<bool> &consumed) {
  return packInput(node, 1, consumed);
}

void runLinear(KernelCall &call) {
  auto *weight = std::any_cast<Packed>(&call.state);
  check(weight && *weight, "the weight must be a constant");
  const fast::PackedMatrix &w = **weight;
  const Tensor &x = call.in(0);
  int64_t rows = rowsOf(x, w.k(), "input 0");
  fast::Epilogue epilogue;
  epilogue.bias = vectorInput(call, 2, w.n(), "bias");
  Shape shape = withLast(x, w.n());
  if (const Tensor *residual = call.maybe(3)) {
    expectType(*residual, DType::F32, "residual");
    check(residual->shape() == shape, "residual: expected shape ", toString(shape), ", found ",
          toString(residual->shape()));
    epilogue.residual = residual->data<float>();
    epilogue.ldr = w.n();
  }
  Tensor &y =
      call.has(3) ? call.outInPlace(0, 3, DType::F32, shape) : call.out(0, DType::F32, shape);
  fast::gemm(x.data<float>(), w.k(), rows, w, y.data<float>(), w.n(), epilogue);
}

// Shows its input to Executor::observe.
void runProbe(KernelCall &call) {
  call.set(0, call.in(0));
}

} // namespace

void registerLinear(KernelTable &table) {
  table.add("uoe", "Linear", runLinear, prepareLinear);
  table.add("uoe", "Probe", runProbe);
}

} // namespace uoe::rt
