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

std::vector<std::vector<int64_t>> uoe::tokenWindows(const TokenFile &file, int64_t samples,
                                                    int64_t window) {
  std::vector<std::vector<int64_t>> windows;
  if (file.stream) {
    const std::vector<int64_t> &ids = file.sentences.front();
    int64_t length = static_cast<int64_t>(ids.size());
    window = std::min(window, length);
    int64_t count =
        window > 0 ? std::min((samples + window - 1) / window, length / window) : int64_t{0};
    for (int64_t i = 0; i < count; ++i) {
      auto begin = ids.begin() + (count > 1 ? i * (length - window) / (count - 1) : 0);
      windows.emplace_back(begin, begin + window);
    }
    return windows;
  }
  int64_t total = 0, taken = 0;
  for (const auto &sentence : file.sentences)
    total += static_cast<int64_t>(sentence.size());
  // Slightly too dense, so that sentences of uneven length still give enough.
  double stride = std::max(1.0, 0.9 * static_cast<double>(total) /
                                    static_cast<double>(std::max<int64_t>(samples, 1)));
  for (double at = 0; at < static_cast<double>(file.sentences.size()) && taken < samples;
       at += stride) {
    const auto &sentence = file.sentences[static_cast<size_t>(at)];
    taken += static_cast<int64_t>(sentence.size());
    if (!sentence.empty())
      windows.push_back(sentence);
  }
  return windows;
}

TokenModel::TokenModel(OwningOpRef<ModuleOp> module, const CalibrationOptions &options,
                       const TokenFile &file) {
  std::string error;
  SessionOptions sessionOptions;
  sessionOptions.threads = options.threads;
  sessionOptions.pipeline = "execute-raised";
  session = Session::create(std::move(module), sessionOptions, error);
  rt::check(session != nullptr, error);
  ids = inputOf(*session, Role::Ids);
  rt::check(ids >= 0, "the model has no input of token ids");
  vocabulary = vocabularyOf(session->program(), session->program().inputSlots[ids]);
  checkTokens(file, options.tokens, vocabulary);
}

std::vector<rt::Value> TokenModel::run(const std::vector<int64_t> &window) {
  const PortInfo &port = session->inputs()[ids];
  InputOptions inputs;
  inputs.given[port.name] =
      integerTensor(port.dtype, {1, static_cast<int64_t>(window.size())}, window);
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
        "has no feed-forward block or mixture of experts of float32 to calibrate");

  try {
    TokenFile file = readTokens(options.tokens);
    std::vector<std::vector<int64_t>> windows = tokenWindows(file, options.samples, options.window);
    int64_t rows = 0;
    for (const auto &window : windows)
      rows += static_cast<int64_t>(window.size());
    rows = std::min(rows, options.samples);
    rt::check(rows > 0, "'", options.tokens, "' has no tokens to calibrate with");

    TokenModel model(std::move(probed), options, file);
    std::string error;
    std::unique_ptr<ProfileWriter> writer = ProfileWriter::create(path, "", rows, probes, error);
    rt::check(writer != nullptr, error);
    model.session->setProbe([&](const std::string &name, const rt::Tensor &value) {
      int64_t width = value.rank() ? value.dim(-1) : 1;
      writer->append(name, value.data<float>(), width ? value.size() / width : 0);
    });
    report::Progress progress("calibration run", static_cast<int64_t>(windows.size()));
    for (const auto &window : windows) {
      model.run(window);
      progress.step();
    }
    rt::check(writer->finish(error), error);
  } catch (const std::exception &problem) {
    return raised.emitError("calibration: ") << problem.what();
  }
  return success();
}
