// What the lowering passes share: building ONNX nodes, and the pieces of the reference meaning.
#pragma once
#include "dialects/onnx/Onnx.h"
#include "dialects/uoe/Uoe.h"
#include "mlir/IR/PatternMatch.h"

namespace uoe {

/// Builds ONNX nodes at one place. Results have the element type of their first operand and no rank
/// unless told otherwise; pass `infer-shapes` fills in the rest.
class NodeBuilder {
public:
  NodeBuilder(mlir::OpBuilder &builder, mlir::Location loc, int64_t opset)
      : builder(builder), loc(loc), version(opset) {}

  mlir::Value node(llvm::StringRef op, mlir::ValueRange operands,
                   llvm::ArrayRef<mlir::NamedAttribute> attrs = {}, mlir::Type element = {},
                   llvm::StringRef domain = "");
  /// The same for any number of results.
  mlir::ResultRange nodes(llvm::StringRef op, mlir::ValueRange operands, mlir::TypeRange results,
                          llvm::ArrayRef<mlir::NamedAttribute> attrs = {});
  mlir::Value ints(llvm::ArrayRef<int64_t> values);
  mlir::Value scalarInt(int64_t value);
  /// A scalar of `like`'s element type (a float type).
  mlir::Value scalar(double value, mlir::Value like);
  mlir::Value constant(mlir::DenseElementsAttr value);
  mlir::Value none();
  mlir::NamedAttribute attr(llvm::StringRef name, int64_t value);
  int64_t opset() const { return version; }

  mlir::Value add(mlir::Value a, mlir::Value b) { return node("Add", {a, b}); }
  mlir::Value mul(mlir::Value a, mlir::Value b) { return node("Mul", {a, b}); }
  /// a times the matrix b; MatMulNBits where b is packed.
  mlir::Value matmul(mlir::Value a, mlir::Value b);
  /// `value` plus `bias` if there is one.
  mlir::Value biased(mlir::Value value, mlir::Value bias) {
    return bias ? add(value, bias) : value;
  }
  /// `function` is that of a custom activation.
  mlir::Value activation(Activation activation, mlir::Value value, mlir::ArrayAttr function = {});
  /// The hidden values of a gated block, act(gate) · up, with the limit and offset of uoe.ffn.
  mlir::Value gated(Activation activation, mlir::Value gate, mlir::Value up,
                    std::optional<llvm::APFloat> limit, const llvm::APFloat &upOffset,
                    mlir::ArrayAttr function = {});
  /// `value` in a shape that run time knows, where 0 is a dimension without elements (from opset 14
  /// on; before, ONNX reads it as the input's own dimension).
  mlir::Value reshapeTo(mlir::Value value, mlir::Value shape);
  /// Elements begin..end of an axis; a packed matrix stays packed where it can.
  mlir::Value slice(mlir::Value value, int64_t axis, int64_t begin, int64_t end);

private:
  mlir::OpBuilder &builder;
  mlir::Location loc;
  int64_t version;
};

mlir::Type elementTypeOf(mlir::Value value);

/// Gives a new select of the mixture's scores the mixture's choice.
void setChoice(SelectOp select, MoeOp moe);

/// True for a choice by the scores themselves with weight 1, row by row.
bool choosesPlainly(SelectOp select);

/// True for Transpose by [0, 2, 1, 3]: tokens and heads change places.
bool swapsHeads(onnx::NodeOp node);
/// The matrix m where `value` is Transpose(m), else null.
mlir::Value transposedMatrix(mlir::Value value);

/// Moves a raised block's spelling in place of the block; its results take over. False if the
/// region is empty.
bool inlineSpelling(mlir::Operation *block, mlir::Region &spelling);

/// The body of an experts op, where it is one of the forms that need no loop over experts.
enum class ExpertBody {
  Ffn,         // one uoe.ffn of the shared operand with sliced matrices, summed
  Product,     // MatMul of the shared operand with a sliced matrix, all of one size, with a sliced
               // bias added or without, summed
  Rows,        // MatMul of a slice of activations with the same slice of a matrix's rows, summed
  Elementwise, // ONNX elementwise nodes of slices, concatenated
  Other
};
ExpertBody classify(ExpertsOp experts);

/// True if a row of the body's result depends on the same row of the first shared operand alone;
/// the other operands are the same for all rows.
bool isRowwise(ExpertsOp experts);

/// True for Σ_e weight_e · tensor_e with the tensors as they lie in the operand, [experts,
/// shape...]: one product of the weights with the operand seen as a matrix.
bool isWeightedTensors(ExpertsOp experts);
/// The same for rows: Σ_e weight_e · row_e with the rows as they lie in the operand, [experts, d]:
/// how moe-to-experts writes the biases of the experts' results.
bool isWeightedRows(ExpertsOp experts);

} // namespace uoe
