// tie-layers: weights of like layers become a shared one and low-rank residuals (relaxed recursive
// transformers, arXiv 2410.20672).
#include "lib/Calibration/Solve.h"
#include "lib/Conversion/EvaluateWeights.h"
#include "passes/Passes.h"
#include "passes/depth/Layers.h"
#include "passes/lower/Lower.h"
#include "passes/raise/Graph.h"
#include "llvm/Support/Format.h"

namespace uoe {
#define GEN_PASS_DEF_TIELAYERSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::depth;
using calibration::Matrix;
using calibration::MatrixView;

// m [d, n] as in [d, rank] · out [rank, n], with the least sum of squares missing.
static void factor(const Matrix &m, int64_t rank, Matrix &in, Matrix &out) {
  auto identity = [](int64_t size) {
    std::vector<double> c(static_cast<size_t>(size * size));
    for (int64_t i = 0; i < size; ++i)
      c[static_cast<size_t>(i * size + i)] = 1;
    return c;
  };
  auto transposed = [](const Matrix &x) {
    Matrix y(x.cols, x.rows);
    for (int64_t i = 0; i < x.rows; ++i)
      for (int64_t j = 0; j < x.cols; ++j)
        y(j, i) = x(i, j);
    return y;
  };
  // The decomposition is of the columns' products: of the fewer.
  if (m.cols <= m.rows)
    return calibration::lowRank(m, identity(m.rows), rank, in, out);
  Matrix left, right;
  calibration::lowRank(transposed(m), identity(m.cols), rank, left, right);
  in = transposed(right);
  out = transposed(left);
}

namespace {

struct TieLayersPass : uoe::impl::TieLayersPassBase<TieLayersPass> {
  using TieLayersPassBase::TieLayersPassBase;

  // The shared weight of one place, and each group's residual; none where a group keeps its own.
  struct Tied {
    Value base;
    SmallVector<std::pair<Value, Value>> residuals;
  };

  void runOnOperation() override {
    if (rank < 0 || layers < 1 || (base != "mean" && base != "first")) {
      getOperation().emitError("tie-layers: rank is 0 or more, layers 1 or more, base mean or "
                               "first; found ")
          << static_cast<int64_t>(rank) << ", " << static_cast<int64_t>(layers) << " and "
          << std::string(base);
      return signalPassFailure();
    }
    WeightReader reader;
    if (failed(evaluateWeights(getOperation(), reader, WeightWriter::process())))
      return signalPassFailure();
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      if (!function.isExternal() && failed(tie(function, reader)))
        return signalPassFailure();
    raise::removeUnusedInitializers(getOperation());
  }

  LogicalResult tie(func::FuncOp function, WeightReader &reader) {
    SearchOptions options;
    options.maxUntied = 1;
    options.tied = false;
    options.groupLayers = layers;
    std::optional<Plan> plan = findLayers(function.getBody().front(), options);
    if (!plan) {
      emitRemark(function.getLoc())
          << "nothing is tied: no layers are alike but for their weights"
          << (layers > 1 ? ", or they do not fill two groups of " + std::to_string(layers) : "");
      return success();
    }
    size_t times = plan->groups.size();
    lost = whole = 0;
    std::vector<std::optional<Tied>> slots(plan->each.size());
    for (auto [values, slot] : llvm::zip_equal(plan->each, slots))
      if (failed(share(function, reader, values, slot)))
        return failure();
    int64_t count = 0;
    for (auto [slot, values] : llvm::zip(slots, plan->each))
      count += slot.has_value();
    for (auto [i, roles] : llvm::enumerate(plan->roles))
      for (auto [j, role] : llvm::enumerate(roles))
        if (role.kind == Role::each && slots[role.slot])
          for (size_t t = 0; t < times; ++t)
            use(plan->groups[t][i], j, *slots[role.slot], t);
    tied += count;
    raise::removeUnused(function);
    std::string share;
    llvm::raw_string_ostream(share) << llvm::format("%.3g", whole > 0 ? lost / whole : 0.0);
    emitRemark(function.getLoc()) << count << " weights are shared by " << times
                                  << " iterations; relative squared error of the matrices "
                                  << share;
    return success();
  }

