// inline-functions: calls of model-local functions become their bodies.
#include "dialects/onnx/Onnx.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_INLINEFUNCTIONSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

// Functions may call functions; a deeper nest is taken for a cycle.
static constexpr int kMostRounds = 64;

static std::string keyOf(StringRef domain, StringRef name, StringRef overload) {
  return (domain + Twine('\0') + name + Twine('\0') + overload).str();
}

static std::string text(DictionaryAttr dict, StringRef name) {
  auto value = dict ? dict.getAs<StringAttr>(name) : StringAttr();
  return value ? value.str() : std::string();
}

namespace {

struct InlineFunctionsPass : uoe::impl::InlineFunctionsPassBase<InlineFunctionsPass> {
  using InlineFunctionsPassBase::InlineFunctionsPassBase;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (auto about = function->getAttrOfType<DictionaryAttr>("onnx.function"))
        functions[keyOf(text(about, "domain"), text(about, "name"), text(about, "overload"))] =
            function;
    if (functions.empty())
      return;
    auto main = getOperation().lookupSymbol<func::FuncOp>(onnx::kMainGraph);
    if (!main)
      return;
    for (int round = 0;; ++round) {
      SmallVector<onnx::NodeOp> calls;
      main.walk([&](onnx::NodeOp node) {
        if (functions.count(
                keyOf(node.getDomain(), node.getOpType(), text(node.getFieldsAttr(), "overload"))))
          calls.push_back(node);
      });
      if (calls.empty())
        break;
      if (round == kMostRounds) {
        calls.front().emitError("node '")
            << calls.front().nodeName() << "': calls of function " << calls.front().getOpType()
            << " nest deeper than " << kMostRounds << ", or in a circle";
        return signalPassFailure();
      }
      for (onnx::NodeOp call : calls)
        if (failed(expand(call)))
          return signalPassFailure();
    }
    for (auto &entry : functions)
      entry.second.erase();
  }

  LogicalResult expand(onnx::NodeOp call) {
    func::FuncOp function = functions[keyOf(call.getDomain(), call.getOpType(),
                                            text(call.getFieldsAttr(), "overload"))];
    int64_t inside = onnx::opsetOf(function.getOperation()),
            outside = onnx::opsetOf(getOperation());
    if (inside && inside != outside)
      return call.emitError("node '")
             << call.nodeName() << "': function " << call.getOpType() << " is written for opset "
             << inside << ", expected the model's, " << outside;
    Block &body = function.getBody().front();
    if (call.getInputs().size() > body.getNumArguments() ||
        call.getNumResults() > body.getTerminator()->getNumOperands())
      return call.emitError("node '")
             << call.nodeName() << "': function " << call.getOpType() << " has "
             << body.getNumArguments() << " inputs and " << body.getTerminator()->getNumOperands()
             << " outputs, the call " << call.getInputs().size() << " and " << call.getNumResults();
    OpBuilder builder(call);
    IRMapping map;
    for (BlockArgument argument : body.getArguments()) {
      unsigned i = argument.getArgNumber();
      map.map(argument,
              i < call.getInputs().size()
                  ? Value(call.getInputs()[i])
                  : Value(onnx::NoneOp::create(builder, call.getLoc(), builder.getNoneType())));
    }
    for (Operation &op : body.without_terminator()) {
      Operation *clone = builder.clone(op, map);
      WalkResult walked = clone->walk([&](onnx::NodeOp node) {
        return failed(substitute(node, call, function)) ? WalkResult::interrupt()
                                                        : WalkResult::advance();
      });
      if (walked.wasInterrupted())
        return failure();
    }
    for (auto [result, value] : llvm::zip(call.getResults(), body.getTerminator()->getOperands())) {
      Value inner = map.lookup(value);
      // The caller's type and name are the better known ones.
      if (inner.getDefiningOp<onnx::NodeOp>() && isa<onnx::AnyType>(inner.getType()))
        inner.setType(result.getType());
      // What the graph calls the result stays its name.
      auto node = inner.getDefiningOp<onnx::NodeOp>();
      if (node && node.getNumResults() == 1 && node->getBlock() == call->getBlock()) {
        StringRef name = call.resultName(cast<OpResult>(result).getResultNumber());
        NamedAttrList fields(node.getFieldsAttr());
        if (!name.empty())
          fields.set("result_names", builder.getStrArrayAttr(name));
        if (!fields.empty())
          node.setFieldsAttr(fields.getDictionary(node.getContext()));
      }
      result.replaceAllUsesWith(inner);
    }
    ++inlined;
    call.erase();
    return success();
  }

  // References become the caller's attributes; an attribute that the caller does not give is
  // absent, unless the function has defaults.
  static LogicalResult substitute(onnx::NodeOp node, onnx::NodeOp call, func::FuncOp function) {
    auto about = function->getAttrOfType<DictionaryAttr>("onnx.function");
    SmallVector<NamedAttribute> attributes;
    for (NamedAttribute named : node.getNodeAttrs()) {
      Attribute value = named.getValue();
      if (auto ref = dyn_cast<onnx::RefAttr>(value)) {
        value = call.attribute(ref.getName());
        if (!value && about.contains("rest"))
          return call.emitError("node '") << call.nodeName() << "': function " << call.getOpType()
                                          << " may have a default for '" << ref.getName()
                                          << "', which is not read; expected the call to give it";
      }
      if (value)
        attributes.emplace_back(named.getName(), value);
    }
    node.setNodeAttrsAttr(DictionaryAttr::get(node.getContext(), attributes));
    // Names inside a function are its own: two calls would give them twice.
    if (auto fields = node.getFieldsAttr()) {
      NamedAttrList rest(fields);
      rest.erase("result_names");
      node.setFieldsAttr(rest.getDictionary(node.getContext()));
    }
    return success();
  }

  std::map<std::string, func::FuncOp> functions;
};

} // namespace
