#include "lib/Evaluation/Metrics.h"
#include "lib/Files/AtomicFile.h"
#include "lib/Proof/Prove.h"
#include "lib/Report/Number.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace uoe;

// "10.0 ulps, 7.8e-07 relative"; where the model's type is another than that of the arithmetic, in
// its ulps too.
static std::string text(const Deviation &deviation, rt::DType modelType) {
  if (!isFloat(deviation.type)) // sums of integer products
    return llvm::formatv("{0} of integers", deviation.maxAbs);
  std::string ulps = llvm::formatv("{0:f1} ulps", deviation.ulps(deviation.type));
  if (modelType != deviation.type)
    ulps += llvm::formatv(" of {0}, {1:e1} of {2}", rt::nameOf(deviation.type),
                          deviation.ulps(modelType), rt::nameOf(modelType));
  return llvm::formatv("{0:e2} ({1}, {2:e1} relative)", deviation.maxAbs, ulps,
                       deviation.relative());
}

// "8 experts", "3 experts of 100, 28, 64".
static std::string experts(const BlockProof &block) {
  int64_t least = *llvm::min_element(block.sizes), most = *llvm::max_element(block.sizes);
  std::string text = std::to_string(block.sizes.size()) + " experts";
  if (most - least <= 1 || block.sizes.size() > 8)
    return text;
  text += " of ";
  for (auto [i, size] : llvm::enumerate(block.sizes))
    text += (i ? "," : "") + std::to_string(size);
  return text;
}

std::string uoe::toText(const Proof &proof) {
  std::string result;
  llvm::raw_string_ostream out(result);
  for (const BlockProof &block : proof.blocks) {
    out << llvm::formatv("{0,-24} ", block.name);
    if (!block.kept.empty()) {
      out << "not decomposed: " << block.kept << "\n";
      continue;
    }
    out << llvm::formatv("{0,-11}", experts(block));
    if (block.parts > 1)
      out << " in " << block.parts << " steps";
    if (!block.structure.empty())
      out << "  structure: " << block.structure;
    else
      out << llvm::formatv("  each of {0} weights used once", block.weights);
    if (block.measured)
      out << "  largest difference " << text(block.deviation, proof.modelType);
    out << (block.passed ? "  equal\n" : "  NOT EQUAL\n");
  }
  for (const auto &[name, deviation] : proof.outputs)
    out << llvm::formatv("whole model, {0}: largest difference {1}\n", name,
                         text(deviation, deviation.type));
  if (!proof.arithmetic.empty())
    out << "computed with " << proof.arithmetic << "\n";
  for (const auto &[name, deviation] : proof.native)
    out << llvm::formatv("the dense model as it runs differs from that by {0:e1} relative in {1}\n",
                         deviation.relative(), name);
  int64_t kept = static_cast<int64_t>(proof.blocks.size()) - proof.decomposed();
  out << llvm::formatv("{0}: {1} blocks", proof.passed ? "proved" : "NOT PROVED",
                       proof.decomposed());
  if (kept)
    out << llvm::formatv(" ({0} not decomposed)", kept);
  out << llvm::formatv(", {0} runs; tolerance {1:e0} relative for a block, {2:e0} for the model\n",
                       proof.runs, proof.blockTolerance, proof.modelTolerance);
  return result;
}

static report::Json toJson(const Deviation &deviation, rt::DType modelType) {
  return {{"type", rt::nameOf(deviation.type)},
          {"largest", report::json(deviation.maxAbs)},
          {"magnitude", report::json(deviation.magnitude)},
          {"relative", report::json(deviation.relative())},
          {"ulps", report::json(deviation.ulps(deviation.type))},
          {"model_ulps", report::json(deviation.ulps(modelType))}};
}

static report::Json toJson(const std::vector<std::pair<std::string, Deviation>> &outputs) {
  report::Json list = report::Json::array();
  for (const auto &[name, deviation] : outputs) {
    report::Json json = toJson(deviation, deviation.type);
    json["output"] = name;
    list.push_back(std::move(json));
  }
  return list;
}

LogicalResult uoe::writeJson(const Proof &proof, const std::string &path, ModuleOp module) {
  report::Json blocks = report::Json::array();
  for (const BlockProof &block : proof.blocks) {
    report::Json json = {{"name", block.name}, {"kind", block.kind}};
    if (!block.kept.empty()) {
      json["not_decomposed"] = block.kept;
    } else {
      json["experts"] = block.sizes.size();
      json["sizes"] = block.sizes;
      json["steps"] = block.parts;
      json["weights"] = block.weights;
      json["structure"] = block.structure.empty() ? "each weight used once" : block.structure;
      if (block.measured)
        json["difference"] = toJson(block.deviation, proof.modelType);
      json["equal"] = block.passed;
    }
    blocks.push_back(std::move(json));
  }
  report::Json json = {{"proved", proof.passed},
                       {"model_type", rt::nameOf(proof.modelType)},
                       {"arithmetic", proof.arithmetic},
                       {"block_tolerance", proof.blockTolerance},
                       {"model_tolerance", proof.modelTolerance},
                       {"runs", proof.runs},
                       {"blocks", std::move(blocks)},
                       {"outputs", toJson(proof.outputs)},
                       {"dense_as_it_runs", toJson(proof.native)}};
  try {
    writeFile(path, json.dump(2) + "\n");
  } catch (const std::exception &problem) {
    return module.emitError("proof report: ") << problem.what();
  }
  return success();
}
