#include "lib/Conversion/Convert.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Conversion/EvaluateWeights.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace uoe;

// A profile's path: the user's, or a temporary that is removed again.
namespace {
struct ProfileFile {
  std::string path;
  bool temporary = false;
  ~ProfileFile() {
    if (temporary)
      llvm::sys::fs::remove(path);
  }
};
} // namespace

static LogicalResult obtainProfile(ModuleOp raised, const ConvertOptions &options,
                                   ProfileFile &file) {
  file.path = options.profile;
  if (!file.path.empty() && llvm::sys::fs::exists(file.path))
    return success();
  if (options.calibration.tokens.empty())
    return raised.emitError(
        "routing needs a profile: give --calibrate FILE.npy, or --profile with a file that exists");
  if (file.path.empty()) {
    llvm::SmallString<128> path;
    if (std::error_code code = llvm::sys::fs::createTemporaryFile("uoe", "profile", path))
      return raised.emitError("cannot create a temporary profile: ") << code.message();
    file.path = path.str().str();
    file.temporary = true;
  }
  return calibrate(raised, options.calibration, file.path);
}

LogicalResult uoe::convert(ModuleOp raised, const ConvertOptions &options) {
  PassManager passes(raised.getContext());
  ProfileFile profile;
  if (options.recipe == "experts" || options.recipe == "cascade") {
    if (!(options.budget > 0 && options.budget <= 1))
      return raised.emitError("the budget is a share above 0 and at most 1, found ")
             << options.budget;
    if (failed(obtainProfile(raised, options, profile)))
      return failure();
    if (options.planned) {
      PlanBudgetPassOptions plan;
      plan.profile = profile.path;
      plan.budget = options.budget;
      plan.recipe = options.recipe;
      plan.expertSize = options.expertSize;
      passes.addPass(createPlanBudgetPass(plan));
    }
    if (options.recipe == "experts") {
      RouteExpertsPassOptions route;
      route.profile = profile.path;
      route.budget = options.budget;
      route.expertSize = options.expertSize;
      passes.addPass(createRouteExpertsPass(route));
    } else {
      RouteCascadePassOptions route;
      route.profile = profile.path;
      route.budget = options.budget;
      passes.addPass(createRouteCascadePass(route));
    }
  } else if (!options.recipe.empty()) {
    return raised.emitError("unknown recipe '")
           << options.recipe << "': expected experts or cascade";
  } else if (options.experts > 0) {
    DecomposeFfnPassOptions decompose;
    decompose.experts = options.experts;
    passes.addPass(createDecomposeFfnPass(decompose));
  }
  if (options.attentionGroups > 0) {
    DecomposeAttentionPassOptions decompose;
    decompose.groups = options.attentionGroups;
    passes.addPass(createDecomposeAttentionPass(decompose));
  }
  return passes.run(raised);
}

LogicalResult uoe::toOnnx(ModuleOp module) {
  bool ours = false;
  module.walk([&](Operation *op) { ours |= isa<UoeDialect>(op->getDialect()); });
  if (!ours)
    return success();
  PassManager passes(module.getContext());
  passes.addPass(createLowerUoeToOnnxPass());
  if (failed(passes.run(module)))
    return failure();
  WeightReader weights;
  return evaluateWeights(module, weights, WeightWriter::process());
}
