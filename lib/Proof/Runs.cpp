#include "lib/Proof/Runs.h"
#include "lib/Evaluation/Inputs.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Evaluation/Tokens.h"

using namespace mlir;
using namespace uoe;

std::unique_ptr<Session> uoe::sessionOf(ModuleOp module, const std::string &pipeline, int threads) {
  SessionOptions options;
  options.threads = threads;
  options.pipeline = pipeline;
  std::string error;
  auto session = Session::create(OwningOpRef<ModuleOp>(module.clone()), options, error);
  rt::check(session != nullptr, error);
  return session;
}

std::vector<std::vector<rt::Value>> uoe::proofInputs(const Session &session,
                                                     const ProofOptions &options) {
  std::vector<std::vector<rt::Value>> runs;
  auto random = [&](uint64_t seed, int64_t batch, int64_t past) {
    InputOptions inputs;
    inputs.seed = seed;
    inputs.batch = batch;
    inputs.sequence = options.length;
    inputs.past = past;
    runs.push_back(bindInputs(session, inputs).values);
  };
  random(1, 1, 0);
  random(2, 2, 0);
  if (inputOf(session, Role::Past) >= 0)
    random(3, 2, 5);
  if (options.tokens.empty())
    return runs;
  int ids = inputOf(session, Role::Ids);
  rt::check(ids >= 0, "the model has no input of token ids for '", options.tokens, "'");
  const PortInfo &port = session.inputs()[ids];
  TokenFile file = readTokens(options.tokens);
  for (int64_t i = 0; i < options.windows; ++i) {
    std::vector<int64_t> window;
    if (file.stream) {
      const auto &all = file.sentences.front();
      int64_t length = std::min<int64_t>(options.windowLength, static_cast<int64_t>(all.size()));
      int64_t begin = (static_cast<int64_t>(all.size()) - length) / options.windows * i;
      window.assign(all.begin() + begin, all.begin() + begin + length);
    } else if (!file.sentences.empty()) {
      window = file.sentences[file.sentences.size() * static_cast<size_t>(i) /
                              static_cast<size_t>(options.windows)];
    }
    if (window.empty())
      continue;
    InputOptions text;
    text.given[port.name] =
        integerTensor(port.dtype, {1, static_cast<int64_t>(window.size())}, window);
    runs.push_back(bindInputs(session, text).values);
  }
  return runs;
}

void uoe::compare(const rt::Tensor &a, const rt::Tensor &b, Deviation &deviation) {
  Difference d = difference(a, b);
  if (!d.mismatch.empty())
    rt::fail("dense and decomposed form differ in kind: ", d.mismatch);
  deviation.type = a.dtype();
  deviation.maxAbs = std::max(deviation.maxAbs, d.maxAbs);
  deviation.magnitude = std::max(deviation.magnitude, d.magnitude);
}
