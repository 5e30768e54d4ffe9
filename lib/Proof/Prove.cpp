#include "lib/Proof/Prove.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Evaluation/Inputs.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Evaluation/Tokens.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/Lower.h"
#include "passes/raise/Match.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using namespace mlir;
using namespace uoe;

double Deviation::ulps() const {
  if (magnitude <= 0)
    return maxAbs > 0 ? std::numeric_limits<double>::infinity() : 0;
  float top = static_cast<float>(magnitude);
  return maxAbs / static_cast<double>(std::nextafter(top, INFINITY) - top);
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

// A sliced operand as (weight of the dense block, order of its indices); the order is empty where
// there is no Gather.
static Value traceGather(Value value, int64_t axis, std::vector<int64_t> &order) {
  auto node = value.getDefiningOp<onnx::NodeOp>();
  if (!node || !node.is("Gather") || node.integer("axis", 0) != axis)
    return value;
  auto indices = dyn_cast_or_null<DenseElementsAttr>(onnx::constantOf(node.getInputs()[1]));
  if (!indices || !indices.getElementType().isInteger(64))
    return value;
  order.assign(indices.value_begin<int64_t>(), indices.value_end<int64_t>());
  return node.getInputs()[0];
}

// Empty if experts and dense block use the same weights, each index of each exactly once, by one
// partition.
static std::string checkStructure(FfnOp dense, ExpertsOp experts, int64_t &weights) {
  if (classify(experts) != ExpertBody::Ffn)
    return "the experts' body is no feed-forward block of its slices";
  auto body = cast<FfnOp>(experts.getBody().front().front());
  unsigned shared = experts.getShared().size();
  std::vector<int64_t> common;
  bool first = true;
  std::pair<Value, Value> pairs[] = {{body.getUp(), dense.getUp()},
                                     {body.getGate(), dense.getGate()},
                                     {body.getDown(), dense.getDown()},
                                     {body.getBiasUp(), dense.getBiasUp()},
                                     {body.getBiasGate(), dense.getBiasGate()}};
  for (auto [inner, whole] : pairs) {
    if (!inner != !whole)
      return "a weight is missing in one of the forms";
    if (!inner)
      continue;
    unsigned i = cast<BlockArgument>(inner).getArgNumber() - shared;
    int64_t axis = experts.getAxes()[i];
    std::vector<int64_t> order;
    if (traceGather(experts.getSliced()[i], axis, order) != whole)
      return "an expert's weight is not cut from the dense block's";
    auto type = cast<RankedTensorType>(whole.getType());
    int64_t size = type.getDimSize(axis), covered = 0;
    for (int64_t part : experts.getSizes())
      covered += part;
    if (covered != size)
      return llvm::formatv("the experts cover {0} of {1} neurons", covered, size).str();
    if (order.empty()) {
      order.resize(size);
      for (int64_t k = 0; k < size; ++k)
        order[k] = k;
    }
    std::vector<int64_t> uses(size);
    for (int64_t index : order) {
      if (index < 0 || index >= size)
        return llvm::formatv("neuron {0} of {1} does not exist", index, size).str();
      ++uses[index];
    }
    for (int64_t k = 0; k < size; ++k)
      if (uses[k] != 1)
        return llvm::formatv("neuron {0} is used {1} times", k, uses[k]).str();
    if (!first && order != common)
      return "two weights of the block are cut by different partitions";
    common = order;
    first = false;
    weights += type.getNumElements();
  }
  return "";
}

// The constant matrices that the dense block multiplies by: where its queries, keys and values come
// from, and where its result goes.
static llvm::SetVector<Value> matricesOf(AttentionOp dense, raise::Facts &facts) {
  llvm::SetVector<Value> matrices;
  auto product = [&](onnx::NodeOp node) {
    return (node.is("MatMul") || node.is("Gemm")) && facts.isConstant(node.input(1)) &&
           raise::rankOf(node.input(1)) == 2;
  };
  llvm::SetVector<Value> back;
  back.insert(dense.getQuery());
  back.insert(dense.getKey());
  back.insert(dense.getValue());
  for (size_t i = 0; i < back.size(); ++i) {
    auto node = back[i].getDefiningOp<onnx::NodeOp>();
    if (!node)
      continue;
    if (product(node)) {
      matrices.insert(node.input(1));
      continue;
    }
    // Angles and shapes come in beside the first operand; past keys and values have no matrix
    // behind them.
    if (node.is("Concat") || node.is("Add") || node.is("Mul") || node.is("Sub"))
      back.insert(node.getInputs().begin(), node.getInputs().end());
    else if (!node.getInputs().empty())
      back.insert(node.input(0));
  }
  Value forward = dense.getResult(0);
  while (forward) {
    Value next;
    for (Operation *user : forward.getUsers())
      if (auto node = dyn_cast<onnx::NodeOp>(user); node && node->getNumResults() == 1) {
        if (product(node) && node.input(0) == forward) {
          matrices.insert(node.input(1));
          return matrices;
        }
        next = node.getResult(0);
      }
    forward = next;
  }
  return matrices;
}

// Empty if the experts' parts of each weight lie side by side: a slice of it (or all), seen as [..,
// groups, ..], cut between groups. Matrices of the dense block that products took apart otherwise
// (packed with something else) are used once where they are used.
static std::string checkStructure(AttentionOp dense, ExpertsOp experts, int64_t &weights) {
  raise::Facts facts;
  std::map<void *, std::vector<int64_t>> uses; // per index of the axis that is cut
  std::map<void *, int64_t> axisOf;
  llvm::SetVector<Value> wholes;
  int64_t groups = 0;
  for (int64_t size : experts.getSizes())
    groups += size;
  for (auto [sliced, cutAxis] : llvm::zip(experts.getSliced(), experts.getAxes())) {
    if (!facts.isConstant(sliced))
      continue;
    if (raise::sizeOf(sliced, cutAxis) != groups)
      return llvm::formatv("the experts cover {0} of {1} groups of heads", groups,
                           raise::sizeOf(sliced, cutAxis))
          .str();
    Value base = sliced;
    int64_t axis = cutAxis, before = 1, each = 1, offset = 0;
    auto node = base.getDefiningOp<onnx::NodeOp>();
    if (node && node.is("Reshape")) {
      base = node.input(0);
      auto view = cast<RankedTensorType>(sliced.getType()).getShape(),
           from = cast<RankedTensorType>(base.getType()).getShape();
      axis = 0;
      while (axis < static_cast<int64_t>(from.size()) && from[axis] == view[axis])
        ++axis;
      // [.., before, groups, each, ..] of [.., before * groups * each, ..]
      for (int64_t i = axis; i < cutAxis; ++i)
        before *= view[i];
      if (axis == static_cast<int64_t>(from.size()) || from[axis] % (before * groups) != 0)
        return "a weight is not seen by groups of heads";
      each = from[axis] / (before * groups);
      node = base.getDefiningOp<onnx::NodeOp>();
    }
    int64_t extent = before * groups * each;
    if (node && node.is("Slice")) {
      auto starts = facts.integers(node.input(1)), axes = facts.integers(node.input(3));
      if (starts && axes && axes->size() == 1 && (*axes)[0] == axis &&
          raise::sizeOf(node.input(0), axis) > extent) {
        offset = (*starts)[0];
        base = node.input(0);
      }
    }
    auto type = dyn_cast<RankedTensorType>(base.getType());
    if (!type || !type.hasStaticShape() || offset < 0 || offset + extent > type.getDimSize(axis))
      return "a part of a weight does not lie within it";
    void *key = base.getAsOpaquePointer();
    auto [at, fresh] = axisOf.try_emplace(key, axis);
    if (!fresh && at->second != axis)
      return "a weight is cut along two axes";
    std::vector<int64_t> &counts = uses[key];
    counts.resize(type.getDimSize(axis));
    for (int64_t i = offset; i < offset + extent; ++i)
      ++counts[i];
    wholes.insert(base);
  }
  for (Value matrix : matricesOf(dense, facts))
    if (!wholes.contains(matrix))
      return "a matrix of the dense block is not cut into the experts";
  for (Value weight : wholes) {
    const std::vector<int64_t> &counts = uses[weight.getAsOpaquePointer()];
    for (auto [i, count] : llvm::enumerate(counts))
      if (count != 1)
        return llvm::formatv("index {0} of a weight is used {1} times", i, count).str();
    weights += cast<RankedTensorType>(weight.getType()).getNumElements();
  }
  return wholes.empty() ? "the experts have no weights" : "";
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

static void compare(const rt::Tensor &a, const rt::Tensor &b, Deviation &deviation) {
  Difference d = difference(a, b);
  if (!d.mismatch.empty())
    rt::fail("dense and decomposed form differ in kind: ", d.mismatch);
  deviation.maxAbs = std::max(deviation.maxAbs, d.maxAbs);
  deviation.magnitude = std::max(deviation.magnitude, d.magnitude);
}

static std::vector<std::vector<rt::Value>> proofInputs(const Session &session,
                                                       const ProofOptions &options) {
  std::vector<std::vector<rt::Value>> runs;
  for (uint64_t seed : {1, 2}) {
    InputOptions random;
    random.seed = seed;
    random.batch = static_cast<int64_t>(seed);
    random.sequence = 16;
    runs.push_back(bindInputs(session, random).values);
  }
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

static std::unique_ptr<Session> session(ModuleOp module, StringRef pipeline, int threads) {
  SessionOptions options;
  options.threads = threads;
  options.pipeline = pipeline.str();
  std::string error;
  auto result = Session::create(OwningOpRef<ModuleOp>(module.clone()), options, error);
  rt::check(result != nullptr, error);
  return result;
}

FailureOr<Proof> uoe::prove(ModuleOp raised, const ProofOptions &options) {
  OwningOpRef<ModuleOp> decomposed = raised.clone();
  PassManager passes(raised.getContext());
  DecomposeFfnPassOptions decompose;
  decompose.experts = options.experts;
  decompose.keepDense = true;
  passes.addPass(createDecomposeFfnPass(decompose));
  DecomposeAttentionPassOptions attention;
  attention.groups = options.attentionGroups;
  attention.keepDense = true;
  passes.addPass(createDecomposeAttentionPass(attention));
  if (failed(passes.run(*decomposed)))
    return failure();

  Proof proof;
  std::map<std::string, size_t> index;
  std::map<std::string, Operation *> dense;
  decomposed->walk([&](FfnOp ffn) {
    if (!ffn->getParentOfType<ExpertsOp>())
      dense[blockName(ffn, "ffn")] = ffn;
  });
  decomposed->walk([&](AttentionOp attention) {
    if (!attention->getParentOfType<ExpertsOp>())
      dense[blockName(attention, "attention")] = attention;
  });
  decomposed->walk([&](ExpertsOp experts) {
    BlockProof block;
    bool heads = !experts.getBody().getOps<AttentionOp>().empty();
    block.kind = heads ? "attention" : "ffn";
    block.name = blockName(experts, block.kind);
    block.experts = experts.numExperts();
    auto it = dense.find(block.name);
    if (it == dense.end())
      block.structure = "there is no dense block of this name";
    else if (auto attention = dyn_cast<AttentionOp>(it->second))
      block.structure = checkStructure(attention, experts, block.weights);
    else
      block.structure = checkStructure(cast<FfnOp>(it->second), experts, block.weights);
    index[block.name] = proof.blocks.size();
    proof.blocks.push_back(std::move(block));
  });
  if (proof.blocks.empty())
    return raised.emitError("has no block that could be decomposed, so there is nothing to prove"),
           failure();

  try {
    // Block by block: both forms get the same input, within one run of the decomposed model.
    auto both = session(*decomposed, "lower-uoe-to-onnx{unroll=true},lower-to-rt", options.threads);
    std::map<std::string, rt::Tensor> pending;
    both->setProbe([&](const std::string &probe, const rt::Tensor &value) {
      size_t colon = probe.rfind(':');
      std::string name = probe.substr(0, colon);
      auto [it, fresh] = pending.try_emplace(name, value);
      if (fresh)
        return;
      auto at = index.find(name);
      bool denseFirst = probe.substr(colon + 1) == "experts";
      if (at != index.end()) {
        compare(denseFirst ? it->second : value, denseFirst ? value : it->second,
                proof.blocks[at->second].deviation);
        proof.blocks[at->second].measured = true;
      }
      pending.erase(it);
    });
    auto reference = session(raised, "execute-reference", options.threads);
    for (const auto &inputs : proofInputs(*reference, options)) {
      std::vector<rt::Value> want = reference->run(inputs), got = both->run(inputs);
      proof.outputs.resize(want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        proof.outputs[i].first = reference->outputs()[i].name;
        if (want[i].kind == rt::Value::Kind::Tensor && isFloat(want[i].tensor.dtype()))
          compare(want[i].tensor, got[i].tensor, proof.outputs[i].second);
      }
      ++proof.runs;
    }
  } catch (const std::exception &problem) {
    return raised.emitError("proof: ") << problem.what(), failure();
  }
  proof.passed = true;
  for (BlockProof &block : proof.blocks) {
    block.passed = block.structure.empty() && block.measured &&
                   block.deviation.relative() <= options.blockTolerance;
    proof.passed &= block.passed;
  }
  for (auto &[name, deviation] : proof.outputs)
    proof.passed &= deviation.relative() <= options.modelTolerance;
  return proof;
}

std::string uoe::toText(const Proof &proof, const ProofOptions &options) {
  std::string text;
  llvm::raw_string_ostream out(text);
  for (const BlockProof &block : proof.blocks) {
    out << llvm::formatv("{0,-24} {1,4} experts  ", block.name, block.experts);
    if (!block.structure.empty())
      out << "structure: " << block.structure;
    else
      out << llvm::formatv("each of {0} weights used once", block.weights);
    if (block.measured)
      out << llvm::formatv("  largest difference {0:e2} ({1:f1} ulps, {2:e1} relative)",
                           block.deviation.maxAbs, block.deviation.ulps(),
                           block.deviation.relative());
    out << (block.passed ? "  equal\n" : "  NOT EQUAL\n");
  }
  for (const auto &[name, deviation] : proof.outputs)
    out << llvm::formatv(
        "whole model, {0}: largest difference {1:e2} ({2:f1} ulps, {3:e1} relative)\n", name,
        deviation.maxAbs, deviation.ulps(), deviation.relative());
  out << llvm::formatv(
      "{0}: {1} blocks, {2} runs; tolerance {3:e0} relative for a block, {4:e0} for the model\n",
      proof.passed ? "proved" : "NOT PROVED", proof.blocks.size(), proof.runs,
      options.blockTolerance, options.modelTolerance);
  return text;
}
