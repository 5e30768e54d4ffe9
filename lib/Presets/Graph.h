// A model under construction: weights and nodes, with types derived. Activations are
// [batch, sequence, n] unless said otherwise.
#pragma once
#include "dialects/uoe/Uoe.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include <functional>
#include <string>

namespace uoe::presets {

using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

class Graph {
public:
  /// Starts @main_graph with the input `input_ids`, int64 [batch, sequence].
  Graph(mlir::MLIRContext *context, llvm::StringRef name, uint64_t seed, bool weights);

  /// A further input of float32; `dims` names its dynamic dimensions.
  Value input(const std::string &name, llvm::ArrayRef<int64_t> shape,
              llvm::ArrayRef<llvm::StringRef> dims);
  /// A further output, in the order of these calls.
  void output(const std::string &name, Value value, llvm::ArrayRef<llvm::StringRef> dims);

  /// Ends the graph with the output `logits`, then the others. Null if a weight could not be
  /// stored.
  mlir::OwningOpRef<mlir::ModuleOp> finish(Value logits);

  Value ids() { return idsValue; }

  /// Names of weights made while one lives begin with `name` and a dot.
  class Scope {
  public:
    Scope(Graph &graph, const std::string &name) : graph(graph), outer(graph.prefix) {
      graph.prefix += name + ".";
    }
    ~Scope() { graph.prefix = outer; }
    Scope(const Scope &) = delete;

  private:
    Graph &graph;
    std::string outer;
  };

  /// A weight of uniformly distributed elements of this standard deviation.
  Value weight(const std::string &name, llvm::ArrayRef<int64_t> shape, double deviation);
  /// A matrix that keeps the variance of what it multiplies, 1/√rows.
  Value matrix(const std::string &name, int64_t rows, int64_t columns);
  /// A weight of one value: biases, scales of norms.
  Value filled(const std::string &name, llvm::ArrayRef<int64_t> shape, float value);
  /// A weight of these values.
  Value values(const std::string &name, llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<float> data);
  /// int64 constants, as axes and shapes are given.
  Value integers(llvm::ArrayRef<int64_t> values);
  Value scalar(mlir::TypedAttr value);

  /// The type of activations [batch, sequence, n].
  Type rows(int64_t n) { return floats({kAny, kAny, n}); }
  Type floats(llvm::ArrayRef<int64_t> shape) {
    return mlir::RankedTensorType::get(shape, b.getF32Type());
  }
  static int64_t width(Value value) {
    return mlir::cast<mlir::RankedTensorType>(value.getType()).getShape().back();
  }
  Value node(llvm::StringRef op, ValueRange operands, Type type,
             llvm::ArrayRef<mlir::NamedAttribute> attributes = {});
  mlir::NamedAttribute named(llvm::StringRef name, mlir::Attribute value) {
    return b.getNamedAttr(name, value);
  }
  /// x·w, w a matrix.
  Value multiply(Value x, Value w) { return node("MatMul", {x, w}, rows(width(w))); }
  /// x + y, of x's type.
  Value add(Value x, Value y) { return node("Add", {x, y}, x.getType()); }

  /// Fills the body of an op of experts or of a loop; weights still go to the graph.
  void body(mlir::Region &region, llvm::ArrayRef<Type> arguments,
            llvm::function_ref<llvm::SmallVector<Value>(ValueRange)> fill);

  /// Of the attention that is being built: puts the past in front of its keys and values, each
  /// [batch, heads, tokens, size]. Null: there is none.
  std::function<void(Value &keys, Value &values)> withPast;

  static constexpr int64_t kAny = mlir::ShapedType::kDynamic;
  mlir::OpBuilder b;
  mlir::Location loc;

private:
  Value store(const std::string &name, llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<float> data);

  mlir::OwningOpRef<mlir::ModuleOp> module;
  Type named(Type type, llvm::ArrayRef<llvm::StringRef> dims);

  Value idsValue;
  std::vector<std::string> inputs, outputs; // names of the further ones
  llvm::SmallVector<Value> outputValues;
  mlir::OpBuilder top; // where the graph's weights are
  std::string prefix;
  uint64_t seed;
  bool weights, good = true;
};

} // namespace uoe::presets
