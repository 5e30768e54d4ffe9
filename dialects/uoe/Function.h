// Functions of one number that have no name, as `function` of uoe.ffn spells them: in postfix
// order.
#pragma once
#include "dialects/uoe/Uoe.h"
#include <optional>

namespace uoe {

/// An operator of such functions: how many operands it takes, and what it gives of them. Conditions
/// are 0 and 1.
struct ScalarOperator {
  llvm::StringLiteral name; ///< of the ONNX operator
  unsigned operands;
  bool condition;      ///< gives a condition
  bool takesCondition; ///< its first operand is one
  double (*apply)(double a, double b, double c);
};

/// The operator of that name, or null.
const ScalarOperator *scalarOperator(llvm::StringRef name);

class ScalarFunction {
public:
  /// The function of a list of operators' names, "x" and numbers; none, with the reason, if it does
  /// not leave exactly one number.
  static std::optional<ScalarFunction> parse(mlir::ArrayAttr steps, std::string &error);

  double operator()(double x) const;

private:
  struct Step {
    const ScalarOperator *op; ///< null: a constant, or x
    std::optional<double> constant;
  };
  llvm::SmallVector<Step> steps;
};

} // namespace uoe
