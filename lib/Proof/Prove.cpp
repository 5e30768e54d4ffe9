#include "lib/Proof/Prove.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Proof/Runs.h"
#include "lib/Proof/Structure.h"
#include "mlir/Pass/PassManager.h"
#include "passes/decompose/Decompose.h"

using namespace mlir;
using namespace uoe;

//===----------------------------------------------------------------------===//
// What types of arithmetic allow
//===----------------------------------------------------------------------===//

// The distance of 1 from the next larger number.
static double epsilon(rt::DType type) {
  switch (type) {
  case rt::DType::F64:
    return 0x1p-52;
  case rt::DType::F16:
    return 0x1p-10;
  case rt::DType::BF16:
    return 0x1p-7;
  default:
    return 0x1p-23;
  }
}

double Deviation::ulps(rt::DType of) const {
  if (magnitude <= 0)
    return maxAbs > 0 ? std::numeric_limits<double>::infinity() : 0;
  int exponent;
  std::frexp(magnitude, &exponent); // magnitude is in [2^(exponent-1), 2^exponent)
  return maxAbs / std::ldexp(epsilon(of), exponent - 1);
}

// Of a block: some 80 units in the last place of its largest output; sums of thousands of products
// in another order differ by less.
// A model of a narrower type has constants (1/sqrt(2) in a GELU) that are exact only in that.
static double blockTolerance(rt::DType arithmetic, rt::DType model) {
  double exact = arithmetic == rt::DType::F32 ? 1e-5 : 80 * epsilon(arithmetic);
  return model == arithmetic ? exact : std::max(exact, epsilon(model) / 8);
}

// Of a whole model: ten times as much, and one rounding of its output type.
static double modelTolerance(double block, rt::DType arithmetic, rt::DType output) {
  return std::max(10 * block, output == arithmetic ? 0 : 2 * epsilon(output));
}

int64_t Proof::decomposed() const {
  return llvm::count_if(blocks, [](const BlockProof &block) { return block.kept.empty(); });
}

//===----------------------------------------------------------------------===//
// The forms that are compared
//===----------------------------------------------------------------------===//

namespace {

constexpr const char *kNodeByNode = "lower-uoe-to-onnx{unroll=true},lower-to-rt";

struct Kinds {
  bool half = false, brain = false, wide = false; // float16, bfloat16, float64
  bool mayRound = false, quantises = false;       // products in 8 bits, if permitted and for sure
};

Kinds kindsOf(ModuleOp module) {
  Kinds kinds;
  module.walk([&](onnx::NodeOp node) {
    StringRef op = node.getOpType();
    kinds.mayRound |= node.isContrib("MatMulNBits") && node.integer("accuracy_level", 0) == 4;
    kinds.quantises |= op == "QuantizeLinear" || op == "DynamicQuantizeLinear";
    for (Type type : node.getResultTypes())
      if (auto tensor = dyn_cast<TensorType>(type); tensor && op.contains("MatMul")) {
        kinds.half |= tensor.getElementType().isF16();
        kinds.brain |= tensor.getElementType().isBF16();
        kinds.wide |= tensor.getElementType().isF64();
      }
  });
  return kinds;
}

LogicalResult runPasses(ModuleOp module, llvm::function_ref<void(PassManager &)> add) {
  PassManager passes(module.getContext());
  add(passes);
  return passes.run(module);
}

// Both branches of an If may hold a layer 0: names get those of the subgraphs around them.
void qualifyNames(ModuleOp module) {
  module.walk([](Operation *op) {
    auto name = op->getAttrOfType<StringAttr>("name");
    if (!name || !isa<FfnOp, AttentionOp, MoeOp, ExpertsOp>(op))
      return;
    std::string qualified = name.str();
    for (Region *region = op->getParentRegion(); region; region = region->getParentRegion())
      if (auto node = dyn_cast<onnx::NodeOp>(region->getParentOp());
          node && node.getSubgraphNames())
        qualified.insert(
            0, cast<StringAttr>((*node.getSubgraphNames())[region->getRegionNumber()]).str() + ".");
    op->setAttr("name", StringAttr::get(op->getContext(), qualified));
  });
}

/// The dense model in the arithmetic of the proof, its raised and its decomposed form.
struct Forms {
  OwningOpRef<ModuleOp> dense, raised;
  Kinds kinds; // of the model as imported
};

// Products of half-precision numbers are computed in float32, and products that may round their
// inputs don't: both forms then differ by the order of summation alone.
FailureOr<Forms> formsOf(ModuleOp model) {
  Forms forms;
  forms.dense = model.clone();
  if (failed(runPasses(*forms.dense, [](PassManager &passes) {
        passes.addPass(createInlineSpellingPass()); // where it was raised before
        passes.addPass(createInlineFunctionsPass());
        passes.addPass(createNormalizeOpsetPass());
        passes.addPass(createInferShapesPass());
      })))
    return failure();
  forms.kinds = kindsOf(*forms.dense);
  if (failed(runPasses(*forms.dense, [](PassManager &passes) {
        passes.addPass(createPromoteHalfPass());
        passes.addPass(createExactProductsPass());
      })))
    return failure();
  forms.raised = forms.dense->clone();
  if (failed(runPasses(*forms.raised, buildRaisePipeline)))
    return failure();
  qualifyNames(*forms.raised);
  return forms;
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

std::string kindOf(Operation *op) {
  if (isa<MoeOp>(op))
    return "moe";
  return isa<FfnOp>(op) ? "ffn" : "attention";
}

// Raised blocks in the order of the model.
SmallVector<Operation *> blocksOf(ModuleOp module) {
  SmallVector<Operation *> blocks;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (!isa<FfnOp, AttentionOp, MoeOp, ExpertsOp>(op))
      return WalkResult::advance();
    if (!isa<ExpertsOp>(op))
      blocks.push_back(op);
    return WalkResult::skip();
  });
  return blocks;
}

