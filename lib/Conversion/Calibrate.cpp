#include "lib/Conversion/Calibrate.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Evaluation/Inputs.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Profile/Profile.h"
#include "lib/Report/Progress.h"
#include "passes/decompose/Decompose.h"

using namespace mlir;
using namespace uoe;

std::string uoe::inputProbe(const std::string &block) {
  return block + ":input";
}

std::string uoe::scoresProbe(const std::string &block) {
  return block + ":scores";
}

SampledModel::SampledModel(OwningOpRef<ModuleOp> module, const Samples &samples, int threads)
    : samples(samples) {
  std::string error;
  SessionOptions options;
  options.threads = threads;
  options.pipeline = "execute-raised";
  session = Session::create(std::move(module), options, error);
  rt::check(session != nullptr, error);
  samples.check(*session);
  if (int ids = inputOf(*session, Role::Ids); ids >= 0)
    vocabulary = vocabularyOf(session->program(), session->program().inputSlots[ids]);
}

std::vector<rt::Value> SampledModel::run(const Samples::Run &run) {
  InputOptions inputs;
  inputs.given = samples.given(*session, run);
  return session->run(bindInputs(*session, inputs).values);
}

LogicalResult uoe::calibrate(ModuleOp raised, const CalibrationOptions &options,
                             const std::string &path) {
  OwningOpRef<ModuleOp> probed = raised.clone();
  std::vector<std::pair<std::string, int64_t>> probes;
  auto floats = [](Value value) -> int64_t { // of a token; 0 if it cannot be probed
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && type.getRank() > 0 && !type.isDynamicDim(type.getRank() - 1) &&
                   type.getElementType().isF32()
               ? type.getShape().back()
               : 0;
  };
  auto probe = [&](Operation *at, const std::string &name, Value value) {
    if (llvm::any_of(probes, [&](const auto &probe) { return probe.first == name; }))
      return;
    OpBuilder builder(at);
    ProbeOp::create(builder, at->getLoc(), name, value);
    probes.emplace_back(name, floats(value));
  };
  auto mixture = [&](Operation *op, Value input, Value scores) {
    if (!input || !floats(input) || !floats(scores))
      return;
    std::string name = blockName(op, "moe");
    probe(op, inputProbe(name), input);
    probe(op, scoresProbe(name), scores);
  };
  probed->walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (auto ffn = dyn_cast<FfnOp>(op)) {
      if (floats(ffn.getInput()))
        probe(op, inputProbe(blockName(op, "ffn")), ffn.getInput());
    } else if (auto moe = dyn_cast<MoeOp>(op)) {
      mixture(op, moe.getInput(), moe.getScores());
    } else if (auto experts = dyn_cast<ExpertsOp>(op)) {
      auto select =
          experts.getRouting() ? experts.getRouting().getDefiningOp<SelectOp>() : SelectOp();
      if (select && experts.getShared().size() == 1 && op->hasAttr("uoe.mixture"))
        mixture(op, experts.getShared()[0], select.getScores());
    } else {
      return WalkResult::advance();
    }
    return WalkResult::skip(); // experts are no blocks of their own
  });
  if (probes.empty())
    return raised.emitError(
        "has no feed-forward block or mixture of experts of floats to calibrate");

  try {
    Samples samples(options.samples);
    std::vector<Samples::Run> runs = samples.runs(options.tokens, options.window, INT64_MAX);
    rt::check(!runs.empty(), "'", options.samples, "' has no tokens to calibrate with");

    SampledModel model(std::move(probed), samples, options.threads);
    std::string error;
    std::unique_ptr<ProfileWriter> writer =
        ProfileWriter::create(path, "", options.tokens, probes, error);
    rt::check(writer != nullptr, error);
    model.session->setProbe([&](const std::string &name, const rt::Tensor &value) {
      int64_t width = value.rank() ? value.dim(-1) : 1;
      writer->append(name, value.data<float>(), width ? value.size() / width : 0);
    });
    report::Progress progress("calibration run", static_cast<int64_t>(runs.size()));
    for (const Samples::Run &run : runs) {
      // How many rows a sample gives, and where, a run tells: images may be merged on the way.
      if (llvm::all_of(probes, [&](const auto &probe) {
            return writer->rowsOf(probe.first) == options.tokens;
          }))
        break;
      try {
        model.run(run);
      } catch (const rt::Error &problem) {
        // The likely cause where text is cut: more tokens than the model has positions.
        rt::check(run.index < 0, problem.what());
        rt::fail(problem.what(), " (in a run of ", run.window.size(),
                 " tokens; --calibration-window sets the length of windows)");
      }
      progress.step();
    }
    rt::check(writer->finish(error), error);
  } catch (const std::exception &problem) {
    return raised.emitError("calibration: ") << problem.what();
  }
  return success();
}
