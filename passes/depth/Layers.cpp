// The search for layers that are alike. A candidate is two results of like ops, taken for the ends
// of two consecutive groups; both are followed backwards side by side until the later one reaches
// the earlier one's end. What is then the same, handed from group to group, or each group's own,
// are the roles of the operands.
#include "passes/depth/Layers.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Weights/Weights.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace uoe;
using namespace uoe::depth;

//===----------------------------------------------------------------------===//
// Likeness of ops
//===----------------------------------------------------------------------===//

SmallVector<OpOperand *> depth::inputsOf(Operation *op) {
  SmallVector<OpOperand *> inputs;
  op->walk<WalkOrder::PreOrder>([&](Operation *inner) {
    for (OpOperand &operand : inner->getOpOperands()) {
      Region *home = operand.get().getParentRegion();
      if (llvm::none_of(op->getRegions(), [&](Region &region) { return region.isAncestor(home); }))
        inputs.push_back(&operand);
    }
  });
  return inputs;
}

// An op's attributes without names, which differ from layer to layer.
static DictionaryAttr meaningOf(Operation *op) {
  NamedAttrList attrs(op->getAttrDictionary());
  for (StringRef name : {"fields", "layer", "name"})
    if (!isa<onnx::WeightOp>(op))
      attrs.erase(name);
  return attrs.getDictionary(op->getContext());
}

static bool likeTypes(TypeRange a, TypeRange b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           Type x = std::get<0>(pair), y = std::get<1>(pair);
           return x == y || onnx::dropDims(x) == onnx::dropDims(y);
         });
}

// True if two ops do the same to their operands.
static bool alike(Operation *a, Operation *b) {
  SmallVector<Operation *> first, second;
  a->walk<WalkOrder::PreOrder>([&](Operation *op) { first.push_back(op); });
  b->walk<WalkOrder::PreOrder>([&](Operation *op) { second.push_back(op); });
  if (first.size() != second.size())
    return false;
  DenseMap<Value, Value> inner;
  for (auto [x, y] : llvm::zip(first, second)) {
    if (x->getName() != y->getName() || meaningOf(x) != meaningOf(y) ||
        x->getNumOperands() != y->getNumOperands() || x->getNumRegions() != y->getNumRegions() ||
        !likeTypes(x->getResultTypes(), y->getResultTypes()))
      return false;
    for (auto [p, q] : llvm::zip(x->getOperands(), y->getOperands()))
      if (inner.count(q) ? inner.lookup(q) != p
                         : x != a && b->isProperAncestor(q.getParentBlock()->getParentOp()))
        return false;
    for (auto [p, q] : llvm::zip(x->getResults(), y->getResults()))
      if (x != a)
        inner[q] = p;
    for (auto [p, q] : llvm::zip(x->getRegions(), y->getRegions())) {
      if (p.getBlocks().size() != q.getBlocks().size())
        return false;
      for (auto [u, v] : llvm::zip(p, q)) {
        if (!likeTypes(u.getArgumentTypes(), v.getArgumentTypes()))
          return false;
        for (auto [s, t] : llvm::zip(u.getArguments(), v.getArguments()))
          inner[t] = s;
      }
    }
  }
  return true;
}

namespace {

//===----------------------------------------------------------------------===//
// Equal constants
//===----------------------------------------------------------------------===//

// Answers about values outside the groups of one function, remembered.
class Constants {
public:
  // The same value, equal constants, or like nodes on such.
  bool equal(Value x, Value y) {
    if (x == y)
      return true;
    auto known = answers.find({x, y});
    if (known != answers.end())
      return known->second;
    bool result = compare(x, y);
    answers[{x, y}] = result;
    return result;
  }

