// Conversion and report on uoe-opt's command line.
#include "lib/Conversion/Convert.h"
#include "Extension.h"
#include "Prove.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Conversion/Report.h"
#include "passes/Passes.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
using namespace uoe;

namespace cl = llvm::cl;

static cl::OptionCategory category("Conversion");
static cl::opt<std::string>
    recipe("recipe",
           cl::desc("Route the FFNs: 'experts' (core, experts, linear router) or 'cascade' (single "
                    "channels and neurons, exact thresholds)"),
           cl::value_desc("name"), cl::cat(category));
static cl::opt<double>
    budget("budget",
           cl::desc("Share of the FFNs' multiply-adds to execute, router counted (default 0.75)"),
           cl::init(0.75), cl::cat(category));
static cl::opt<int64_t> expertSize("expert-size",
                                   cl::desc("Neurons per routed expert (default 16)"), cl::init(16),
                                   cl::cat(category));
static cl::opt<std::string> samples(
    "calibrate",
    cl::desc("What to calibrate with: token ids, a stream or sentences padded with 0; floats "
             "for a model of images or sounds, samples along axis 0; or .npz, arrays by "
             "input name"),
    cl::value_desc("file.npy|npz"), cl::cat(category));
static cl::opt<int64_t> tokens("calibration-tokens",
                               cl::desc("Tokens (patches, frames) kept per layer (default 8192)"),
                               cl::init(8192), cl::cat(category));
static cl::opt<int64_t>
    window("calibration-window",
           cl::desc("Length of the windows cut out of a stream of token ids (default 512)"),
           cl::init(512), cl::cat(category));
static cl::opt<std::string>
    profile("profile",
            cl::desc("Profile of the calibration run: read if it exists, written otherwise"),
            cl::value_desc("file"), cl::cat(category));
static cl::opt<Planning> planning(
    "plan", cl::desc("How the budget is spread over the layers (default loss):"),
    cl::values(clEnumValN(Planning::Loss, "loss",
                          "by what a layer's error does to the model's output, measured on the "
                          "text of --calibrate"),
               clEnumValN(Planning::Error, "error", "by each layer's own error"),
               clEnumValN(Planning::Uniform, "uniform", "every layer the same")),
    cl::init(Planning::Loss), cl::cat(category));
static cl::opt<double>
    mergeTolerance("merge",
                   cl::desc("Merge neurons that duplicate each other: 0 exact duplicates, above 0 "
                            "those whose directions differ by at most this"),
                   cl::value_desc("tolerance"), cl::cat(category));
static cl::opt<int64_t> mergeMoe(
    "merge-moe",
    cl::desc("Merge the experts of native mixtures to this many a layer, by their outputs"),
    cl::value_desc("n"), cl::init(0), cl::cat(category));
static cl::opt<int64_t>
    pruneMoe("prune-moe",
             cl::desc("Drop all but this many experts of native mixtures, by --criterion"),
             cl::value_desc("n"), cl::init(0), cl::cat(category));
static cl::opt<std::string>
    criterion("criterion",
              cl::desc("Which experts matter: 'reap' (mean weight times output), 'seer' (how many "
                       "tokens chose them), 'seer-soft' (the weights they got); default reap"),
              cl::value_desc("name"), cl::init("reap"), cl::cat(category));
static cl::opt<int64_t> distill(
    "distill-router",
    cl::desc("Train the routers of --recipe experts for this many steps on their blocks' loss"),
    cl::value_desc("steps"), cl::init(0), cl::cat(category));
static cl::opt<bool> allowLookAhead(
    "allow-look-ahead",
    cl::desc("Warn of choices that depend on later tokens under causal attention, instead of "
             "refusing them"),
    cl::cat(category));
static cl::opt<std::string> report("report", cl::desc("Write the report as JSON to this file"),
                                   cl::value_desc("file.json"), cl::cat(category));
static cl::opt<ExpertsForm> exportForm(
    "export", cl::desc("How routed experts are written in an ONNX model (default masked):"),
    cl::values(
        clEnumValN(
            ExpertsForm::Masked, "masked",
            "standard operators, every expert computed: exact, runs anywhere, saves no time"),
        clEnumValN(
            ExpertsForm::Gathered, "gathered",
            "standard operators, each expert on its own tokens: for a moderate number of experts"),
        clEnumValN(ExpertsForm::Moe, "moe", "com.microsoft.MoE, for ONNX Runtime")),
    cl::init(ExpertsForm::Masked), cl::cat(category));
static cl::opt<bool>
    approximate("export-approximate",
                cl::desc("Let com.microsoft.MoE compute its tanh approximation of an exact GELU"),
                cl::cat(category));
static cl::opt<int> threads("num-threads",
                            cl::desc("Threads of calibration and proof (default: all cores)"),
                            cl::init(0), cl::cat(category));

static bool converts() {
  return !recipe.empty() || ffnPartition() || attentionPartition() ||
         mergeTolerance.getNumOccurrences() > 0 || mergeMoe.getNumOccurrences() > 0 ||
         pruneMoe.getNumOccurrences() > 0;
}

static LogicalResult addPasses(PassManager &passes, const Invocation &) {
  addProof(passes, samples, threads);
  if (!converts())
    return success();
  // Blocks that stay as they are get one line each, not their whole text.
  passes.getContext()->printOpOnDiagnostic(false);
  buildRaisePipeline(passes);
  return success();
}

static LogicalResult finish(ModuleOp module, const Invocation &run) {
  if (converts()) {
    if (tokens < 1 || window < 1)
      return module.emitError("--calibration-tokens and --calibration-window are 1 or more, found ")
             << std::min<int64_t>(tokens, window);
    ConvertOptions options;
    options.recipe = recipe;
    options.budget = budget;
    options.ffn = ffnPartition();
    options.attention = attentionPartition();
    options.expertSize = expertSize;
    options.profile = profile;
    options.planning = planning;
    options.mergeMoe = mergeMoe;
    options.pruneMoe = pruneMoe;
    options.criterion = criterion;
    options.distillSteps = distill;
    options.allowLookAhead = allowLookAhead;
    options.calibration.tokens = tokens;
    options.calibration.samples = samples;
    options.calibration.window = window;
    options.calibration.threads = threads;
    if (mergeTolerance.getNumOccurrences() > 0)
      options.merge = mergeTolerance;
    ConversionReport before = measureModel(module);
    ConversionEffort effort;
    if (failed(convert(module, options, effort)))
      return failure();
    ConversionReport after = measureModel(module);
    llvm::errs() << toText(before, after, effort);
    if (!report.empty() && failed(writeJson(before, after, effort, report, module)))
      return failure();
  }
  if (run.form != Invocation::Form::Onnx)
    return success();
  OnnxForm form;
  form.experts = exportForm;
  form.approximate = approximate;
  return toOnnx(module, form);
}

static RegisterExtension registration({addPasses, finish,
                                       R"(
  uoe-opt model.onnx --prove --experts 8 -o experts.onnx      decompose into 8 experts per FFN, and prove it equal
  uoe-opt model.onnx --recipe cascade --budget 0.75 --calibrate text.npy --report report.json -o routed.mlir
                                                              execute three quarters of the FFNs' multiply-adds
)"});
