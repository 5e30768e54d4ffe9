#include "lib/Conversion/ShardPlan.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Files/AtomicFile.h"
#include "passes/decompose/Decompose.h"

using namespace mlir;
using namespace uoe;
using report::Json;

using Groups = std::vector<std::vector<int64_t>>; // the experts of each rank, ascending

// One row a layer, or nothing where the map's form could not say what the placement is.
static Json physicalToLogical(const std::vector<Groups> &layers) {
  Json map = Json::array();
  size_t each = layers.front().front().size();
  for (const Groups &groups : layers) {
    std::vector<int64_t> row;
    for (const std::vector<int64_t> &group : groups) {
      if (group.size() != each)
        return {};
      row.insert(row.end(), group.begin(), group.end());
    }
    map.push_back(row);
  }
  return map;
}

Json uoe::shardPlan(ModuleOp module) {
  std::vector<ExpertsOp> ops;
  int64_t ranks = 0;
  module.walk<WalkOrder::PreOrder>([&](ExpertsOp op) {
    std::optional<ArrayRef<int64_t>> shard = op.getShard();
    if (!shard)
      return;
    ops.push_back(op);
    for (int64_t rank : *shard)
      ranks = std::max(ranks, rank + 1);
  });
  Json layers = Json::array();
  std::vector<Groups> placements;
  for (ExpertsOp op : ops) {
    Groups &groups = placements.emplace_back(ranks);
    ArrayRef<int64_t> shard = *op.getShard();
    for (auto [expert, rank] : llvm::enumerate(shard))
      groups[rank].push_back(static_cast<int64_t>(expert));
    Json layer = {{"name", blockName(op, "moe")},
                  {"experts", op.numExperts()},
                  {"sizes", op.getSizes().vec()},
                  {"rank_of_expert", shard.vec()},
                  {"experts_of_rank", groups}};
    if (op.getSlots())
      layer["expert_of_slot"] = op.getSlots()->vec();
    if (auto load = op->getAttrOfType<DenseF64ArrayAttr>("uoe.load"))
      layer["load"] = load.asArrayRef().vec();
    layers.push_back(std::move(layer));
  }
  Json plan = {{"format", "uoe-shard-plan"}, {"version", 1}, {"ranks", ranks}, {"layers", layers}};
  if (!ops.empty())
    if (Json map = physicalToLogical(placements); !map.is_null())
      plan["physical_to_logical_map"] = std::move(map);
  return plan;
}

LogicalResult uoe::writeShardPlan(ModuleOp module, const std::string &path) {
  Json plan = shardPlan(module);
  if (plan["layers"].empty())
    return module.emitError("shard plan: no uoe.experts has a placement; run --shard-experts, "
                            "after --moe-to-experts for mixtures that the model came with");
  std::string text = plan.dump(2) + "\n";
  AtomicFile file(path);
  if (!file.open() || !file.write({text.data(), text.size()}) || !file.finish())
    return module.emitError("shard plan: ") << file.error;
  return success();
}