  // Numbers that a model brings: constants, what nodes make of constants alone, and arguments of a
  // known shape, which is how weights are passed where they are no part of the model.
  bool isWeight(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || !type.hasStaticShape())
      return false;
    if (isa<BlockArgument>(value))
      return true;
    auto known = weights.find(value);
    if (known != weights.end())
      return known->second;
    Operation *op = value.getDefiningOp();
    bool result = isa<onnx::WeightOp>(op) || (isa<onnx::NodeOp>(op) && op->getNumRegions() == 0 &&
                                              llvm::all_of(op->getOperands(), [&](Value v) {
                                                return isa<NoneType>(v.getType()) || isWeight(v);
                                              }));
    return weights[value] = result;
  }

private:
  bool compare(Value x, Value y) {
    Operation *a = x.getDefiningOp(), *b = y.getDefiningOp();
    if (!a || !b || cast<OpResult>(x).getResultNumber() != cast<OpResult>(y).getResultNumber() ||
        !likeTypes(x.getType(), y.getType()))
      return false;
    TypedAttr p = onnx::constantOf(x), q = onnx::constantOf(y);
    if (p && q)
      return p == q || (p.getType() == q.getType() && sameBytes(p, q));
    return isMemoryEffectFree(a) && alike(a, b) &&
           llvm::all_of(llvm::zip_equal(inputsOf(a), inputsOf(b)), [&](auto pair) {
             return equal(std::get<0>(pair)->get(), std::get<1>(pair)->get());
           });
  }

  bool sameBytes(TypedAttr p, TypedAttr q) {
    llvm::Expected<WeightData> a = reader.read(p, 1), b = reader.read(q, 1);
    bool same = a && b && a->bytes == b->bytes;
    llvm::consumeError(a.takeError());
    llvm::consumeError(b.takeError());
    return same;
  }

  WeightReader reader;
  DenseMap<std::pair<Value, Value>, bool> answers;
  DenseMap<Value, bool> weights;
};

//===----------------------------------------------------------------------===//
// The search
//===----------------------------------------------------------------------===//

class Search {
public:
  Search(Block &block, const SearchOptions &options)
      : minTimes(std::max<size_t>(options.minTimes, 2)), options(options) {
    for (Operation &op : block.without_terminator()) {
      index[&op] = ops.size();
      ops.push_back(&op);
      meanings.push_back(meaningOf(&op));
      inputs.push_back({});
      for (OpOperand *operand : inputsOf(&op))
        inputs.back().push_back(operand->get());
    }
    reach.resize(ops.size());
  }

  // The plan that removes the most ops; none if nothing repeats.
  std::optional<Plan> best() {
    llvm::MapVector<std::pair<StringAttr, Attribute>, SmallVector<Operation *>> kinds;
    for (Operation *op : ops)
      if (op->getNumResults() > 0 && op->getNumOperands() > 0)
        kinds[{op->getName().getIdentifier(), meanings[index[op]]}].push_back(op);
    std::optional<Plan> best;
    for (auto &[kind, like] : kinds)
      for (size_t stride = 1; stride < like.size(); ++stride)
        for (size_t start = 0; start + stride < like.size(); ++start) {
          // Layers that are like the others but for their weights end a run.
          for (Groups groups = chain(like, start, stride); groups.size() >= minTimes;
               groups.pop_back()) {
            if (best && (groups.size() - 1) * groups.front().size() <= best->removed())
              break;
            if (std::optional<Plan> plan = makePlan(groups)) {
              best = std::move(plan);
              break;
            }
          }
        }
    return best;
  }

  // The plan of larger groups; none if the layers do not fill them, or fill one alone.
  std::optional<Plan> merged(const Plan &plan) {
    size_t layers = static_cast<size_t>(options.groupLayers), times = plan.groups.size();
    if (times % layers != 0 || times / layers < 2)
      return std::nullopt;
    Groups groups(times / layers);
    for (auto [t, group] : llvm::enumerate(plan.groups))
      llvm::append_range(groups[t / layers], group);
    return makePlan(std::move(groups));
  }

private:
  // Later ops and their counterparts one group before; where the earlier group begins.
  struct Step {
    llvm::MapVector<Operation *, Operation *> earlier;
    Value base;
  };

  // Follows the ends of two groups backwards: v ends the earlier one and begins the later one.
  std::optional<Step> match(Value v, Value w) {
    Step step;
    llvm::SmallPtrSet<Operation *, 32> taken;
    const llvm::BitVector &after = reachOf(v.getDefiningOp());
    int64_t tied = 0, untied = 0;
    llvm::SmallDenseSet<Value> counted;
    SmallVector<std::pair<Value, Value>> work{{v, w}};
    while (!work.empty()) {
      auto [x, y] = work.pop_back_val();
      if (y == v) {
        if (step.base && step.base != x)
          return std::nullopt;
        step.base = x;
        continue;
      }
      Operation *late = y.getDefiningOp();
      auto at = late ? index.find(late) : index.end();
      if (at == index.end() || !after[at->second]) {
        // From outside.
        if (constants.isWeight(y) && counted.insert(y).second)
          (constants.equal(x, y) ? tied : untied) +=
              cast<RankedTensorType>(y.getType()).getNumElements();
        continue;
      }
      Operation *early = x.getDefiningOp();
      if (!early || !index.count(early) ||
          cast<OpResult>(x).getResultNumber() != cast<OpResult>(y).getResultNumber())
        return std::nullopt;
      auto [known, fresh] = step.earlier.insert({late, early});
      if (!fresh) {
        if (known->second != early)
          return std::nullopt;
        continue;
      }
      if (early == late || !taken.insert(early).second || !isMemoryEffectFree(late) ||
          !like(early, late))
        return std::nullopt;
      for (auto [p, q] : llvm::zip_equal(inputs[index[early]], inputs[at->second]))
        work.push_back({p, q});
    }
    if (!step.base || !tiedEnough(tied, untied))
      return std::nullopt;
    return step;
  }

