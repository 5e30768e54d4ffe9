#include "Prove.h"
#include "Step.h"
#include "lib/Execution/Model.h"
#include "lib/Proof/Prove.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
using namespace uoe;

namespace cl = llvm::cl;

static cl::OptionCategory category("Decomposition");
static cl::opt<int64_t> experts(
    "experts",
    cl::desc("Decompose every FFN into this many experts, exactly, without routing (default "
             "with --prove: 8)"),
    cl::value_desc("n"), cl::init(0), cl::cat(category));
static cl::list<int64_t> expertSizes("expert-sizes",
                                     cl::desc("The same with these numbers of neurons, as in "
                                              "1000,400,136; they add up to those of an FFN"),
                                     cl::value_desc("list"), cl::CommaSeparated, cl::cat(category));
static cl::opt<std::string> permutation(
    "permutation",
    cl::desc("Order in which neurons go to experts: .npy, one for all FFNs or a row for "
             "each, or .npz with one by each block's name"),
    cl::value_desc("file"), cl::cat(category));
static cl::opt<int64_t> attentionGroups(
    "attention-groups",
    cl::desc("Decompose every attention block into this many experts by heads, exactly (default "
             "with --prove: 2)"),
    cl::value_desc("n"), cl::init(0), cl::cat(category));
static cl::list<int64_t>
    headSizes("head-sizes",
              cl::desc("The same with these numbers of key and value heads, as in 2,1"),
              cl::value_desc("list"), cl::CommaSeparated, cl::cat(category));
static cl::opt<std::string>
    headPermutation("head-permutation",
                    cl::desc("Order in which key and value heads go to experts, as --permutation"),
                    cl::value_desc("file"), cl::cat(category));
static cl::opt<bool> proveFlag(
    "prove",
    cl::desc("Prove that the decomposed form equals the dense one; exit status 1 if it does not"),
    cl::cat(category));
static cl::opt<std::string>
    against("prove-against",
            cl::desc("Prove that the input, which was decomposed before, equals this dense model"),
            cl::value_desc("model"), cl::cat(category));
static cl::opt<std::string> proofReport("proof-report",
                                        cl::desc("Write the proof as JSON to this file"),
                                        cl::value_desc("file.json"), cl::cat(category));

std::optional<DecomposeFfnPassOptions> uoe::ffnPartition() {
  if (experts.getNumOccurrences() == 0 && expertSizes.empty() && permutation.empty())
    return std::nullopt;
  DecomposeFfnPassOptions options;
  if (experts.getNumOccurrences() > 0)
    options.experts = experts;
  options.sizes.assign(expertSizes.begin(), expertSizes.end());
  options.permutation = permutation;
  return options;
}

std::optional<DecomposeAttentionPassOptions> uoe::attentionPartition() {
  if (attentionGroups.getNumOccurrences() == 0 && headSizes.empty() && headPermutation.empty())
    return std::nullopt;
  DecomposeAttentionPassOptions options;
  if (attentionGroups.getNumOccurrences() > 0)
    options.groups = attentionGroups;
  options.sizes.assign(headSizes.begin(), headSizes.end());
  options.permutation = headPermutation;
  return options;
}

static LogicalResult report(ModuleOp module, FailureOr<Proof> proof) {
  if (failed(proof))
    return failure();
  llvm::errs() << toText(*proof);
  if (!proofReport.empty() && failed(writeJson(*proof, proofReport, module)))
    return failure();
  if (proof->passed)
    return success();
  return module.emitError(
      proof->decomposed() == 0
          ? "has no block that could be decomposed, so there is nothing to prove"
          : "the decomposed form does not equal the dense model");
}

void uoe::addProof(PassManager &passes, const std::string &samples, int threads) {
  if (!proveFlag && against.empty())
    return;
  passes.getContext()->printOpOnDiagnostic(false);
  ProofOptions options;
  options.ffn = ffnPartition().value_or(DecomposeFfnPassOptions());
  options.attention = attentionPartition().value_or(DecomposeAttentionPassOptions());
  options.samples = samples;
  options.threads = threads;
  passes.addPass(std::make_unique<StepPass>("UoeProof", [options](ModuleOp module) {
    if (against.empty())
      return report(module, prove(module, options));
    OwningOpRef<ModuleOp> dense = readModel(against, *module.getContext());
    return dense ? report(module, proveAgainst(module, *dense, options)) : failure();
  }));
}
