// What a model costs, from its graph alone: parameters, multiply-adds, memory of activations.
//
// Multiply-adds are those of products: matrices, convolutions, recurrences, attention's scores and
// values, routers. Elementwise work, norms and softmax are not counted, nor is what depends on
// weights alone. Attention is counted for the pairs that a causal mask or a window leaves.
// Routed experts are counted by what their choice allows: k experts of a token_topk; from none to
// all of a threshold or top_p, unless a pass has measured it (uoe.active). A range says so.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"
#include <map>
#include <string>
#include <vector>

namespace uoe {

/// A number that depends on data, by its bounds.
struct Bounds {
  double least = 0, most = 0;
  Bounds() = default;
  Bounds(double value) : least(value), most(value) {}
  Bounds(double least, double most) : least(least), most(most) {}
  bool exact() const { return least == most; }
  Bounds &operator+=(const Bounds &other) {
    least += other.least, most += other.most;
    return *this;
  }
  Bounds operator*(const Bounds &other) const { return {least * other.least, most * other.most}; }
};

struct Cost {
  /// Sizes of symbolic dimensions: as given, and those that were taken to be 1.
  std::map<std::string, int64_t> dims;
  std::vector<std::string> assumed;
  /// Tokens of a run: elements of the first int64 input of rank 2; 0 if there is none.
  double tokens = 0;

  double parameters = 0; // elements of weights, integers of 32 and 64 bits aside
  double embedding = 0;  // of these, in tables that are only looked up
  Bounds active;         // that a token uses: a row of a table, the experts that it chose
  double weightBytes = 0;

  /// Multiply-adds of a run by part: "embedding, head" and the like. In the order of kParts.
  std::map<std::string, Bounds> multiplyAdds;
  Bounds total() const;

  /// The most bytes that results of nodes take at one time, each freed after its last use; hidden
  /// units of blocks included, scores of fused attention not. Views count as copies.
  double activationBytes = 0;

  /// Nodes that may multiply and were not counted, by operator, with why.
  std::map<std::string, std::pair<int64_t, std::string>> uncounted;
};

/// Measures a module of any form, best a raised one; `dims` gives sizes of symbolic dimensions.
/// Fails with a diagnostic for a name that no input has.
mlir::FailureOr<Cost> measureCost(mlir::ModuleOp module,
                                  const std::map<std::string, int64_t> &dims);

/// A table.
std::string toText(const Cost &cost);
/// The same as JSON, into a file. Fails with a diagnostic at `module`.
mlir::LogicalResult writeJson(const Cost &cost, const std::string &path, mlir::ModuleOp module);

} // namespace uoe
