#include "lib/Conversion/Sensitivity.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Report/Progress.h"
#include "mlir/Pass/PassManager.h"
#include "passes/decompose/Decompose.h"
#include <optional>

using namespace mlir;
using namespace uoe;

namespace {

/// The result by which models are compared: for each run [tokens, width] as float.
class Observer {
public:
  explicit Observer(const SensitivityOptions &options)
      : threads(options.calibration.threads), samples(options.calibration.samples),
        runs(samples.runs(options.tokens, std::min(options.window, options.calibration.window),
                          options.arrays)) {
    rt::check(!runs.empty(), "'", samples.path(), "' has no tokens to plan with");
  }

  size_t count() const { return runs.size(); }

  void open(OwningOpRef<ModuleOp> module) {
    model.reset(); // one model in memory at a time
    model.emplace(std::move(module), samples, threads);
    output = logitsOf(*model->session, model->vocabulary);
    distributes = output >= 0;
    if (!distributes)
      output = hiddenOf(*model->session);
    // A feature map of any rank tells as much.
    const auto &outputs = model->session->outputs();
    for (size_t i = 0; output < 0 && i < outputs.size(); ++i)
      if (isFloat(outputs[i].dtype))
        output = static_cast<int>(i);
    rt::check(output >= 0, "the model has no output of floating-point numbers");
  }

  std::vector<float> run(size_t index) {
    std::vector<rt::Value> results = model->run(runs[index]);
    const rt::Tensor &y = results[output].tensor;
    rt::check(isFloat(y.dtype()) && y.rank() > 0, "output '",
              model->session->outputs()[output].name, "' is no tensor of floating-point numbers");
    width = y.dim(-1);
    std::vector<float> rows(static_cast<size_t>(y.size()));
    readNumbers(y, 0, y.size(), rows.data());
    return rows;
  }

  /// Adds what sets `got` apart from `want`; `total` divides it.
  void compare(const std::vector<float> &want, const std::vector<float> &got, double &loss,
               double &total) const {
    rt::check(want.size() == got.size(), "routing changed the shape of the output");
    if (!distributes) {
      for (size_t i = 0; i < want.size(); ++i) {
        double difference = static_cast<double>(got[i]) - want[i];
        loss += difference * difference;
        total += static_cast<double>(want[i]) * want[i];
      }
      return;
    }
    for (size_t at = 0; at < want.size(); at += static_cast<size_t>(width)) {
      loss += divergence(want.data() + at, got.data() + at, width);
      total += 1;
    }
  }

private:
  int threads;
  Samples samples;
  std::vector<Samples::Run> runs;
  std::optional<SampledModel> model;
  int output = -1;
  bool distributes = false;
  int64_t width = 0;
};

} // namespace

static bool isRouted(ModuleOp module, const std::string &name) {
  bool routed = false;
  module.walk([&](Operation *op) {
    auto known = op->getAttrOfType<StringAttr>("name");
    routed |= known && known == name && op->hasAttr("uoe.recipe");
  });
  return routed;
}

LogicalResult uoe::measureSensitivity(ModuleOp raised, const SensitivityOptions &options,
                                      double budget, function_ref<std::unique_ptr<Pass>()> route) {
  SmallVector<FfnOp> blocks = denseBlocks(raised);
  if (blocks.size() < 2 || budget >= 1)
    return success(); // nothing to weigh
  Builder builder(raised.getContext());
  try {
    Observer observer(options);
    report::Progress progress("sensitivity of the model", static_cast<int64_t>(blocks.size()) + 1);
    observer.open(OwningOpRef<ModuleOp>(raised.clone()));
    std::vector<std::vector<float>> dense;
    for (size_t run = 0; run < observer.count(); ++run)
      dense.push_back(observer.run(run));
    progress.step();
    for (size_t index = 0; index < blocks.size(); ++index, progress.step()) {
      std::string name = blockName(blocks[index], "ffn");
      OwningOpRef<ModuleOp> copy = raised.clone();
      for (auto [i, ffn] : llvm::enumerate(denseBlocks(*copy)))
        ffn->setAttr("uoe.budget", builder.getF64FloatAttr(i == index ? budget : 1.0));
      {
        // Why a block stays dense is said when it is routed for good.
        ScopedDiagnosticHandler quiet(raised.getContext(), [](Diagnostic &diagnostic) {
          return success(diagnostic.getSeverity() == DiagnosticSeverity::Remark);
        });
        PassManager passes(raised.getContext());
        passes.addPass(route());
        if (failed(passes.run(*copy)))
          return failure();
      }
      if (!isRouted(*copy, name))
        continue;
      observer.open(std::move(copy));
      double loss = 0, total = 0;
      for (size_t run = 0; run < observer.count(); ++run)
        observer.compare(dense[run], observer.run(run), loss, total);
      if (total > 0 && std::isfinite(loss))
        blocks[index]->setAttr("uoe.sensitivity",
                               builder.getF64FloatAttr(std::max(0.0, loss / total)));
    }
  } catch (const std::exception &problem) {
    return raised.emitError("sensitivity: ") << problem.what();
  }
  return success();
}
