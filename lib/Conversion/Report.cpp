#include "lib/Conversion/Report.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Files/AtomicFile.h"
#include "lib/Report/Number.h"
#include "lib/Report/Table.h"
#include "passes/decompose/Decompose.h"
#include <sstream>

using namespace mlir;
using namespace uoe;

static double elements(Value value) {
  auto type = value ? dyn_cast<RankedTensorType>(value.getType()) : RankedTensorType();
  return type && type.hasStaticShape() ? static_cast<double>(type.getNumElements()) : 0;
}

static double realAttr(Operation *op, StringRef name, double otherwise) {
  auto attr = op->getAttrOfType<FloatAttr>(name);
  return attr ? attr.getValueAsDouble() : otherwise;
}

static int64_t intAttr(Operation *op, StringRef name) {
  auto attr = op->getAttrOfType<IntegerAttr>(name);
  return attr ? attr.getInt() : 0;
}

// The dense block's multiply-adds that an experts op stands for.
static double denseCost(ExpertsOp experts) {
  double sum = 0;
  for (Value value : experts.getSliced())
    if (auto type = cast<RankedTensorType>(value.getType());
        type.getRank() == 2 && type.hasStaticShape())
      sum += static_cast<double>(type.getNumElements());
  return sum;
}

ConversionReport uoe::measureModel(ModuleOp module) {
  ConversionReport report;
  llvm::DenseSet<StringAttr> counted;
  DenseMap<StringAttr, onnx::InitializerOp> initializers;
  for (auto init : module.getOps<onnx::InitializerOp>())
    initializers[init.getSymNameAttr()] = init;
  module.walk([&](onnx::WeightOp weight) {
    auto init = initializers.lookup(weight.getNameAttr().getAttr());
    auto type = init ? dyn_cast<RankedTensorType>(init.getType()) : RankedTensorType();
    if (type && isa<FloatType>(type.getElementType()) && type.hasStaticShape() &&
        counted.insert(init.getSymNameAttr()).second)
      report.parameters += static_cast<double>(type.getNumElements());
  });
  std::map<std::string, double> coreWork; // of a routed block, by its experts' name
  std::map<std::string, double> stepWork; // of the steps before a block's last experts op
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (auto ffn = dyn_cast<FfnOp>(op)) {
      double work = elements(ffn.getUp()) + elements(ffn.getGate()) + elements(ffn.getDown());
      if (op->hasAttr("uoe.core"))
        return WalkResult::skip(); // counted with its experts
      auto type = dyn_cast<RankedTensorType>(ffn.getUp().getType());
      BlockReport block;
      block.name = blockName(op, "ffn");
      block.neurons = type ? type.getDimSize(1) : 0;
      block.merged = intAttr(op, "uoe.merged");
      block.recipe = block.merged ? "merged" : "dense";
      block.multiplyAdds = realAttr(op, "uoe.multiply_adds", work);
      block.cost = block.multiplyAdds > 0 ? work / block.multiplyAdds : 1;
      block.error = realAttr(op, "uoe.error", 0);
      report.blocks.push_back(block);
      report.matmulMultiplyAdds += work;
      return WalkResult::skip();
    }
    if (auto moe = dyn_cast<MoeOp>(op); moe && moe.getInput()) {
      BlockReport block;
      block.name = blockName(op, "moe");
      block.recipe = "mixture";
      if (auto up = dyn_cast<RankedTensorType>(moe.getUp().getType()); up && up.hasStaticShape()) {
        block.experts = up.getDimSize(0);
        block.neurons = block.experts * up.getDimSize(2);
        block.cost = static_cast<double>(moe.getK()) / static_cast<double>(block.experts);
      }
      block.multiplyAdds =
          elements(moe.getUp()) + elements(moe.getGate()) + elements(moe.getDown());
      report.matmulMultiplyAdds += block.multiplyAdds * block.cost;
      report.blocks.push_back(block);
      return WalkResult::skip();
    }
    if (auto experts = dyn_cast<ExpertsOp>(op)) {
      auto recipe = op->getAttrOfType<StringAttr>("uoe.recipe");
      if (experts.getRouting() && !recipe)
        return WalkResult::skip(); // a part of a cascade: its last op carries the figures
      auto kind = op->getAttrOfType<StringAttr>(kBlockKind);
      bool heads = (kind && kind.getValue() == "attention") ||
                   experts.getBody()
                       .walk([](AttentionOp) { return WalkResult::interrupt(); })
                       .wasInterrupted();
      if (heads || experts.getCombine() == Combine::concat) {
        // Head groups: the projections, cut from views of rank 3. Or a step before a block's sum.
        for (Value value : experts.getSliced())
          if (auto type = cast<RankedTensorType>(value.getType()); type.getRank() == 3)
            report.matmulMultiplyAdds += elements(value);
        if (!heads)
          stepWork[blockName(op, "ffn")] += denseCost(experts);
        return WalkResult::skip();
      }
      BlockReport block;
      block.name = blockName(op, "ffn");
      block.recipe = recipe ? recipe.str() : "decomposed";
      block.experts = experts.numExperts();
      block.cost = realAttr(op, "uoe.cost", 1);
      block.error = realAttr(op, "uoe.error", 0);
      block.multiplyAdds =
          realAttr(op, "uoe.multiply_adds", denseCost(experts) + stepWork[block.name]);
      block.core = intAttr(op, "uoe.core_size");
      block.merged = intAttr(op, "uoe.merged");
      for (int64_t size : experts.getSizes())
        block.neurons += size;
      block.neurons += block.core;
      report.matmulMultiplyAdds += block.multiplyAdds * block.cost;
      report.blocks.push_back(block);
      return WalkResult::skip();
    }
    if (auto node = dyn_cast<onnx::NodeOp>(op);
        node && (node.is("MatMul") || node.is("Gemm")) && node.getInputs().size() > 1) {
      Operation *source = node.getInputs()[1].getDefiningOp();
      while (auto next = dyn_cast_or_null<onnx::NodeOp>(source))
        source = next.getInputs().empty() ? nullptr : next.getInputs()[0].getDefiningOp();
      if (isa_and_nonnull<onnx::WeightOp>(source))
        report.matmulMultiplyAdds += elements(node.getInputs()[1]);
    }
    return isa<FfnOp>(op) ? WalkResult::skip() : WalkResult::advance();
  });
  return report;
}

