#include "lib/Conversion/Convert.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Conversion/EvaluateWeights.h"
#include "lib/Conversion/Sensitivity.h"
#include "lib/Evaluation/Statistics.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "llvm/Support/FileSystem.h"
#include <chrono>

using namespace mlir;
using namespace uoe;

// A profile's path: the user's, or a temporary that is removed again.
namespace {
struct ProfileFile {
  std::string path;
  bool temporary = false;
  ~ProfileFile() {
    if (temporary)
      (void)llvm::sys::fs::remove(path);
  }
};
} // namespace

static LogicalResult obtainProfile(ModuleOp raised, const ConvertOptions &options,
                                   ProfileFile &file) {
  file.path = options.profile;
  if (!file.path.empty() && llvm::sys::fs::exists(file.path))
    return success();
  if (options.calibration.samples.empty())
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

LogicalResult uoe::convert(ModuleOp raised, const ConvertOptions &options,
                           ConversionEffort &effort) {
  ProfileFile profile;
  auto timed = [](double &seconds, auto &&work) -> LogicalResult {
    auto begin = std::chrono::steady_clock::now();
    LogicalResult result = work();
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
  };
  auto run = [&](double &seconds, std::unique_ptr<Pass> pass) {
    PassManager passes(raised.getContext());
    passes.addPass(std::move(pass));
    return timed(seconds, [&] { return passes.run(raised); });
  };
  bool routed = options.recipe == "experts" || options.recipe == "cascade";
  if (!routed && !options.recipe.empty())
    return raised.emitError("unknown recipe '")
           << options.recipe << "': expected experts or cascade";
  if (routed && !(options.budget > 0 && options.budget <= 1))
    return raised.emitError("the budget is a share above 0 and at most 1, found ")
           << options.budget;
  if (options.merge && !(*options.merge >= 0 && *options.merge <= 1))
    return raised.emitError("the tolerance of merging is a distance from 0 to 1, found ")
           << *options.merge;
  bool mixtures = options.mergeMoe > 0 || options.pruneMoe > 0;
  if (options.mergeMoe < 0 || options.pruneMoe < 0)
    return raised.emitError("the experts to keep are a number of 1 or more, found ")
           << std::min(options.mergeMoe, options.pruneMoe);
  if (routed && denseBlocks(raised).empty()) {
    int64_t moe = 0;
    raised.walk([&](MoeOp) { ++moe; });
    if (moe > 0)
      raised.emitWarning("has no dense feed-forward block to route: its ")
          << moe << " mixtures of experts stay as they are; --prune-moe and --merge-moe make those "
          << "smaller";
  }
  if (routed || mixtures || (options.merge && *options.merge > 0)) {
    if (failed(run(effort.calibrating, createWidenBlocksPass())) ||
        failed(timed(effort.calibrating, [&] { return obtainProfile(raised, options, profile); })))
      return failure();
  }
  // Merging keeps the scores as they are, so that the profile serves both.
  if (mixtures && failed(run(effort.merging, createMoeToExpertsPass())))
    return failure();
  if (options.mergeMoe > 0) {
    MergeExpertsPassOptions merge;
    merge.profile = profile.path;
    merge.experts = options.mergeMoe;
    if (failed(run(effort.merging, createMergeExpertsPass(merge))))
      return failure();
  }
  if (options.pruneMoe > 0) {
    PruneExpertsPassOptions prune;
    prune.profile = profile.path;
    prune.experts = options.pruneMoe;
    prune.criterion = options.criterion;
    if (failed(run(effort.merging, createPruneExpertsPass(prune))))
      return failure();
  }
  if (options.merge) {
    MergeNeuronsPassOptions merge;
    merge.profile = *options.merge > 0 ? profile.path : "";
    merge.tolerance = *options.merge;
    if (failed(run(effort.merging, createMergeNeuronsPass(merge))))
      return failure();
  }
  auto router = [&]() -> std::unique_ptr<Pass> {
    if (options.recipe == "cascade") {
      RouteCascadePassOptions route;
      route.profile = profile.path;
      route.budget = options.budget;
      return createRouteCascadePass(route);
    }
    RouteExpertsPassOptions route;
    route.profile = profile.path;
    route.budget = options.budget;
    route.expertSize = options.expertSize;
    route.distillSteps = options.distillSteps;
    return createRouteExpertsPass(route);
  };
  if (routed && options.planning == Planning::Loss && !options.calibration.samples.empty()) {
    SensitivityOptions sensitivity;
    sensitivity.calibration = options.calibration;
    if (failed(timed(effort.planning, [&] {
          return measureSensitivity(raised, sensitivity, options.budget, router);
        })))
      return failure();
  }
  if (routed && options.planning != Planning::Uniform) {
    PlanBudgetPassOptions plan;
    plan.profile = profile.path;
    plan.budget = options.budget;
    plan.recipe = options.recipe;
    plan.expertSize = options.expertSize;
    if (failed(run(effort.planning, createPlanBudgetPass(plan))))
      return failure();
  }
  std::unique_ptr<Pass> split;
  if (routed)
    split = router();
  else if (options.ffn)
    split = createDecomposeFfnPass(*options.ffn);
  if (split && failed(run(effort.routing, std::move(split))))
    return failure();
  if (options.attention &&
      failed(run(effort.routing, createDecomposeAttentionPass(*options.attention))))
    return failure();
  CheckCausalityPassOptions causality;
  causality.severity = options.allowLookAhead ? "warning" : "error";
  if (failed(run(effort.routing, createCheckCausalityPass(causality))))
    return failure();
  effort.peakBytes = memory().peak;
  return success();
}

LogicalResult uoe::toOnnx(ModuleOp module, const OnnxForm &form) {
  bool ours = false;
  module.walk([&](Operation *op) { ours |= isa<UoeDialect>(op->getDialect()); });
  if (!ours)
    return success();
  PassManager passes(module.getContext());
  if (form.experts == ExpertsForm::Moe) {
    LowerExpertsToMoePassOptions options;
    options.approximate = form.approximate;
    passes.addPass(createLowerExpertsToMoePass(options));
  } else if (form.experts == ExpertsForm::Gathered) {
    passes.addPass(createLowerExpertsToGatherPass());
  }
  passes.addPass(createLowerUoeToOnnxPass());
  if (failed(passes.run(module)))
    return failure();
  // What something else reads as it lies is transposed where it is used, not stored a second time:
  // an output matrix that is the embedding.
  llvm::StringMap<int64_t> readers;
  module.walk([&](onnx::WeightOp weight) {
    readers[weight.getName()] += llvm::range_size(weight->getUses());
  });
  auto wanted = [&](Value value) {
    auto node = value.getDefiningOp<onnx::NodeOp>();
    Value source = node && node.is("Transpose") ? node.input(0) : Value();
    auto weight = source ? source.getDefiningOp<onnx::WeightOp>() : onnx::WeightOp();
    return !weight || readers[weight.getName()] < 2;
  };
  WeightReader weights;
  return evaluateWeights(module, weights, WeightWriter::process(), wanted);
}
