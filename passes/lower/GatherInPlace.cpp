// gather-in-place: rows of a transposed weight that is also read as it lies are its columns.
#include "passes/Passes.h"
#include "passes/lower/Lower.h"

namespace uoe {
#define GEN_PASS_DEF_GATHERINPLACEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

// The matrix whose transpose `table` is, if it is a weight that others read too.
static Value sharedMatrix(Value table) {
  Value matrix = transposedMatrix(table);
  if (!matrix || !matrix.getDefiningOp<onnx::WeightOp>())
    return {};
  bool shared = llvm::any_of(matrix.getUsers(),
                             [&](Operation *user) { return user != table.getDefiningOp(); });
  return shared ? matrix : Value();
}

namespace {

struct GatherInPlacePass : uoe::impl::GatherInPlacePassBase<GatherInPlacePass> {
  void runOnOperation() override {
    SmallVector<onnx::NodeOp> gathers;
    getOperation().walk([&](onnx::NodeOp node) {
      if (node.is("Gather") && node.getInputs().size() == 2)
        gathers.push_back(node);
    });
    for (onnx::NodeOp gather : gathers) {
      auto axis = dyn_cast_or_null<IntegerAttr>(gather.attribute("axis"));
      auto places = dyn_cast<RankedTensorType>(gather.getInputs()[1].getType());
      Value matrix = sharedMatrix(gather.getInputs()[0]);
      if ((axis && axis.getInt() != 0) || !places || !matrix)
        continue;
      OpBuilder builder(gather);
      Type element = cast<TensorType>(matrix.getType()).getElementType();
      auto columns = onnx::NodeOp::create(
          builder, gather.getLoc(), TypeRange{UnrankedTensorType::get(element)}, "Gather",
          {matrix, gather.getInputs()[1]},
          {builder.getNamedAttr("axis", builder.getI64IntegerAttr(1))});
      auto perm = llvm::to_vector(llvm::seq<int64_t>(1, places.getRank() + 1));
      perm.push_back(0);
      auto rows = onnx::NodeOp::create(
          builder, gather.getLoc(), gather.getResultTypes(), "Transpose", columns.getResults(),
          {builder.getNamedAttr("perm", builder.getDenseI64ArrayAttr(perm))});
      Operation *transpose = gather.getInputs()[0].getDefiningOp();
      gather.replaceAllUsesWith(rows.getResults());
      gather.erase();
      if (transpose->use_empty())
        transpose->erase();
    }
  }
};

} // namespace