static double ffnWork(const ConversionReport &report) {
  double sum = 0;
  for (const BlockReport &block : report.blocks)
    sum += block.multiplyAdds * block.cost;
  return sum;
}

// Mean of cost and error over the blocks, weighted by their multiply-adds.
static std::pair<double, double> totals(const ConversionReport &report) {
  double work = 0, cost = 0, error = 0;
  for (const BlockReport &block : report.blocks) {
    work += block.multiplyAdds;
    cost += block.multiplyAdds * block.cost;
    error += block.multiplyAdds * block.error;
  }
  return work > 0 ? std::pair(cost / work, error / work) : std::pair(1.0, 0.0);
}

std::string uoe::toText(const ConversionReport &before, const ConversionReport &after,
                        const ConversionEffort &effort) {
  std::ostringstream out;
  report::Table table(
      {"block", "form", ">neurons", ">merged", ">core", ">experts", ">cost", ">error"});
  auto some = [](int64_t n) { return n ? std::to_string(n) : std::string(); };
  for (const BlockReport &block : after.blocks)
    table.row({block.name, block.recipe, std::to_string(block.neurons), some(block.merged),
               some(block.core), some(block.experts), report::percent(block.cost),
               report::number(block.error, 3)});
  auto [cost, error] = totals(after);
  table.row({"all", "", "", "", "", "", report::percent(cost), report::number(error, 3)});
  table.print(out);
  double dense = ffnWork(before), now = ffnWork(after);
  out << "\nparameters " << report::quantity(before.parameters) << " -> "
      << report::quantity(after.parameters) << ", multiply-adds per token in products with weights "
      << report::quantity(before.matmulMultiplyAdds) << " -> "
      << report::quantity(after.matmulMultiplyAdds) << ", of which FFN " << report::quantity(dense)
      << " -> " << report::quantity(now);
  if (dense > 0)
    out << " (" << report::percent(now / dense) << ")";
  out << "\nCosts are measured on held-out calibration tokens, the router counted; error is the "
         "block's relative squared error there. On other text the cost may differ: `uoe-run eval` "
         "measures it.\nThe conversion took "
      << report::duration(effort.seconds());
  for (auto [what, seconds] :
       {std::pair("calibration run", effort.calibrating), std::pair("merging", effort.merging),
        std::pair("planning", effort.planning), std::pair("routing", effort.routing)})
    if (seconds > 0.001)
      out << ", " << what << " " << report::duration(seconds);
  out << "; peak memory " << report::bytes(static_cast<double>(effort.peakBytes)) << ".\n";
  return out.str();
}

static report::Json toJson(const ConversionReport &report) {
  report::Json blocks = report::Json::array();
  for (const BlockReport &block : report.blocks)
    blocks.push_back({{"name", block.name},
                      {"form", block.recipe},
                      {"neurons", block.neurons},
                      {"merged", block.merged},
                      {"core", block.core},
                      {"experts", block.experts},
                      {"dense_multiply_adds", block.multiplyAdds},
                      {"cost", block.cost},
                      {"error", block.error}});
  auto [cost, error] = totals(report);
  return {{"parameters", report.parameters},
          {"ffn_cost", cost},
          {"ffn_error", error},
          {"multiply_adds_per_token", report.matmulMultiplyAdds},
          {"ffn_multiply_adds_per_token", ffnWork(report)},
          {"blocks", blocks}};
}

LogicalResult uoe::writeJson(const ConversionReport &before, const ConversionReport &after,
                             const ConversionEffort &effort, const std::string &path,
                             ModuleOp module) {
  report::Json json = {{"dense", toJson(before)},
                       {"converted", toJson(after)},
                       {"conversion",
                        {{"seconds", effort.seconds()},
                         {"calibrating_seconds", effort.calibrating},
                         {"merging_seconds", effort.merging},
                         {"planning_seconds", effort.planning},
                         {"routing_seconds", effort.routing},
                         {"peak_bytes", effort.peakBytes}}}};
  std::string text = json.dump(2) + "\n";
  AtomicFile file(path);
  if (!file.open() || !file.write({text.data(), text.size()}) || !file.finish())
    return module.emitError("report: ") << file.error;
  return success();
}
