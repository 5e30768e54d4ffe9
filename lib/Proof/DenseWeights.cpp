#include "lib/Proof/DenseWeights.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace uoe;
using onnx::NodeOp;

namespace {

/// The constants that stand for weights in a node, if it is a product.
struct Product {
  Value matrix, bias;
  bool packed = false; // MatMulNBits: the matrix is several operands
  explicit operator bool() const { return matrix || packed; }
};

class Walker {
public:
  Walker(Provenance &provenance, SeeNumbers see) : provenance(provenance), see(see) {}

  bool isConstant(Value value) { return isConstantExpression(value, cache); }

  LogicalResult emit(Value value) {
    FailureOr<rt::Tensor> numbers = provenance.trace(value);
    if (succeeded(numbers))
      see(*numbers);
    return numbers;
  }

  Product productOf(NodeOp node) {
    Product product;
    StringRef op = node.getOpType();
    auto constant = [&](unsigned i) {
      Value value = node.input(i);
      return value && isConstant(value) ? value : Value();
    };
    if (node.isContrib("MatMulNBits")) {
      product.packed = constant(1) != nullptr;
      product.bias = constant(5);
      return product;
    }
    if (op == "MatMul" || op == "Gemm" || op == "FusedMatMul" || op == "MatMulInteger" ||
        op == "DynamicQuantizeMatMul" || op == "MatMulIntegerToFloat" ||
        node.isContrib("Attention"))
      product.matrix = constant(1);
    else if (op == "QLinearMatMul")
      product.matrix = constant(3);
    if (op == "Gemm" || node.isContrib("Attention"))
      product.bias = constant(2);
    return product;
  }

  LogicalResult emit(NodeOp node, const Product &product) {
    if (product.packed) {
      if (failed(emitPacked(node)))
        return failure();
    } else if (failed(emit(product.matrix))) {
      return failure();
    }
    return product.bias ? emit(product.bias) : success();
  }

  /// The other operand of an addition of a constant vector, and the vector.
  std::pair<Value, Value> addition(NodeOp node) {
    if (node.is("Add"))
      for (unsigned i : {0u, 1u}) {
        auto type = dyn_cast<RankedTensorType>(node.getInputs()[i].getType());
        if (type && type.hasStaticShape() && type.getNumElements() > 1 &&
            type.getNumElements() == type.getShape().back() && isConstant(node.getInputs()[i]) &&
            !isConstant(node.getInputs()[1 - i]))
          return {node.getInputs()[1 - i], node.getInputs()[i]};
      }
    return {};
  }

  /// From values back to the products that they come from.
  LogicalResult backwards(ArrayRef<Value> values) {
    llvm::SetVector<Value> work(values.begin(), values.end());
    for (size_t i = 0; i < work.size(); ++i) {
      auto node = work[i].getDefiningOp<NodeOp>();
      if (!node || isConstant(work[i]))
        continue;
      if (Product product = productOf(node)) {
        if (seen.insert(node).second && failed(emit(node, product)))
          return failure();
        continue;
      }
      if (auto [rest, vector] = addition(node); vector) {
        if (seen.insert(node).second && failed(emit(vector)))
          return failure();
        work.insert(rest);
        continue;
      }
      // Scales of quantised inputs lead on to other blocks; angles and shapes come in beside the
      // first operand; past keys and values have no matrix behind them.
      if (node.is("DynamicQuantizeLinear") && work[i] != node.getResult(0))
        continue;
      if (node.is("Concat") || node.is("Add") || node.is("Mul") || node.is("Sub"))
        work.insert(node.getInputs().begin(), node.getInputs().end());
      else if (!node.getInputs().empty())
        work.insert(node.getInputs()[0]);
    }
    return success();
  }

  /// From a value forward to the first product, and the vectors that are added to it.
  LogicalResult forwards(Value value) {
    while (value) {
      Value next;
      for (OpOperand &use : value.getUses()) {
        auto node = dyn_cast<NodeOp>(use.getOwner());
        if (!node || node->getNumResults() == 0)
          continue;
        Product product = productOf(node);
        if (product && (use.getOperandNumber() == 0 || node.is("QLinearMatMul"))) {
          if (failed(emit(node, product)))
            return failure();
          return added(node.getResult(0));
        }
        if (node->getNumResults() == 1 || node.is("DynamicQuantizeLinear"))
          next = node.getResult(0);
        // What the heads' results are multiplied by: a gate, with a matrix of its own.
        if (node.is("Mul") && failed(backwards({node.getInputs()[1 - use.getOperandNumber()]})))
          return failure();
      }
      value = next;
    }
    return success();
  }

