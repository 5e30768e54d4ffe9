// outline-elementwise: connected elementwise operators become one rt.elementwise, one loop for
// which a kernel is generated.
#include "dialects/rt/Rt.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/Passes.h"
#include "passes/lower/ScalarBody.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace uoe {
#define GEN_PASS_DEF_OUTLINEELEMENTWISEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

/// Operands and results of a group at most: each is a pointer that the loop advances.
static constexpr size_t kMostPorts = 16;

static RankedTensorType typeOf(Value value) {
  return dyn_cast<RankedTensorType>(value.getType());
}

/// True if the types tell that the shapes are equal: sizes or names of all dimensions are.
static bool sameShape(RankedTensorType a, RankedTensorType b) {
  if (a.getRank() != b.getRank())
    return false;
  for (int64_t d = 0; d < a.getRank(); ++d) {
    if (a.getDimSize(d) != b.getDimSize(d))
      return false;
    if (a.isDynamicDim(d) &&
        (onnx::dimName(a, d).empty() || onnx::dimName(a, d) != onnx::dimName(b, d)))
      return false;
  }
  return true;
}

/// True if nothing says that `part` repeats in `whole`: its loop is taken for the same.
static bool mayBeSameShape(RankedTensorType part, RankedTensorType whole) {
  if (part.getRank() != whole.getRank())
    return false;
  for (int64_t d = 0; d < part.getRank(); ++d)
    if (part.getDimSize(d) == 1 && whole.getDimSize(d) != 1)
      return false;
  return true;
}

/// True if the types tell that `row` is `whole` with a last dimension of 1.
static bool isRowOf(RankedTensorType row, RankedTensorType whole) {
  if (row.getRank() != whole.getRank() || row.getRank() == 0 || row.getShape().back() != 1)
    return false;
  auto names = [&](RankedTensorType type) {
    SmallVector<StringRef> list;
    for (int64_t d = 0; d + 1 < type.getRank(); ++d)
      list.push_back(type.isDynamicDim(d) ? onnx::dimName(type, d) : "static");
    return list;
  };
  return row.getShape().drop_back() == whole.getShape().drop_back() && names(row) == names(whole) &&
         !llvm::is_contained(names(row), "");
}

namespace {

/// The groups of one block.
class Outliner {
public:
  Outliner(Block &block, int64_t least, bool withRows) : least(least), withRows(withRows) {
    for (Operation &op : block) {
      place[&op] = static_cast<int>(ops.size());
      ops.push_back(&op);
    }
    groupOf.assign(ops.size(), -1);
    isConstant.assign(ops.size(), false);
    isRow.assign(ops.size(), false);
    reads.resize(ops.size());
    for (int i = 0; i < static_cast<int>(ops.size()); ++i)
      scan(i);
  }

  /// Makes the groups; returns how many operators went into them.
  int64_t run(int64_t &made) {
    for (int i = 0; i < static_cast<int>(ops.size()); ++i)
      join(i);
    int64_t outlined = 0;
    for (Group &group : groups)
      if (group.members.size() > 1) {
        outline(group);
        outlined += static_cast<int64_t>(group.members.size());
        ++made;
      }
    return outlined;
  }

private:
  struct Group {
    SmallVector<int> members; // places, in order
    Value shape;              // a value of the loop's shape
    bool rows;                // reads whole rows
  };

