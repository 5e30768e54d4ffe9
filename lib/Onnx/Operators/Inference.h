// Types, shapes and small integer values of a graph, inferred node by node.
#pragma once
#include "dialects/onnx/Onnx.h"
#include "lib/Onnx/Operators/Dim.h"

namespace uoe::onnx {

/// What is known of a value.
struct Facts {
  mlir::Type element;          // null: unknown
  bool ranked = false;         // whether `dims` says anything
  llvm::SmallVector<Dim> dims; // never null Dims: an unknown size is an anonymous symbol
  std::optional<llvm::SmallVector<Dim>>
      contents;     // elements, row-major, of a small integer or bool tensor
  mlir::Type other; // the type if it is no tensor (sequence, optional, none)

  int64_t rank() const { return static_cast<int64_t>(dims.size()); }
  /// Number of elements, if it is a constant.
  std::optional<int64_t> count() const;
};

/// The facts of a type as a model declares it. Names in `#onnx.dims` are symbols.
Facts factsOf(mlir::Type type, DimTable &dims);
/// The tensor type that says `facts`; `otherwise` where nothing is known. Names that `otherwise`
/// gives are kept if `keepNames`.
mlir::Type typeOf(const Facts &facts, DimTable &dims, mlir::Type otherwise, bool keepNames = false);

/// Where a symbol can be read at run time: an axis of a function's argument, or nowhere that lasts
/// (null).
struct DimOrigin {
  mlir::Value value;
  int64_t axis = 0;
};

class Inference;

/// One node under inference: what an operator's table entry works on.
class NodeContext {
public:
  NodeContext(Inference &analysis, NodeOp node);
  Inference &analysis;
  NodeOp node;
  DimTable &dims;
  int64_t version; // the opset imported for the node's domain

  bool has(unsigned i) { return bool(node.input(i)); }
  unsigned count() { return node.getInputs().size(); }
  /// Facts of operand i; facts of nothing if it is absent.
  const Facts &in(unsigned i);
  bool ranked(unsigned i) { return in(i).ranked; }
  /// Size of operand i, axis counted from the end if negative; anonymous if not known.
  Dim size(unsigned i, int64_t axis);
  /// Operand i's elements where it is a small integer tensor.
  const llvm::SmallVector<Dim> *contents(unsigned i);
  /// The same, all constants.
  std::optional<llvm::SmallVector<int64_t>> integers(unsigned i);
  /// From the attribute of older opsets or operand i of newer ones. Null if neither is there;
  /// `known` is false where the operand is there and not constant.
  std::optional<llvm::SmallVector<int64_t>> integers(llvm::StringRef attribute, unsigned i,
                                                     bool &known);
  /// Attribute INTS.
  std::optional<llvm::SmallVector<int64_t>> list(llvm::StringRef attribute);
  /// The floating-point elements of operand i, if it is constant.
  std::optional<llvm::SmallVector<double>> reals(unsigned i);

  unsigned results() { return node.getNumResults(); }
  bool wants(unsigned i) {
    return i < results() && !llvm::isa<mlir::NoneType>(node.getResult(i).getType());
  }
  Facts &out(unsigned i) { return outputs[i]; }
  void set(unsigned i, mlir::Type element, llvm::ArrayRef<Dim> shape);
  void setElement(unsigned i, mlir::Type element);
  void setRank(unsigned i, mlir::Type element, int64_t rank);
  /// Element type and shape of operand j.
  void setLike(unsigned i, unsigned j);
  /// Shape of operand j, another element type.
  void setLike(unsigned i, unsigned j, mlir::Type element);

  Dim dim(int64_t value) { return dims.constant(value); }
  Dim unknown() { return dims.anonymous(); }
  mlir::Type i64() { return mlir::IntegerType::get(node.getContext(), 64); }
  mlir::Type i32() { return mlir::IntegerType::get(node.getContext(), 32); }
  mlir::Type i1() { return mlir::IntegerType::get(node.getContext(), 1); }
  mlir::Type f32() { return mlir::Float32Type::get(node.getContext()); }
  mlir::Type elementOf(int64_t onnxDataType);
  /// `axis` counted from the front, or an error that names it. Rank is the number of valid axes.
  mlir::FailureOr<int64_t> axis(int64_t axis, int64_t rank);
  /// Reports "OP "NAME" ..." on the node; returns failure.
  mlir::LogicalResult fail(const llvm::Twine &message);
  std::string describe(const Facts &facts);
  /// Numpy-style broadcast of two shapes; fails naming both.
  mlir::LogicalResult broadcast(llvm::ArrayRef<Dim> a, llvm::ArrayRef<Dim> b,
                                llvm::SmallVectorImpl<Dim> &result);
  /// Broadcast of operands [first, last) into result 0's shape with this element type. Unknown rank
  /// if one is.
  mlir::LogicalResult broadcastOperands(unsigned first, unsigned last, mlir::Type element);

  llvm::SmallVector<Facts, 4> outputs;
};

using InferFunction = mlir::LogicalResult (*)(NodeContext &);

/// The most elements of a tensor whose contents are followed.
inline constexpr int64_t kMaxContents = 128;

/// Walks functions in order and keeps the facts of every value, those in subgraphs included.
class Inference {
public:
  /// `diagnose`: report contradictions; otherwise an operator that cannot be inferred has unknown
  /// results.
  explicit Inference(mlir::ModuleOp module, bool diagnose = false);

  mlir::LogicalResult run(mlir::func::FuncOp function);
  mlir::LogicalResult run(mlir::Block &block);
  /// (Re)computes one operation's results.
  mlir::LogicalResult run(mlir::Operation *op);

  const Facts &facts(mlir::Value value);
  /// The contents of a small integer tensor: unknown elements are symbols of their own.
  const llvm::SmallVector<Dim> *contents(mlir::Value value);
  void set(mlir::Value value, Facts facts);
  /// As onnx::constantOf, without a walk over the symbols.
  mlir::TypedAttr constant(mlir::Value value);
  InitializerOp initializer(WeightOp weight);
  const DimOrigin *origin(unsigned atom);

  DimTable dims;
  bool diagnose;
  bool failed = false; // an error was reported

private:
  void adopt(mlir::Value value, Facts inferred, bool trustDeclared = true);
  void recordOrigins(mlir::Value value, const Facts &facts);

  llvm::DenseMap<mlir::Value, std::unique_ptr<Facts>> known; // references stay valid
  llvm::DenseMap<unsigned, DimOrigin> origins;
  llvm::DenseMap<mlir::Attribute, InitializerOp> initializers;
};

/// Elements of a constant integer or bool tensor of at most kMaxContents elements.
std::optional<llvm::SmallVector<int64_t>> integersOf(mlir::Attribute constant);

} // namespace uoe::onnx
