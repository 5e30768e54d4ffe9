// Placements of experts on uoe-opt's command line.
#include "Extension.h"
#include "Step.h"
#include "lib/Conversion/ShardPlan.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
using namespace uoe;

namespace cl = llvm::cl;

static cl::OptionCategory category("Expert parallelism");
static cl::opt<std::string> shardPlanFile(
    "shard-plan",
    cl::desc("Write which rank each expert lives on (pass shard-experts) as JSON to this file"),
    cl::value_desc("file.json"), cl::cat(category));

// A pass after those of the command line: export in ONNX, which comes later, knows no placement.
static LogicalResult addPasses(PassManager &passes, const Invocation &) {
  if (!shardPlanFile.empty())
    passes.addPass(std::make_unique<StepPass>(
        "UoeShardPlan", [](ModuleOp module) { return writeShardPlan(module, shardPlanFile); }));
  return success();
}

static RegisterExtension registration({addPasses, {}, R"(
  uoe-opt routed.mlir --shard-experts="ranks=8 even" --shard-plan plan.json -o sharded.mlir
                                                              place the experts on 8 ranks, and say where
)"});