  bool tiedEnough(int64_t tied, int64_t untied) {
    return static_cast<double>(untied) <= options.maxUntied * static_cast<double>(tied + untied);
  }

  // `alike`, where attributes were compared before.
  bool like(Operation *a, Operation *b) {
    if (meanings[index[a]] != meanings[index[b]])
      return false;
    if (a->getNumRegions() > 0 || b->getNumRegions() > 0)
      return alike(a, b);
    return a->getName() == b->getName() && a->getNumOperands() == b->getNumOperands() &&
           likeTypes(a->getResultTypes(), b->getResultTypes());
  }

  Groups chain(ArrayRef<Operation *> like, size_t start, size_t stride) {
    Groups groups;
    for (size_t at = start; at + stride < like.size(); at += stride) {
      Value v = like[at]->getResult(0);
      std::optional<Step> step = match(v, like[at + stride]->getResult(0));
      if (!step)
        break;
      if (groups.empty()) {
        groups.resize(1);
        for (auto &[late, early] : step->earlier)
          groups[0].push_back(early);
        llvm::sort(groups[0], [&](Operation *a, Operation *b) { return index[a] < index[b]; });
      } else if (step->base != like[at - stride]->getResult(0) ||
                 step->earlier.size() != groups.back().size()) {
        break;
      }
      DenseMap<Operation *, Operation *> later;
      for (auto &[late, early] : step->earlier)
        later[early] = late;
      SmallVector<Operation *> next;
      for (Operation *op : groups.back())
        if (Operation *found = later.lookup(op))
          next.push_back(found);
      if (next.size() != groups.back().size())
        break;
      groups.push_back(std::move(next));
    }
    return groups;
  }

