// lower-to-rt: onnx nodes and raised blocks become calls of the runtime's kernel table.
#include "dialects/rt/Rt.h"
#include "dialects/uoe/Uoe.h"
#include "passes/Passes.h"
#include "passes/lower/Lower.h"
#include "runtime/core/Kernel.h"

namespace uoe {
#define GEN_PASS_DEF_LOWERTORTPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

// "MatMul(tensor<...>, tensor<...>)" for messages.
static void describe(InFlightDiagnostic &diag, onnx::NodeOp node) {
  diag << (node.getDomain().empty() ? "" : node.getDomain() + ".").str() << node.getOpType() << "(";
  llvm::interleaveComma(node.getInputs().getTypes(), diag, [&](Type type) { diag << type; });
  diag << ")";
}

namespace {

struct LowerToRtPass : uoe::impl::LowerToRtPassBase<LowerToRtPass> {
  using LowerToRtPassBase::LowerToRtPassBase;

  void runOnOperation() override {
    SmallVector<onnx::NodeOp> nodes;
    getOperation().walk<WalkOrder::PostOrder>([&](onnx::NodeOp node) { nodes.push_back(node); });
    bool ok = true;
    for (onnx::NodeOp node : nodes)
      ok &= succeeded(lower(node));
    if (!ok)
      signalPassFailure();
  }

  int64_t version(onnx::NodeOp node) {
    StringRef domain = node.getDomain() == "ai.onnx" ? "" : node.getDomain();
    auto known = versions.find(domain);
    if (known != versions.end())
      return known->second;
    return versions[domain] = std::max<int64_t>(onnx::opsetOf(node, domain), 1);
  }

  LogicalResult lower(onnx::NodeOp node) {
    StringRef domain = node.getDomain() == "ai.onnx" ? "" : node.getDomain();
    const rt::KernelTable &table = rt::KernelTable::builtin();
    if (!table.find(domain.str(), node.getOpType().str())) {
      InFlightDiagnostic diag = node.emitError();
      diag << "node '" << node.nodeName() << "': ";
      describe(diag, node);
      return diag << " cannot be executed: the runtime has no kernel for operator "
                  << (domain.empty() ? node.getOpType()
                                     : StringRef((domain + "." + node.getOpType()).str()));
    }
    OpBuilder builder(node);
    auto call = rtir::CallOp::create(builder, node.getLoc(), node.getResultTypes(),
                                     builder.getStringAttr(domain), node.getOpTypeAttr(),
                                     builder.getI64IntegerAttr(version(node)), node.getInputs(),
                                     node.getNodeAttrs(), node.getSubgraphNamesAttr(),
                                     static_cast<unsigned>(node.getSubgraphs().size()));
    for (auto [from, to] : llvm::zip(node.getSubgraphs(), call.getSubprograms())) {
      to.takeBody(from);
      Operation *end = to.front().getTerminator();
      OpBuilder at(end);
      rtir::YieldOp::create(at, end->getLoc(), end->getOperands());
      end->erase();
    }
    node.replaceAllUsesWith(call.getResults());
    node.erase();
    return success();
  }

  llvm::StringMap<int64_t> versions;
};

} // namespace