  // Makes the shared weight and the residuals of one place.
  LogicalResult share(func::FuncOp function, WeightReader &reader, ArrayRef<Value> values,
                      std::optional<Tied> &slot) {
    auto type = cast<RankedTensorType>(values[0].getType());
    if (!type.getElementType().isF32() || !type.hasStaticShape() ||
        !llvm::all_of(values, [](Value value) { return onnx::constantOf(value) != nullptr; }) ||
        (rank > 0 && type.getRank() != 2))
      return success();
    size_t size = static_cast<size_t>(type.getNumElements());
    std::vector<std::vector<float>> weights;
    for (Value value : values) {
      auto read = reader.floats(onnx::constantOf(value));
      if (!read)
        return function.emitError("cannot read a weight: ") << llvm::toString(read.takeError());
      weights.push_back(std::move(*read));
    }
    std::vector<float> shared = weights[0];
    if (base == "mean")
      for (size_t i = 0; i < size; ++i) {
        double sum = 0;
        for (const std::vector<float> &w : weights)
          sum += w[i];
        shared[i] = static_cast<float>(sum / static_cast<double>(weights.size()));
      }
    OpBuilder builder(&function.getBody().front(), function.getBody().front().begin());
    auto add = [&](const Twine &name, ArrayRef<int64_t> shape,
                   ArrayRef<float> data) -> FailureOr<Value> {
      return addInitializer(
          builder, getOperation(), name.str(), RankedTensorType::get(shape, builder.getF32Type()),
          {reinterpret_cast<const char *>(data.data()), data.size() * sizeof(float)},
          WeightWriter::process());
    };
    std::string name = "tied";
    if (auto weight = values[0].getDefiningOp<onnx::WeightOp>())
      name = (weight.getName() + ".tied").str();
    FailureOr<Value> made = add(name, type.getShape(), shared);
    if (failed(made))
      return failure();
    slot.emplace();
    slot->base = *made;
    bool matrix = type.getRank() == 2;
    for (auto [t, w] : llvm::enumerate(weights)) {
      Matrix rest(matrix ? type.getDimSize(0) : 1,
                  matrix ? type.getDimSize(1) : static_cast<int64_t>(size));
      for (size_t i = 0; i < size; ++i)
        rest.values[i] = w[i] - shared[i];
      if (rank > 0) {
        Matrix in, out;
        factor(rest, rank, in, out);
        FailureOr<Value> a = add(name + ".in." + Twine(t), {in.rows, in.cols}, in.values),
                         b = add(name + ".out." + Twine(t), {out.rows, out.cols}, out.values);
        if (failed(a) || failed(b))
          return failure();
        slot->residuals.push_back({*a, *b});
        for (int64_t i = 0; i < rest.rows; ++i)
          for (int64_t j = 0; j < rest.cols; ++j)
            for (int64_t r = 0; r < in.cols; ++r)
              rest(i, j) -= in(i, r) * out(r, j);
      }
      if (matrix)
        for (size_t i = 0; i < size; ++i) {
          lost += static_cast<double>(rest.values[i]) * rest.values[i];
          whole += static_cast<double>(w[i]) * w[i];
        }
    }
    return success();
  }

  // Input j of an op of group t reads the shared weight and its residual.
  static void use(Operation *op, size_t j, const Tied &slot, size_t t) {
    OpOperand *input = inputsOf(op)[j];
    Type type = input->get().getType();
    if (slot.residuals.empty())
      return input->set(slot.base);
    auto [in, out] = slot.residuals[t];
    OpBuilder builder(op);
    NodeBuilder b(builder, op->getLoc(), onnx::opsetOf(op));
    auto typed = [](Value value, Type type) {
      value.setType(type);
      return value;
    };
    auto product = dyn_cast<onnx::NodeOp>(op);
    if (!product || !product.is("MatMul") || input->getOperandNumber() != 1) {
      Value residual = typed(b.matmul(in, out), type);
      return input->set(typed(b.add(slot.base, residual), type));
    }
    // x·(W + A B) = x·W + (x·A)·B.
    input->set(slot.base);
    builder.setInsertionPointAfter(op);
    Value x = product.input(0), y = product->getResult(0);
    auto xType = dyn_cast<RankedTensorType>(x.getType());
    Value narrow = b.matmul(x, in);
    if (xType && xType.getRank() > 0) {
      SmallVector<int64_t> shape(xType.getShape());
      shape.back() = cast<RankedTensorType>(in.getType()).getDimSize(1);
      narrow.setType(RankedTensorType::get(shape, xType.getElementType()));
    }
    Value own = typed(b.matmul(narrow, out), y.getType());
    Value sum = typed(b.add(y, own), y.getType());
    y.replaceAllUsesExcept(sum, sum.getDefiningOp());
  }

  double lost = 0, whole = 0;
};

} // namespace