  // Roles of all operands, if the groups make a loop whose weights are shared.
  std::optional<Plan> makePlan(Groups groups) {
    Plan plan;
    plan.groups = std::move(groups);
    size_t times = plan.groups.size(), count = plan.groups[0].size();
    DenseMap<Operation *, std::pair<size_t, unsigned>> place; // iteration, op
    for (auto [t, group] : llvm::enumerate(plan.groups))
      for (auto [i, op] : llvm::enumerate(group))
        place[op] = {t, static_cast<unsigned>(i)};
    // What depends on the groups without being of them.
    llvm::BitVector dependent(ops.size());
    auto within = [&](Value value) {
      Operation *op = value.getDefiningOp();
      return op && place.count(op);
    };
    for (size_t i = 0; i < ops.size(); ++i)
      dependent[i] = llvm::any_of(inputs[i], [&](Value value) {
        Operation *op = value.getDefiningOp();
        return within(value) || (op && index.count(op) && dependent[index[op]]);
      });
    auto outside = [&](Value value) {
      Operation *op = value.getDefiningOp();
      return !within(value) && !(op && index.count(op) && dependent[index[op]]);
    };
    int64_t tied = 0, untied = 0;
    bool matrix = false;
    llvm::DenseSet<Value> counted;
    for (unsigned i = 0; i < count; ++i) {
      SmallVector<Role> roles;
      for (size_t j = 0; j < inputs[index[plan.groups[0][i]]].size(); ++j) {
        SmallVector<Value> values;
        for (auto &group : plan.groups)
          values.push_back(inputs[index[group[i]]][j]);
        // True if iteration t's value is made by the op of the same place in iteration t − back.
        std::optional<Place> from;
        auto madeIn = [&](size_t t, size_t back) {
          auto found = place.find(values[t].getDefiningOp());
          if (!values[t].getDefiningOp() || found == place.end() || found->second.first + back != t)
            return false;
          Place at{found->second.second, cast<OpResult>(values[t]).getResultNumber()};
          if (from && !(*from == at))
            return false;
          from = at;
          return true;
        };
        Role role;
        auto all = [&](size_t first, size_t back) {
          from.reset();
          for (size_t t = first; t < times; ++t)
            if (!madeIn(t, back))
              return false;
          return true;
        };
        if (all(0, 0)) {
          role.kind = Role::internal;
          role.from = *from;
        } else if (outside(values[0]) && all(1, 1)) {
          role.kind = Role::carried;
          role.from = *from;
          Type type = values[0].getType();
          if (!isa<RankedTensorType>(type) || !likeTypes(type, values[1].getType()))
            return std::nullopt;
          auto known = llvm::find_if(plan.carried, [&](Plan::Carried &c) {
            return c.init == values[0] && c.from == *from;
          });
          role.slot = known - plan.carried.begin();
          if (known == plan.carried.end())
            plan.carried.push_back({values[0], *from});
        } else if (llvm::all_of(values, outside)) {
          bool weight = constants.isWeight(values[0]);
          auto type = dyn_cast<RankedTensorType>(values[0].getType());
          int64_t size = weight ? type.getNumElements() : 0;
          bool first = counted.insert(values[0]).second;
          if (llvm::all_of(values, [&](Value v) { return constants.equal(values[0], v); })) {
            tied += first ? size : 0;
            matrix |= weight && type.getRank() >= 2 && size > 1;
          } else {
            // Rows of one tensor: their sizes have to be the same.
            untied += first ? size : 0;
            role.kind = Role::each;
            if (!type || !llvm::all_of(values, [&](Value v) { return v.getType() == type; }))
              return std::nullopt;
            auto known = llvm::find(plan.each, values);
            role.slot = known - plan.each.begin();
            if (known == plan.each.end())
              plan.each.push_back(values);
          }
        } else {
          return std::nullopt;
        }
        roles.push_back(role);
      }
      plan.roles.push_back(std::move(roles));
    }
    if ((options.tied && !matrix) || tied + untied == 0 || plan.carried.empty() ||
        !tiedEnough(tied, untied))
      return std::nullopt;
    for (unsigned i = 0; i < count; ++i)
      for (unsigned r = 0; r < plan.groups[0][i]->getNumResults(); ++r)
        if (isStacked(plan, place, i, r)) {
          if (!isa<RankedTensorType>(plan.groups[0][i]->getResult(r).getType()))
            return std::nullopt;
          plan.stacked.push_back({i, r});
        }
    return plan;
  }

  // True if something outside reads the result, and not as what the last iteration hands on.
  bool isStacked(const Plan &plan, const DenseMap<Operation *, std::pair<size_t, unsigned>> &place,
                 unsigned i, unsigned r) {
    bool carried = llvm::any_of(plan.carried, [&](const Plan::Carried &c) {
      return c.from == Place{i, r};
    });
    for (auto [t, group] : llvm::enumerate(plan.groups)) {
      if (carried && t + 1 == plan.groups.size())
        continue;
      for (Operation *user : group[i]->getResult(r).getUsers())
        if (!place.count(group[i]->getBlock()->findAncestorOpInBlock(*user)))
          return true;
    }
    return false;
  }

  // The ops that depend on `from`.
  const llvm::BitVector &reachOf(Operation *from) {
    size_t begin = index[from];
    llvm::BitVector &set = reach[begin];
    if (!set.empty())
      return set;
    set.resize(ops.size());
    for (size_t i = begin + 1; i < ops.size(); ++i)
      set[i] = llvm::any_of(inputs[i], [&](Value value) {
        Operation *op = value.getDefiningOp();
        auto at = op ? index.find(op) : index.end();
        return at != index.end() && (at->second == begin || set[at->second]);
      });
    return set;
  }

  size_t minTimes;
  SearchOptions options;
  std::vector<Operation *> ops;
  std::vector<SmallVector<Value>> inputs;
  std::vector<DictionaryAttr> meanings;
  DenseMap<Operation *, size_t> index;
  std::vector<llvm::BitVector> reach;
  Constants constants;
};

} // namespace

std::optional<Plan> depth::findLayers(Block &block, const SearchOptions &options) {
  Search search(block, options);
  std::optional<Plan> plan = search.best();
  return plan && options.groupLayers > 1 ? search.merged(*plan) : plan;
}