  /// What op i reads in this block, in its regions included; whether it is constant.
  void scan(int i) {
    llvm::SmallSetVector<int, 8> found;
    bool constant = true;
    auto add = [&](Value value) {
      Operation *def = value.getDefiningOp();
      auto known = def ? place.find(def) : place.end();
      if (known != place.end())
        found.insert(known->second);
      constant &= known != place.end() && isConstant[known->second];
    };
    ops[i]->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (!isa<NoneType>(operand.getType()))
          add(operand);
    });
    reads[i] = found.takeVector();
    isConstant[i] = isa<onnx::WeightOp, onnx::NoneOp>(ops[i]) ||
                    (isa<onnx::NodeOp>(ops[i]) && ops[i]->getNumRegions() == 0 && constant);
  }

  /// What a node's loop runs over: its result, or what it reduces.
  static Value loopShape(onnx::NodeOp node) {
    return scalar::reducesRows(node) ? node.getInputs()[0] : node.getResult(0);
  }

  /// Worth a loop: neither computed once at load nor known to be small, as shape arithmetic is.
  bool isCandidate(int i) {
    auto node = dyn_cast<onnx::NodeOp>(ops[i]);
    if (!node || isConstant[i] || !scalar::isSupported(node))
      return false;
    if (scalar::readsRows(node) && !withRows)
      return false;
    RankedTensorType type = typeOf(loopShape(node));
    return !type.hasStaticShape() || type.getNumElements() >= least;
  }

  /// Places op i in a group of its own, then joins it with the groups that it reads from.
  void join(int i) {
    if (!isCandidate(i))
      return;
    auto node = cast<onnx::NodeOp>(ops[i]);
    groupOf[i] = static_cast<int>(groups.size());
    isRow[i] = scalar::reducesRows(node);
    groups.push_back({{i}, loopShape(node), scalar::readsRows(node)});
    for (Value operand : scalar::elementOperands(node)) {
      Operation *def = operand.getDefiningOp();
      auto known = def ? place.find(def) : place.end();
      if (known == place.end() || groupOf[known->second] < 0 ||
          groupOf[known->second] == groupOf[i])
        continue;
      Group &from = groups[groupOf[known->second]], &to = groups[groupOf[i]];
      if (mayJoin(from, to))
        merge(groupOf[known->second], groupOf[i]);
      else if (isRow[known->second] && mayJoinRows(from, to))
        mergeRows(groupOf[known->second], groupOf[i]);
    }
  }

  /// The value that an operator takes its shape from, through chains of them; else the value
  /// itself.
  Value shapeSource(Value value) {
    auto known = sources.find(value);
    if (known != sources.end())
      return known->second;
    Value source = value;
    auto node = value.getDefiningOp<onnx::NodeOp>();
    if (node && scalar::isSupported(node) && scalar::readsRows(node)) {
      if (!scalar::reducesRows(node))
        source = shapeSource(node.getInputs()[0]);
    } else if (node && scalar::isSupported(node)) {
      Value only;
      bool single = true;
      for (Value operand : scalar::elementOperands(node))
        if (!scalar::constantElement(operand)) {
          single &= !only || only == operand;
          only = operand;
        }
      if (only && single && typeOf(only).getRank() == typeOf(value).getRank())
        source = shapeSource(only);
    }
    return sources[value] = source;
  }
  bool sameShape(Value a, Value b) {
    return shapeSource(a) == shapeSource(b) || ::sameShape(typeOf(a), typeOf(b));
  }

  bool mayJoin(const Group &from, const Group &to) {
    if (!sameShape(from.shape, to.shape)) {
      // Taken for equal as long as nobody else needs what is computed: a result has the loop's
      // shape.
      if (from.rows || to.rows || !mayBeSameShape(typeOf(from.shape), typeOf(to.shape)))
        return false;
      for (int member : from.members)
        if (isResult(member, from, to))
          return false;
    }
    // Members that may be smaller must not become results either.
    for (int member : to.members)
      if (!isRow[member] && !sameShape(ops[member]->getResult(0), to.shape) &&
          isResult(member, from, to))
        return false;
    return ports(from, to) <= kMostPorts && !isCyclic(from, to);
  }

  /// Whether `to`, over one element a row, may be computed between the loops over the rows of
  /// `from`.
  bool mayJoinRows(const Group &from, const Group &to) {
    return from.rows && !to.rows && isRowOf(typeOf(to.shape), typeOf(from.shape)) &&
           llvm::all_of(to.members,
                        [&](int member) {
                          return isRowOf(typeOf(ops[member]->getResult(0)), typeOf(from.shape));
                        }) &&
           llvm::all_of(to.members, [&](int member) { return readsRowsAlone(member); }) &&
           ports(from, to) <= kMostPorts && !isCyclic(from, to);
  }
  /// Whether all operands are known to have one element a row.
  bool readsRowsAlone(int member) {
    return llvm::all_of(scalar::elementOperands(cast<onnx::NodeOp>(ops[member])),
                        [](Value operand) {
                          RankedTensorType type = typeOf(operand);
                          return scalar::constantElement(operand) || type.getRank() == 0 ||
                                 type.getShape().back() == 1;
                        });
  }

  static bool contains(const Group &group, int place) {
    return llvm::binary_search(group.members, place);
  }

  /// Whether something outside both groups reads the member.
  bool isResult(int member, const Group &a, const Group &b) {
    for (Operation *user : ops[member]->getResult(0).getUsers()) {
      auto known = place.find(user);
      if (known == place.end() || !(contains(a, known->second) || contains(b, known->second)))
        return true;
    }
    return false;
  }

  size_t ports(const Group &a, const Group &b) {
    llvm::SmallPtrSet<void *, 16> operands;
    size_t results = 0;
    for (const Group *group : {&a, &b})
      for (int member : group->members) {
        results += isResult(member, a, b);
        for (Value operand : scalar::elementOperands(cast<onnx::NodeOp>(ops[member])))
          if (!isInside(operand, a, b) && !scalar::constantElement(operand))
            operands.insert(operand.getAsOpaquePointer());
      }
    return operands.size() + results;
  }

  bool isInside(Value value, const Group &a, const Group &b) {
    Operation *def = value.getDefiningOp();
    auto known = def ? place.find(def) : place.end();
    return known != place.end() && (contains(a, known->second) || contains(b, known->second));
  }

  /// Whether a path leads out of the two groups and back into them: as one op they would wait for
  /// themselves.
  bool isCyclic(const Group &a, const Group &b) {
    int first = std::min(a.members.front(), b.members.front());
    llvm::SmallDenseSet<int, 32> seen;
    SmallVector<int> open;
    auto visit = [&](int at) {
      if (seen.insert(at).second)
        open.push_back(at);
    };
    auto inside = [&](int at) { return contains(a, at) || contains(b, at); };
    for (const Group *group : {&a, &b})
      for (int member : group->members)
        for (int read : reads[member])
          if (!inside(read))
            visit(read);
    while (!open.empty()) {
      int at = open.pop_back_val();
      if (inside(at))
        return true;
      // Another group runs as a whole, after all that any of its members reads.
      const Group *whole = groupOf[at] >= 0 ? &groups[groupOf[at]] : nullptr;
      if ((whole ? whole->members.back() : at) < first)
        continue;
      for (int read : reads[at])
        visit(read);
      if (whole)
        for (int member : whole->members)
          visit(member);
    }
    return false;
  }

  void mergeRows(int from, int to) {
    for (int member : groups[to].members)
      isRow[member] = true;
    groups[to].shape = groups[from].shape;
    merge(from, to);
  }

  void merge(int from, int to) {
    groups[to].rows |= groups[from].rows;
    SmallVector<int> all;
    std::merge(groups[from].members.begin(), groups[from].members.end(), groups[to].members.begin(),
               groups[to].members.end(), std::back_inserter(all));
    for (int member : groups[from].members)
      groupOf[member] = to;
    groups[to].members = std::move(all);
    groups[from].members.clear();
  }

  void outline(Group &group) {
    llvm::SmallSetVector<Value, 8> operands;
    SmallVector<onnx::NodeOp> nodes, results;
    Group none{};
    for (int member : group.members) {
      auto node = cast<onnx::NodeOp>(ops[member]);
      nodes.push_back(node);
      if (isResult(member, group, none))
        results.push_back(node);
      for (Value operand : scalar::elementOperands(node))
        if (!isInside(operand, group, none) && !scalar::constantElement(operand))
          operands.insert(operand);
    }
    OpBuilder builder(nodes.back());
    SmallVector<Type> types;
    for (onnx::NodeOp node : results)
      types.push_back(node.getResult(0).getType());
    auto op =
        rtir::ElementwiseOp::create(builder, locationOf(nodes), types, operands.getArrayRef());
    fill(op, nodes, results);
    for (auto [node, result] : llvm::zip(results, op.getResults()))
      node.getResult(0).replaceAllUsesWith(result);
    for (onnx::NodeOp node : llvm::reverse(nodes))
      node.erase();
  }

  /// "first .. last", for messages.
  static Location locationOf(ArrayRef<onnx::NodeOp> nodes) {
    MLIRContext *context = nodes.front()->getContext();
    onnx::NodeOp first = nodes.front(), last = nodes.back();
    std::string name = (first.nodeName() + " .. " + last.nodeName()).str();
    return NameLoc::get(StringAttr::get(context, name));
  }

  static void fill(rtir::ElementwiseOp op, ArrayRef<onnx::NodeOp> nodes,
                   ArrayRef<onnx::NodeOp> results) {
    Block &body = op.getBody().emplaceBlock();
    OpBuilder builder = OpBuilder::atBlockBegin(&body);
    DenseMap<Value, Value> elements;
    llvm::MapVector<Attribute, Value> constants;
    for (Value operand : op.getOperands())
      elements[operand] = body.addArgument(typeOf(operand).getElementType(), op.getLoc());
    for (onnx::NodeOp node : nodes) {
      SmallVector<Value> in;
      for (Value operand : scalar::elementOperands(node)) {
        Value element = elements.lookup(operand);
        if (TypedAttr value = element ? TypedAttr() : scalar::constantElement(operand)) {
          Value &known = constants[value];
          if (!known)
            known = arith::ConstantOp::create(builder, op.getLoc(), value);
          element = known;
        }
        in.push_back(element);
      }
      elements[node.getResult(0)] = scalar::emit(builder, node, in);
    }
    SmallVector<Value> yielded;
    for (onnx::NodeOp node : results)
      yielded.push_back(elements[node.getResult(0)]);
    rtir::YieldOp::create(builder, op.getLoc(), yielded);
  }

  int64_t least;
  bool withRows;
  std::vector<Operation *> ops;
  DenseMap<Operation *, int> place;
  std::vector<SmallVector<int>> reads;
  std::vector<bool> isConstant;
  DenseMap<Value, Value> sources; // see shapeSource
  std::vector<bool> isRow;        // members with one element a row
  std::vector<int> groupOf;       // per op its group, -1 if it is in none
  std::vector<Group> groups;
};

struct OutlineElementwisePass : uoe::impl::OutlineElementwisePassBase<OutlineElementwisePass> {
  using OutlineElementwisePassBase::OutlineElementwisePassBase;

  void runOnOperation() override {
    SmallVector<Block *> blocks;
    getOperation().walk([&](Operation *op) {
      if (isa<func::FuncOp, onnx::NodeOp>(op))
        for (Region &region : op->getRegions())
          for (Block &block : region)
            blocks.push_back(&block);
    });
    for (Block *block : blocks) {
      int64_t made = 0;
      int64_t outlined = Outliner(*block, leastElements, rows).run(made);
      groups += made;
      operators += outlined;
      // A group stands where its last operator stood; readers of the others may stand before it.
      if (made && !sortTopologically(block)) {
        block->getParentOp()->emitError("elementwise groups depend on each other");
        return signalPassFailure();
      }
    }
  }
};

} // namespace
