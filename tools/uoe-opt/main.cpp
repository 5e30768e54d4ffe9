// uoe-opt: mlir-opt that also reads and writes ONNX.
#include "Build.h"
#include "Extension.h"
#include "Register.h"
#include "Step.h"
#include "lib/Execution/Model.h"
#include "lib/Files/AtomicFile.h"
#include "lib/Onnx/Model.h"
#include "lib/Weights/Weights.h"
#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"

using namespace mlir;
using namespace uoe;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
// The containers and allocators of LLVM's dylib are built without the sanitizer.
extern "C" const char *__asan_default_options() {
  return "detect_container_overflow=0:allow_user_poisoning=0:detect_leaks=0";
}
#endif
#endif

static llvm::cl::OptionCategory category("ONNX");
static llvm::cl::opt<bool> externalData(
    "external-data",
    llvm::cl::desc("Write tensors of more than 1 KiB to OUT.onnx.data (models of more than "
                   "1.8 GB do so by themselves)"),
    llvm::cl::cat(category));

static const char *const overview = R"(uoe-opt: reads, transforms and writes models

  uoe-opt [options] IN [-o OUT]

IN and OUT may each be .onnx, .mlir or .mlirbc (told by extension and content; OUT is MLIR text on standard output by
default). Passes run in the order in which they are named. Everything else is as in mlir-opt.

Examples:
  uoe-opt model.onnx                                   print a model; large weights stay in its file
  uoe-opt model.onnx -o copy.onnx                      read and write: nothing is lost
  uoe-opt model.onnx -o model.mlirbc                   bytecode
  uoe-opt model.onnx --canonicalize --cse -o out.onnx  any pass by name
  uoe-opt model.mlir -o out.onnx --external-data       weights beside the model, in out.onnx.data
)";

std::vector<Extension> &uoe::extensions() {
  static std::vector<Extension> list;
  return list;
}

namespace {

/// A raw_ostream over an AtomicFile: errors are kept for `finish`.
class AtomicStream final : public llvm::raw_ostream {
public:
  explicit AtomicStream(AtomicFile &file) : file(file) {}
  ~AtomicStream() override { flush(); }

private:
  void write_impl(const char *data, size_t size) override {
    if (file.error.empty())
      file.write({data, size});
    position += size;
  }
  uint64_t current_pos() const override { return position; }
  AtomicFile &file;
  uint64_t position = 0;
};

} // namespace

/// Prints a diagnostic of the importer: the file, and what is wrong. Locations in a binary file
/// have no lines.
static void printDiagnostic(Diagnostic &diagnostic) {
  StringRef file;
  diagnostic.getLocation()->walk([&](Location loc) {
    if (auto at = dyn_cast<FileLineColLoc>(loc))
      file = at.getFilename();
    return WalkResult::advance();
  });
  llvm::errs() << file << ": "
               << (diagnostic.getSeverity() == DiagnosticSeverity::Error     ? "error: "
                   : diagnostic.getSeverity() == DiagnosticSeverity::Warning ? "warning: "
                                                                             : "remark: ")
               << diagnostic << "\n";
}

/// A module as MLIR reads it.
static std::unique_ptr<llvm::MemoryBuffer> toBuffer(ModuleOp module, StringRef path) {
  llvm::SmallVector<char, 0> bytecode;
  llvm::raw_svector_ostream stream(bytecode);
  if (failed(writeBytecodeToFile(module, stream)))
    return nullptr;
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(bytecode), path);
}

/// The model of --build. Where nothing is written its weights are not needed.
static std::unique_ptr<llvm::MemoryBuffer> buildInput(const Invocation &run,
                                                      DialectRegistry &registry) {
  if (run.input != "-") {
    llvm::errs() << "error: --build makes a model; there is nothing to read from '" << run.input
                 << "'\n";
    return nullptr;
  }
  MLIRContext context(registry);
  bool writes = run.output != "-" && run.output != "/dev/null";
  OwningOpRef<ModuleOp> module = buildModel(&context, writes);
  return module ? toBuffer(*module, "<build>") : nullptr;
}

