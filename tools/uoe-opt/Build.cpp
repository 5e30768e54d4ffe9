// --build on uoe-opt's command line.
#include "Build.h"
#include "Extension.h"
#include "lib/Presets/Presets.h"
#include "lib/Report/Number.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
using namespace uoe;

namespace cl = llvm::cl;

static cl::OptionCategory category("Presets");
static cl::opt<std::string> preset(
    "build",
    cl::desc("Build a model of the literature instead of reading one; 'list' names them all"),
    cl::value_desc("name"), cl::cat(category));
static cl::list<std::string> dims("dims", cl::desc("Sizes other than the preset's own"),
                                  cl::value_desc("key=value,..."), cl::CommaSeparated,
                                  cl::cat(category));
static cl::opt<uint64_t> seed("seed", cl::desc("Of the weights that --build makes (default 0)"),
                              cl::init(0), cl::cat(category));

static LogicalResult check(PassManager &, const Invocation &) {
  if (builds() || (dims.empty() && seed.getNumOccurrences() == 0))
    return success();
  llvm::errs() << "error: --dims and --seed need --build\n";
  return failure();
}

bool uoe::builds() {
  return preset.getNumOccurrences() > 0;
}
bool uoe::listsPresets() {
  return preset == "list";
}

void uoe::printPresets() {
  for (const presets::Summary &summary : presets::list()) {
    llvm::outs() << summary.name << "\n    " << summary.text << "\n    " << summary.source
                 << "\n    ";
    llvm::interleave(
        summary.dims, llvm::outs(),
        [](const presets::Dim &dim) {
          llvm::outs() << dim.name << '=' << report::number(dim.value, 12);
        },
        ",");
    llvm::outs() << "\n";
  }
}

OwningOpRef<ModuleOp> uoe::buildModel(MLIRContext *context, bool weights) {
  presets::Options options;
  options.dims.assign(dims.begin(), dims.end());
  options.seed = seed;
  options.weights = weights;
  return presets::build(preset, options, context);
}

static RegisterExtension registration({check, nullptr,
                                       R"(
  uoe-opt --build list                                 models of the literature, with their sizes
  uoe-opt --build moeut-44m --dims vocab=32000 -o moeut.mlir
                                                       one of them, with weights made from --seed
)"});
