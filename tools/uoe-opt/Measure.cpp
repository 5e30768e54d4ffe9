// --cost on uoe-opt's command line.
#include "Extension.h"
#include "lib/Cost/Cost.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
using namespace uoe;

namespace cl = llvm::cl;

static cl::OptionCategory category("Cost");
static cl::opt<bool> cost(
    "cost",
    cl::desc("Print parameters, multiply-adds and memory of activations, from the graph alone"),
    cl::cat(category));
static cl::opt<std::string> costReport("cost-report", cl::desc("The same as JSON, to this file"),
                                       cl::value_desc("file.json"), cl::cat(category));
static cl::list<std::string>
    dimSizes("dim", cl::desc("Size of a symbolic dimension for --cost (default 1)"),
             cl::value_desc("name=size"), cl::CommaSeparated, cl::cat(category));

static LogicalResult measure(ModuleOp module) {
  std::map<std::string, int64_t> sizes;
  for (StringRef given : dimSizes) {
    auto [name, text] = given.split('=');
    int64_t size;
    if (name.empty() || text.getAsInteger(10, size) || size < 0)
      return module.emitError("--dim: expected NAME=SIZE, found '") << given << "'";
    sizes[name.str()] = size;
  }
  // Fused operators of exporters say what they multiply once they are raised.
  OwningOpRef<ModuleOp> raised = module.clone();
  PassManager passes(module.getContext());
  passes.enableVerifier(false);
  buildRaisePipeline(passes);
  if (failed(passes.run(*raised)))
    return failure();
  FailureOr<Cost> result = measureCost(*raised, sizes);
  if (failed(result))
    return failure();
  if (cost)
    llvm::errs() << toText(*result);
  return costReport.empty() ? success() : writeJson(*result, costReport, module);
}

static LogicalResult finish(ModuleOp module, const Invocation &) {
  if (cost || !costReport.empty())
    return measure(module);
  return dimSizes.empty() ? success() : module.emitError("--dim needs --cost or --cost-report");
}

static RegisterExtension registration({nullptr, finish,
                                       R"(
  uoe-opt model.onnx --cost --dim sequence=128 -o /dev/null
                                                       parameters, multiply-adds and memory of activations
)"});