/// Input as MLIR understands it: an ONNX model becomes bytecode (`imported`), whose weights are
/// still in the model's file.
static std::unique_ptr<llvm::MemoryBuffer> readInput(StringRef path, DialectRegistry &registry,
                                                     bool &imported) {
  auto file =
      llvm::MemoryBuffer::getFileOrSTDIN(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (std::error_code code = file.getError()) {
    llvm::errs() << path << ": error: can't be read: " << code.message() << "\n";
    return nullptr;
  }
  StringRef bytes = (*file)->getBuffer();
  imported = isOnnxModel(path, bytes);
  if (!imported) {
    // The parser wants a final zero.
    return llvm::MemoryBuffer::getMemBufferCopy(bytes, path);
  }
  MLIRContext context(registry);
  ScopedDiagnosticHandler handler(&context, printDiagnostic);
  OwningOpRef<ModuleOp> module =
      path == "-" ? readOnnxBuffer(bytes, "<stdin>", &context) : readOnnx(path, &context);
  return module ? toBuffer(*module, path) : nullptr;
}

/// The last steps: what extensions check, then the weights that passes have made and, for ONNX, the
/// model.
static LogicalResult finish(ModuleOp module, const Invocation &run) {
  for (Extension &extension : extensions())
    if (extension.finish && failed(extension.finish(module, run)))
      return failure();
  if (run.form == Invocation::Form::Onnx) {
    WriteOnnxOptions options;
    options.externalData = externalData;
    return writeOnnx(module, run.output, options);
  }
  bool made = !WeightWriter::process().empty();
  if (run.output == "-") {
    if (made)
      emitWarning(module.getLoc())
          << "weights that passes have made are in a temporary file: name an "
             "output file to keep them";
    return success();
  }
  if (made)
    if (llvm::Error error = WeightWriter::process().moveTo(module, run.output + ".data"))
      return module.emitError() << llvm::toString(std::move(error));
  relatePaths(module, llvm::sys::path::parent_path(run.output));
  return success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  DialectRegistry registry;
  registerEverything(registry);
  std::string header = overview;
  for (Extension &extension : extensions())
    header += extension.examples;
  header += "\n" + registerCLIOptions("", registry);
  Invocation run;
  std::tie(run.input, run.output) = parseCLIOptions(argc, argv, header);
  MlirOptMainConfig config = MlirOptMainConfig::createFromCLOptions();
  if (config.shouldShowDialects() || config.shouldListPasses())
    return asMainReturnCode(MlirOptMain(argc, argv, run.input, run.output, registry));

  if (listsPresets()) {
    printPresets();
    return 0;
  }

  StringRef output = run.output;
  if (output.ends_with(".onnx"))
    run.form = Invocation::Form::Onnx;
  else if (output.ends_with(".mlirbc") || config.shouldEmitBytecode())
    run.form = Invocation::Form::Bytecode;
  config.emitBytecode(run.form == Invocation::Form::Bytecode);
  bool steps = true;
  if (config.shouldVerifyDiagnostics() || !config.inputSplitMarker().empty()) {
    // Each part is a module of its own, and some are meant to fail.
    steps = false;
    if (run.form == Invocation::Form::Onnx) {
      llvm::errs() << "error: --split-input-file and --verify-diagnostics give no ONNX model\n";
      return 1;
    }
  }

  bool imported = false;
  std::unique_ptr<llvm::MemoryBuffer> input =
      builds() ? buildInput(run, registry) : readInput(run.input, registry, imported);
  if (!input)
    return 1;

  MlirOptMainConfig named = config;
  StringRef folder = llvm::sys::path::parent_path(run.input);
  config.setPassPipelineSetupFn([&, named](PassManager &pm) -> LogicalResult {
    if (steps && !imported && !folder.empty())
      pm.addPass(std::make_unique<StepPass>("UoeResolvePaths", [=](ModuleOp module) {
        resolvePaths(module, folder);
        return success();
      }));
    if (failed(named.setupPassPipeline(pm)))
      return failure();
    if (!steps)
      return success();
    for (Extension &extension : extensions())
      if (extension.addPasses && failed(extension.addPasses(pm, run)))
        return failure();
    pm.addPass(std::make_unique<StepPass>("UoeFinish",
                                          [&](ModuleOp module) { return finish(module, run); }));
    return success();
  });

  if (run.form == Invocation::Form::Onnx)
    return asMainReturnCode(MlirOptMain(llvm::nulls(), std::move(input), registry, config));
  if (output == "-")
    return asMainReturnCode(MlirOptMain(llvm::outs(), std::move(input), registry, config));
  AtomicFile file(output);
  bool good = file.open();
  if (good) {
    {
      AtomicStream stream(file);
      if (failed(MlirOptMain(stream, std::move(input), registry, config)))
        return 1;
    }
    good = file.error.empty() && file.finish();
  }
  if (!good)
    llvm::errs() << "error: " << file.error << "\n";
  return good ? 0 : 1;
}
