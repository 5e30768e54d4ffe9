// Editing a graph of nodes: making, replacing and removing them, with types inferred and the
// outputs' names kept.
#pragma once
#include "lib/Onnx/Operators/Inference.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace uoe::raise {

/// True if the value is a result of its function (whose name in the model must stay).
bool isOutput(mlir::Value value);

/// Sets the types of all values in `function` to what the analysis knows, the function's results
/// included. Names that the model gives to the dimensions of its outputs are kept.
void refineTypes(mlir::func::FuncOp function, onnx::Inference &analysis);

/// One function under rewriting. New nodes go where `at` stands and are inferred when they are
/// made.
class Graph {
public:
  Graph(mlir::ModuleOp module, onnx::Inference &facts) : module(module), facts(facts) {}
  mlir::ModuleOp module;
  onnx::Inference &facts;

  /// The opset of ONNX's own domain.
  int64_t opset(mlir::Operation *at);

  /// A node of one result before `at`, with its location; the result's type is inferred.
  onnx::NodeOp create(mlir::Operation *at, llvm::StringRef op, mlir::ValueRange operands,
                      llvm::ArrayRef<mlir::NamedAttribute> attributes = {},
                      llvm::StringRef domain = "", unsigned results = 1);
  mlir::Value make(mlir::Operation *at, llvm::StringRef op, mlir::ValueRange operands,
                   llvm::ArrayRef<mlir::NamedAttribute> attributes = {},
                   llvm::StringRef domain = "") {
    return create(at, op, operands, attributes, domain).getResult(0);
  }
  mlir::Value none(mlir::Operation *at);
  /// A Constant node before `at`.
  mlir::Value constant(mlir::Operation *at, mlir::TypedAttr value);
  mlir::Value integers(mlir::Operation *at, llvm::ArrayRef<int64_t> values);
  mlir::Value integer(mlir::Operation *at, int64_t value); // rank 0
  /// Scalar of a float type, rounded to it.
  mlir::Value scalar(mlir::Operation *at, mlir::Type element, double value);

  mlir::NamedAttribute attribute(llvm::StringRef name, mlir::Attribute value);
  mlir::NamedAttribute attribute(llvm::StringRef name, int64_t value);
  mlir::NamedAttribute attribute(llvm::StringRef name, double value); // ONNX FLOAT
  mlir::NamedAttribute attribute(llvm::StringRef name, llvm::ArrayRef<int64_t> values);
  mlir::NamedAttribute attribute(llvm::StringRef name, llvm::StringRef value);

  /// All uses of `old` become `by`. An output's name moves to `by`; where `by` can't take it (an
  /// argument, a weight, another output), an Identity carries it. False if nothing changed: `old`
  /// is that Identity already.
  bool replace(mlir::Value old, mlir::Value by);
  /// Sets one ONNX attribute of a node; null removes it.
  static void setAttribute(onnx::NodeOp node, llvm::StringRef name, mlir::Attribute value);

  /// Size of the axis (negative from the end), if it is a constant; rank or -1.
  std::optional<int64_t> size(mlir::Value value, int64_t axis);
  int64_t rank(mlir::Value value);
  bool sameShape(mlir::Value a, mlir::Value b);
  mlir::Type element(mlir::Value value) { return facts.facts(value).element; }
  bool isFloat(mlir::Value value) { return llvm::isa_and_nonnull<mlir::FloatType>(element(value)); }
  /// All elements of a constant integer tensor.
  std::optional<llvm::SmallVector<int64_t>> integersOf(mlir::Value value);
  /// The value of a constant float or integer tensor whose elements are all equal.
  std::optional<double> scalarOf(mlir::Value value);

private:
  mlir::NamedAttribute named(llvm::StringRef name, mlir::Attribute value);
};

/// Removes nodes, weights and absent operands that nothing uses, in `function` and its subgraphs;
/// returns how many.
int64_t removeUnused(mlir::func::FuncOp function);
/// Removes initializers that no op of the module refers to.
void removeUnusedInitializers(mlir::ModuleOp module);
/// Whether the node gives the same results for the same operands: a known operator that draws no
/// random numbers, without subgraphs.
bool isRepeatable(onnx::NodeOp node);
/// Nodes of equal operator, attributes and operands become one; random ones stay apart. Returns how
/// many went.
int64_t shareEqualNodes(mlir::func::FuncOp function, Graph &graph);

} // namespace uoe::raise
