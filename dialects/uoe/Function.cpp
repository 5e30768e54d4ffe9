#include "dialects/uoe/Function.h"
#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace uoe;

static constexpr ScalarOperator kOperators[] = {
    {"Abs", 1, false, false, [](double a, double, double) { return std::fabs(a); }},
    {"Add", 2, false, false, [](double a, double b, double) { return a + b; }},
    {"Div", 2, false, false, [](double a, double b, double) { return a / b; }},
    {"Erf", 1, false, false, [](double a, double, double) { return std::erf(a); }},
    {"Exp", 1, false, false, [](double a, double, double) { return std::exp(a); }},
    {"Floor", 1, false, false, [](double a, double, double) { return std::floor(a); }},
    {"Greater", 2, true, false, [](double a, double b, double) { return a > b ? 1.0 : 0.0; }},
    {"Less", 2, true, false, [](double a, double b, double) { return a < b ? 1.0 : 0.0; }},
    {"Log", 1, false, false, [](double a, double, double) { return std::log(a); }},
    {"Max", 2, false, false, [](double a, double b, double) { return std::max(a, b); }},
    {"Min", 2, false, false, [](double a, double b, double) { return std::min(a, b); }},
    {"Mul", 2, false, false, [](double a, double b, double) { return a * b; }},
    {"Neg", 1, false, false, [](double a, double, double) { return -a; }},
    {"Not", 1, true, true, [](double a, double, double) { return a == 0.0 ? 1.0 : 0.0; }},
    {"Pow", 2, false, false, [](double a, double b, double) { return std::pow(a, b); }},
    {"Reciprocal", 1, false, false, [](double a, double, double) { return 1.0 / a; }},
    {"Relu", 1, false, false, [](double a, double, double) { return std::max(a, 0.0); }},
    {"Sigmoid", 1, false, false,
     [](double a, double, double) { return 1.0 / (1.0 + std::exp(-a)); }},
    {"Softplus", 1, false, false,
     [](double a, double, double) {
       return std::max(a, 0.0) + std::log1p(std::exp(-std::fabs(a)));
     }},
    {"Sqrt", 1, false, false, [](double a, double, double) { return std::sqrt(a); }},
    {"Sub", 2, false, false, [](double a, double b, double) { return a - b; }},
    {"Tanh", 1, false, false, [](double a, double, double) { return std::tanh(a); }},
    {"Where", 3, false, true, [](double a, double b, double c) { return a != 0.0 ? b : c; }},
};

const ScalarOperator *uoe::scalarOperator(StringRef name) {
  const auto *found =
      llvm::find_if(kOperators, [&](const ScalarOperator &op) { return op.name == name; });
  return found == std::end(kOperators) ? nullptr : found;
}

std::optional<ScalarFunction> ScalarFunction::parse(ArrayAttr steps, std::string &error) {
  auto fail = [&](const Twine &reason) {
    error = reason.str();
    return std::nullopt;
  };
  ScalarFunction function;
  SmallVector<bool> stack; // true: a condition
  for (Attribute step : steps) {
    if (auto constant = dyn_cast<FloatAttr>(step)) {
      function.steps.push_back({nullptr, constant.getValueAsDouble()});
      stack.push_back(false);
      continue;
    }
    auto name = dyn_cast<StringAttr>(step);
    if (name && name == "x") {
      function.steps.push_back({nullptr, std::nullopt});
      stack.push_back(false);
      continue;
    }
    const ScalarOperator *op = name ? scalarOperator(name) : nullptr;
    if (!op) {
      std::string text;
      llvm::raw_string_ostream(text) << step;
      return fail("expected an operator, \"x\" or a number, found " + text);
    }
    if (stack.size() < op->operands)
      return fail(op->name + " needs " + Twine(op->operands) + " operands, found " +
                  Twine(stack.size()));
    ArrayRef<bool> operands = ArrayRef(stack).take_back(op->operands);
    for (auto [i, condition] : llvm::enumerate(operands))
      if (condition != (i == 0 && op->takesCondition))
        return fail("operand " + Twine(i) + " of " + op->name + " is " +
                    (condition ? "a condition" : "a number"));
    stack.pop_back_n(op->operands);
    stack.push_back(op->condition);
    function.steps.push_back({op, std::nullopt});
  }
  if (stack.size() != 1 || stack.front())
    return fail("expected one number at the end, found " +
                (stack.size() == 1 ? Twine("a condition") : Twine(stack.size()) + " values"));
  return function;
}

double ScalarFunction::operator()(double x) const {
  SmallVector<double, 16> stack;
  for (const Step &step : steps) {
    if (!step.op) {
      stack.push_back(step.constant.value_or(x));
      continue;
    }
    const double *top = stack.end() - step.op->operands;
    unsigned n = step.op->operands;
    double result = step.op->apply(top[0], n > 1 ? top[1] : 0.0, n > 2 ? top[2] : 0.0);
    stack.pop_back_n(n);
    stack.push_back(result);
  }
  return stack.back();
}