std::string keptReason(Operation *block) {
  if (auto moe = dyn_cast<MoeOp>(block)) {
    std::string experts = "a mixture";
    if (Value up = moe.getUp())
      if (auto type = dyn_cast<RankedTensorType>(up.getType()); type && !type.isDynamicDim(0))
        experts += " of " + std::to_string(type.getDimSize(0)) + " experts";
    return "it is " + experts + " of the model's own, " + std::to_string(moe.getK()) +
           " for each token: left as it is";
  }
  return "";
}

// One entry for each block of the raised model, with what its experts in `decomposed` are.
std::vector<BlockProof> checkBlocks(ModuleOp raised, ModuleOp decomposed) {
  std::map<std::string, SmallVector<ExpertsOp>> parts;
  decomposed.walk([&](ExpertsOp experts) {
    if (auto name = experts->getAttrOfType<StringAttr>("name"))
      parts[name.str()].push_back(experts);
    else
      parts[blockName(experts, "ffn")].push_back(experts);
  });
  std::map<std::string, std::string> reasons;
  for (Operation *block : blocksOf(decomposed))
    if (auto reason = block->getAttrOfType<StringAttr>(kLeftDense))
      reasons[blockName(block, kindOf(block))] = reason.str();

  std::vector<BlockProof> result;
  for (Operation *block : blocksOf(raised)) {
    BlockProof proof;
    proof.kind = kindOf(block);
    proof.name = blockName(block, proof.kind);
    proof.kept = keptReason(block);
    auto found = parts.find(proof.name);
    if (found == parts.end() && proof.kept.empty()) {
      auto reason = reasons.find(proof.name);
      proof.kept = reason == reasons.end() ? "it is not decomposed" : reason->second;
    } else if (found != parts.end()) {
      proof.kept.clear();
      proof.parts = static_cast<int64_t>(found->second.size());
      auto sizes = found->second.back().getSizes();
      proof.sizes.assign(sizes.begin(), sizes.end());
      // Numbers of one block's weights at a time.
      Provenance provenance;
      Structure structure = checkStructure(block, found->second, provenance);
      proof.structure = structure.problem;
      proof.weights = structure.weights;
    }
    result.push_back(std::move(proof));
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

void compareOutputs(const Session &session, const std::vector<rt::Value> &want,
                    const std::vector<rt::Value> &got,
                    std::vector<std::pair<std::string, Deviation>> &outputs) {
  outputs.resize(want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    outputs[i].first = session.outputs()[i].name;
    if (want[i].kind == rt::Value::Kind::Tensor && isFloat(want[i].tensor.dtype()))
      compare(want[i].tensor, got[i].tensor, outputs[i].second);
  }
}

/// Compares both results of each block as a run of the decomposed model shows them.
class BlockProbes {
public:
  explicit BlockProbes(std::vector<BlockProof> &blocks) {
    for (BlockProof &block : blocks)
      byName[block.name] = &block;
  }

  void see(const std::string &probe, const rt::Tensor &value) {
    size_t colon = probe.rfind(':');
    std::string name = probe.substr(0, colon);
    auto [it, fresh] = pending.try_emplace(name, value);
    if (fresh)
      return;
    bool denseFirst = probe.substr(colon + 1) == "experts";
    if (auto block = byName.find(name); block != byName.end()) {
      compare(denseFirst ? it->second : value, denseFirst ? value : it->second,
              block->second->deviation);
      block->second->measured = true;
    }
    pending.erase(it);
  }

private:
  std::map<std::string, BlockProof *> byName;
  std::map<std::string, rt::Tensor> pending;
};

void judge(Proof &proof, const ProofOptions &options, bool measured) {
  // Half precision is computed in float32 where its types are all known.
  rt::DType arithmetic = proof.modelType;
  for (const BlockProof &block : proof.blocks)
    if (block.measured && isFloat(block.deviation.type))
      arithmetic = block.deviation.type;
  proof.blockTolerance =
      options.blockTolerance.value_or(blockTolerance(arithmetic, proof.modelType));
  proof.passed = proof.decomposed() > 0;
  for (BlockProof &block : proof.blocks) {
    if (!block.kept.empty())
      continue;
    block.passed =
        block.structure.empty() &&
        (!measured || (block.measured && block.deviation.relative() <= proof.blockTolerance));
    proof.passed &= block.passed;
  }
  for (auto &[name, deviation] : proof.outputs) {
    double tolerance = modelTolerance(proof.blockTolerance, arithmetic, deviation.type);
    proof.modelTolerance =
        options.modelTolerance.value_or(std::max(tolerance, proof.modelTolerance));
  }
  for (auto &[name, deviation] : proof.outputs)
    proof.passed &= deviation.relative() <= proof.modelTolerance;
}

Proof describe(const Forms &forms) {
  Proof proof;
  proof.modelType = forms.kinds.half    ? rt::DType::F16
                    : forms.kinds.brain ? rt::DType::BF16
                    : forms.kinds.wide  ? rt::DType::F64
                                        : rt::DType::F32;
  if (forms.kinds.half)
    proof.arithmetic = "float16 weights, float32 arithmetic";
  if (forms.kinds.mayRound)
    proof.arithmetic += std::string(proof.arithmetic.empty() ? "" : "; ") +
                        "products exact where the model permits 8 bits (accuracy_level 4)";
  return proof;
}

} // namespace

FailureOr<Proof> uoe::prove(ModuleOp model, const ProofOptions &options) {
  FailureOr<Forms> forms = formsOf(model);
  if (failed(forms))
    return failure();
  OwningOpRef<ModuleOp> decomposed = forms->raised->clone();
  {
    // What stays dense is in the report, with the reason.
    ScopedDiagnosticHandler quiet(model.getContext(), [](Diagnostic &diagnostic) {
      return success(diagnostic.getSeverity() == DiagnosticSeverity::Remark);
    });
    if (failed(runPasses(*decomposed, [&](PassManager &passes) {
          DecomposeFfnPassOptions ffn = options.ffn;
          ffn.keepDense = true;
          passes.addPass(createDecomposeFfnPass(ffn));
          DecomposeAttentionPassOptions attention = options.attention;
          attention.keepDense = true;
          passes.addPass(createDecomposeAttentionPass(attention));
        })))
      return failure();
  }
  Proof proof = describe(*forms);
  proof.blocks = checkBlocks(*forms->raised, *decomposed);
  if (proof.blocks.empty())
    return model.emitError("has no block that could be decomposed, so there is nothing to prove"),
           failure();
  if (proof.decomposed() == 0)
    return proof;
  try {
    // Block by block: both forms get the same input, within one run of the decomposed model.
    auto both = sessionOf(*decomposed, kNodeByNode, options.threads);
    decomposed = {};
    BlockProbes probes(proof.blocks);
    both->setProbe(
        [&](const std::string &probe, const rt::Tensor &value) { probes.see(probe, value); });
    auto reference = sessionOf(*forms->dense, kNodeByNode, options.threads);
    std::unique_ptr<Session> native;
    if (!proof.arithmetic.empty())
      native = sessionOf(model, "execute-reference", options.threads);
    for (const auto &inputs : proofInputs(*reference, options)) {
      std::vector<rt::Value> want = reference->run(inputs);
      compareOutputs(*reference, want, both->run(inputs), proof.outputs);
      if (native)
        compareOutputs(*reference, want, native->run(inputs), proof.native);
      ++proof.runs;
    }
  } catch (const std::exception &problem) {
    return model.emitError("proof: ") << problem.what(), failure();
  }
  judge(proof, options, /*measured=*/true);
  return proof;
}

FailureOr<Proof> uoe::proveAgainst(ModuleOp decomposed, ModuleOp dense,
                                   const ProofOptions &options) {
  FailureOr<Forms> forms = formsOf(dense);
  if (failed(forms))
    return failure();
  OwningOpRef<ModuleOp> copy = decomposed.clone();
  qualifyNames(*copy);
  Proof proof = describe(*forms);
  proof.blocks = checkBlocks(*forms->raised, *copy);
  if (proof.decomposed() == 0)
    return decomposed.emitError("has no experts that stand for a block of the dense model"),
           failure();
  try {
    if (failed(runPasses(*copy, [](PassManager &passes) {
          LowerUoeToOnnxPassOptions lower;
          lower.unroll = true;
          passes.addPass(createLowerUoeToOnnxPass(lower));
          passes.addPass(createInferShapesPass());
          passes.addPass(createPromoteHalfPass());
          passes.addPass(createExactProductsPass());
        })))
      return failure();
    auto session = sessionOf(*copy, "lower-to-rt", options.threads);
    auto reference = sessionOf(*forms->dense, kNodeByNode, options.threads);
    for (const auto &inputs : proofInputs(*reference, options)) {
      compareOutputs(*reference, reference->run(inputs), session->run(inputs), proof.outputs);
      ++proof.runs;
    }
  } catch (const std::exception &problem) {
    return decomposed.emitError("proof: ") << problem.what(), failure();
  }
  judge(proof, options, /*measured=*/false);
  return proof;
}
