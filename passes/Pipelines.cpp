// The named pipelines, and the registration of all passes.
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "passes/Passes.h"

namespace {
/// Options of the pipelines that end in calls of the runtime.
struct ExecuteOptions : mlir::PassPipelineOptions<ExecuteOptions> {
  Option<bool> generate{*this, "generate",
                        llvm::cl::desc("make loops of elementwise chains, for generated kernels"),
                        llvm::cl::init(true)};
  Option<int64_t> ranks{*this, "ranks",
                        llvm::cl::desc("ranks that share experts which have a placement; 0: all "
                                       "experts are computed as if they had none"),
                        llvm::cl::init(0)};
  Option<int64_t> rank{*this, "rank", llvm::cl::desc("the rank whose part is made"),
                       llvm::cl::init(0)};
};
} // namespace

namespace uoe {
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;

// One spelling of functions and opsets, and all types: what every other pass stands on.
static void normalize(OpPassManager &passes) {
  passes.addPass(uoe::createInlineFunctionsPass());
  passes.addPass(uoe::createNormalizeOpsetPass());
  passes.addPass(uoe::createInferShapesPass());
}

static void canonicalize(OpPassManager &passes) {
  // What was folded may let further rules apply.
  for (int round = 0; round < 2; ++round) {
    passes.addPass(uoe::createFoldConstantsPass());
    passes.addPass(uoe::createCanonicalizeOnnxPass());
  }
  passes.addPass(uoe::createFoldConstantsPass());
  passes.addPass(uoe::createInferShapesPass());
}

static void raise(OpPassManager &passes) {
  passes.addPass(uoe::createRaiseAttentionPass());
  passes.addPass(uoe::createRaiseMoePass());
  passes.addPass(uoe::createRaiseFfnPass());
}

void uoe::buildCanonicalPipeline(OpPassManager &passes) {
  normalize(passes);
  canonicalize(passes);
}

void uoe::buildRaisePipeline(OpPassManager &passes) {
  buildCanonicalPipeline(passes);
  raise(passes);
}

// From a raised module (or one that was never raised) to calls of the runtime, with fused entries.
static void executeRaised(OpPassManager &passes, const ExecuteOptions &options) {
  passes.addPass(uoe::createGatherInPlacePass());
  passes.addPass(uoe::createLowerUoeToRtPass());
  // Scores, experts without a fused entry and loops are spelled out; the blocks in them are fused.
  uoe::LowerUoeToOnnxPassOptions spellRouting;
  spellRouting.keepBlocks = true;
  passes.addPass(uoe::createLowerUoeToOnnxPass(spellRouting));
  passes.addPass(uoe::createLowerUoeToRtPass());
  if (options.ranks > 0) {
    uoe::DistributeExpertsPassOptions part;
    part.rank = options.rank;
    part.ranks = options.ranks;
    passes.addPass(uoe::createDistributeExpertsPass(part));
  }
  passes.addPass(uoe::createLowerUoeToOnnxPass());
  if (options.generate)
    passes.addPass(uoe::createOutlineElementwisePass());
  passes.addPass(uoe::createLowerToRtPass());
}

// The plain meaning, node by node: what fused execution is compared with.
static void executeReference(OpPassManager &passes) {
  passes.addPass(uoe::createInlineFunctionsPass());
  passes.addPass(uoe::createLowerUoeToOnnxPass());
  passes.addPass(uoe::createLowerToRtPass());
}

static void execute(OpPassManager &passes, const ExecuteOptions &options) {
  normalize(passes);
  passes.addPass(uoe::createPromoteHalfPass());
  canonicalize(passes);
  raise(passes);
  executeRaised(passes, options);
}

void uoe::registerAllPasses() {
  registerUoePasses();
  PassPipelineRegistration<>(
      "canonical",
      "one spelling per function: normalize-opset, infer-shapes, fold-constants, canonicalize-onnx",
      buildCanonicalPipeline);
  PassPipelineRegistration<>("raise",
                             "canonical forms, then feed-forward, mixture and attention blocks",
                             buildRaisePipeline);
  PassPipelineRegistration<ExecuteOptions>(
      "execute", "an ONNX model to calls of the runtime, blocks raised and fused", execute);
  PassPipelineRegistration<ExecuteOptions>(
      "execute-raised", "a raised model to calls of the runtime, blocks fused", executeRaised);
  PassPipelineRegistration<>("execute-reference", "a model to calls of the runtime, node by node",
                             executeReference);
}