  LogicalResult added(Value value) {
    for (;;) {
      SmallVector<NodeOp> users;
      for (Operation *user : value.getUsers())
        if (auto node = dyn_cast<NodeOp>(user))
          users.push_back(node);
      if (users.size() != 1)
        return success();
      NodeOp node = users[0];
      if (auto [rest, vector] = addition(node); vector) {
        if (failed(emit(vector)))
          return failure();
      } else if (!node.is("Reshape") && !node.is("Cast") && !node.is("Identity") &&
                 !node.is("QuantizeLinear") && !node.is("DequantizeLinear") && !node.is("Mul")) {
        return success();
      }
      value = node.getResult(0);
    }
  }

  /// A block that is known by its nodes alone.
  LogicalResult spelled(Region &region) {
    LogicalResult ok = success();
    region.walk([&](NodeOp node) {
      Product product = productOf(node);
      auto [rest, vector] = addition(node);
      if ((product && failed(emit(node, product))) || (vector && failed(emit(vector))))
        ok = failure();
    });
    return ok;
  }

private:
  /// The matrix [K, N] as the operator itself multiplies by it: its results on the rows of the
  /// identity.
  LogicalResult emitPacked(NodeOp node) {
    constexpr int64_t kRows = 256;
    int64_t k = node.integer("K", 0), n = node.integer("N", 0);
    std::vector<rt::Value> inputs(node.getInputs().size());
    for (size_t i = 1; i < inputs.size(); ++i) {
      Value operand = node.getInputs()[i];
      if (isa<NoneType>(operand.getType()) || i == 5) // the bias is not part of the matrix
        continue;
      FailureOr<rt::Tensor> tensor = evaluateConstant(operand, weights);
      if (failed(tensor))
        return failure();
      inputs[i] = *tensor;
    }
    rt::Tensor matrix(rt::DType::F32, {k, n});
    for (int64_t row = 0; row < k; row += kRows) {
      int64_t rows = std::min(kRows, k - row);
      rt::Tensor unit(rt::DType::F32, {rows, k});
      std::fill_n(unit.data<float>(), rows * k, 0.0f);
      for (int64_t r = 0; r < rows; ++r)
        unit.data<float>()[r * k + row + r] = 1;
      inputs[0] = unit;
      auto results = runNode(node, inputs, weights);
      if (!results)
        return node.emitError("cannot be evaluated: ") << llvm::toString(results.takeError());
      std::copy_n((*results)[0].tensor.data<float>(), rows * n, matrix.data<float>() + row * n);
    }
    see(provenance.trace(matrix, ("matrix of MatMulNBits " + node.nodeName()).str()));
    return success();
  }

  Provenance &provenance;
  SeeNumbers see;
  WeightReader weights;
  DenseMap<Value, bool> cache;
  DenseSet<Operation *> seen;
};

} // namespace

LogicalResult uoe::denseWeights(Operation *block, Provenance &provenance, SeeNumbers see) {
  Walker walker(provenance, see);
  if (auto ffn = dyn_cast<FfnOp>(block)) {
    if (!ffn.getSpelling().empty())
      return walker.spelled(ffn.getSpelling());
    for (Value weight : {ffn.getUp(), ffn.getGate(), ffn.getDown(), ffn.getBiasUp(),
                         ffn.getBiasGate(), ffn.getBiasDown()})
      if (weight && failed(walker.emit(weight)))
        return failure();
    return success();
  }
  auto attention = cast<AttentionOp>(block);
  SmallVector<Value> from;
  if (attention.getQuery()) {
    from = {attention.getQuery(), attention.getKey(), attention.getValue()};
  } else if (!attention.getSpelling().empty()) {
    // A fused operator takes what becomes queries, keys and values first; Attention projects it.
    for (NodeOp node : attention.getSpelling().front().getOps<NodeOp>())
      for (auto [i, input] : llvm::enumerate(node.getInputs())) {
        if (node.isContrib("Attention") && i == 0)
          from.push_back(node.getResult(0));
        else if (i < 3 && !node.isContrib("Attention"))
          from.push_back(input);
      }
  }
  if (failed(walker.backwards(from)))
    return failure();
  return walker.forwards(attention.getResult(0));
}

LogicalResult uoe::weightsBehind(ArrayRef<Value> values, Provenance &provenance, SeeNumbers see) {
  return Walker(provenance, see).backwards(values);
}

LogicalResult uoe::addedVectors(Value value, Provenance &provenance, SeeNumbers see) {
  return Walker(provenance, see).added(value);
}
