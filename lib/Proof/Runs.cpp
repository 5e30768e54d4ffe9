#include "lib/Proof/Runs.h"
#include "lib/Evaluation/Inputs.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Evaluation/Samples.h"

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
  if (options.samples.empty())
    return runs;
  Samples samples(options.samples);
  samples.check(session);
  std::vector<Samples::Run> found =
      samples.runs(options.windows * options.windowLength, options.windowLength, options.windows);
  // Of short sentences as many as of windows.
  size_t count = std::min(found.size(), static_cast<size_t>(options.windows));
  for (size_t i = 0; i < count; ++i) {
    InputOptions inputs;
    inputs.given = samples.given(session, found[i * found.size() / count]);
    runs.push_back(bindInputs(session, inputs).values);
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
