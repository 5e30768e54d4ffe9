// Elementwise operators on a device.
#include "runtime/cuda/ops/Pointwise.h"
#include "Call.h"
#include "runtime/cpu/ops/Broadcast.h"
#include <cmath>
#include <set>

namespace uoe::rt::cuda {
namespace {

bool known(DType type) {
  return isDeviceFloat(type) || isDeviceInteger(type);
}

/// Runs `point` on the inputs first .. first + operands. False for types and ranks not covered.
bool run(Call &call, Point point, size_t operands, DType outType, float alpha = 0, float beta = 0) {
  bool real = isDeviceFloat(outType);
  Shape shape;
  std::array<const Shape *, 3> shapes{};
  for (size_t k = 0; k < operands; ++k) {
    if (!call.has(k) || !known(call.type(k)))
      return false;
    if (point != Point::Where || k > 0)
      real |= isDeviceFloat(call.type(k));
    shapes[k] = &call.shape(k);
    shape = broadcastShapes(shape, call.shape(k));
  }
  if (!known(outType) || (point == Point::Where && call.type(0) != DType::Bool))
    return false;
  // Integers go through int64 unless they become floats, which hold them as the cast rounds them.
  if (point == Point::Copy)
    real = isDeviceFloat(call.type(0));
  const BroadcastPlan<3> plan = planBroadcast(shape, shapes, operands);
  if (plan.rank > kMostDims)
    return false;
  PointwiseCall work;
  work.op = point;
  work.operands = static_cast<int32_t>(operands);
  work.outType = outType;
  work.alpha = alpha;
  work.beta = beta;
  work.loops.count = plan.size;
  work.loops.rank = plan.rank;
  for (int d = 0; d < plan.rank; ++d) {
    work.loops.dims[d] = plan.dims[size_t(d)];
    for (size_t k = 0; k < operands; ++k)
      work.loops.strides[k][d] = plan.strides[k][size_t(d)];
  }
  std::vector<Tensor> kept;
  for (size_t k = 0; k < operands; ++k) {
    kept.push_back(call.in(k));
    work.types[k] = call.type(k);
    work.in[k] = kept.back().raw();
  }
  work.out = call.out(0, outType, shape).raw();
  call.each(real ? "pointwise_real" : "pointwise_integer", work.loops.count, work);
  return true;
}

/// Of one operand, floats alone.
template <Point point> bool unary(Call &call) {
  return call.has(0) && isDeviceFloat(call.type(0)) && run(call, point, 1, call.type(0));
}
/// Of one operand, integers as well.
template <Point point> bool number(Call &call) {
  return call.has(0) && call.type(0) != DType::U8 && run(call, point, 1, call.type(0));
}
template <Point point> bool binary(Call &call) {
  if (call.count() != 2 || !call.has(0) || !call.has(1) || call.type(0) != call.type(1) ||
      call.type(0) == DType::Bool)
    return false;
  // Integers that overflow wrap around in their own width; 64 bits do on both sides.
  return (isDeviceFloat(call.type(0)) || call.type(0) == DType::I64 ||
          call.type(0) == DType::I32) &&
         run(call, point, 2, call.type(0));
}
/// Of floats alone: integers divide and raise by rules of their own.
template <Point point> bool real(Call &call) {
  return call.count() == 2 && call.has(0) && isDeviceFloat(call.type(0)) && call.has(1) &&
         (call.type(1) == call.type(0) || point == Point::Pow) && run(call, point, 2, call.type(0));
}
template <Point point> bool compare(Call &call) {
  return call.has(0) && call.has(1) && call.type(0) == call.type(1) &&
         run(call, point, 2, DType::Bool);
}
bool isNaN(Call &call) {
  return call.has(0) && isDeviceFloat(call.type(0)) && run(call, Point::IsNaN, 1, DType::Bool);
}
bool invert(Call &call) {
  return call.has(0) && call.type(0) == DType::Bool && run(call, Point::Not, 1, DType::Bool);
}
bool where(Call &call) {
  return call.has(1) && call.has(2) && call.type(1) == call.type(2) &&
         run(call, Point::Where, 3, call.type(1));
}
bool cast(Call &call) {
  const auto to = static_cast<DType>(call.node.integer("to", 0));
  if (!call.has(0) || !known(to) || !known(call.type(0)))
    return false;
  if (to == call.type(0)) {
    call.set(0, call.in(0));
    return true;
  }
  // What becomes of floats that no 8-bit integer holds is the CPU's to say.
  return (to != DType::U8 && to != DType::I8) && run(call, Point::Copy, 1, to);
}
bool gelu(Call &call) {
  const bool byTanh = call.node.string("approximate", "none") == "tanh";
  return byTanh ? unary<Point::GeluTanh>(call) : unary<Point::Gelu>(call);
}
/// Of one operand and one or two numbers of the node.
template <Point point> bool parametric(Call &call, float alpha, float beta = 0) {
  return call.has(0) && isDeviceFloat(call.type(0)) &&
         run(call, point, 1, call.type(0), call.node.real("alpha", alpha),
             call.node.real("beta", beta));
}
bool clip(Call &call) {
  const DType type = call.has(0) ? call.type(0) : DType::None;
  if ((type != DType::F32 && type != DType::I64 && type != DType::I32) || call.node.version < 11)
    return false;
  float limits[2] = {-INFINITY, INFINITY};
  for (size_t k = 1; k < 3; ++k)
    if (call.has(k))
      limits[k - 1] = static_cast<float>(toDouble(call.host(k), "a limit"));
  for (size_t k = 1; k < 3; ++k) // integers beyond 2^24 are not all floats
    if (type != DType::F32 && call.has(k) && std::fabs(limits[k - 1]) > float(1 << 24))
      return false;
  return limits[0] <= limits[1] && run(call, Point::Clip, 1, type, limits[0], limits[1]);
}

} // namespace

void addPointwise(DeviceKernels &table) {
  auto add = [&](const char *op, DeviceKernel kernel) { table[{"", op}] = kernel; };
  add("Abs", number<Point::Abs>);
  add("Neg", number<Point::Neg>);
  add("Relu", number<Point::Relu>);
  add("Sigmoid", unary<Point::Sigmoid>);
  add("Tanh", unary<Point::Tanh>);
  add("Erf", unary<Point::Erf>);
  add("Exp", unary<Point::Exp>);
  add("Log", unary<Point::Log>);
  add("Sqrt", unary<Point::Sqrt>);
  add("Reciprocal", unary<Point::Reciprocal>);
  add("Sin", unary<Point::Sin>);
  add("Cos", unary<Point::Cos>);
  add("Floor", unary<Point::Floor>);
  add("Ceil", unary<Point::Ceil>);
  add("Round", unary<Point::Round>);
  add("Sign", unary<Point::Sign>);
  add("Softplus", unary<Point::Softplus>);
  add("HardSwish", unary<Point::HardSwish>);
  add("LeakyRelu", [](Call &call) { return parametric<Point::LeakyRelu>(call, 0.01f); });
  add("Elu", [](Call &call) { return parametric<Point::Elu>(call, 1); });
  add("HardSigmoid", [](Call &call) { return parametric<Point::HardSigmoid>(call, 0.2f, 0.5f); });
  add("Gelu", gelu);
  add("Swish", [](Call &call) { return parametric<Point::Swish>(call, 1); });
  add("Clip", clip);
  add("IsNaN", isNaN);
  add("Not", invert);
  add("Add", binary<Point::Add>);
  add("Sub", binary<Point::Sub>);
  add("Mul", binary<Point::Mul>);
  add("Min", binary<Point::Min>);
  add("Max", binary<Point::Max>);
  add("Div", real<Point::Div>);
  add("Pow", real<Point::Pow>);
  add("Equal", compare<Point::Equal>);
  add("Less", compare<Point::Less>);
  add("LessOrEqual", compare<Point::LessOrEqual>);
  add("Greater", compare<Point::Greater>);
  add("GreaterOrEqual", compare<Point::GreaterOrEqual>);
  add("And", compare<Point::And>);
  add("Or", compare<Point::Or>);
  add("Xor", compare<Point::Xor>);
  add("Where", where);
  add("Cast", cast);
}

} // namespace uoe::rt::cuda
