// Experts spelled one after the other: each value between the choice and the sum is given a
// meaning, operator by operator, so that any spelling whose steps have one is recognised.
#include "passes/raise/Moe.h"
#include "llvm/ADT/SmallString.h"
#include <map>

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

namespace {
/// What a value says about T tokens, their K choices and E experts.
struct Meaning {
  enum Kind {
    none,
    choice,   ///< the chosen experts' numbers
    oneHot,   ///< 1 where the choice is the expert of axis E
    chosen,   ///< 1 where the choice is `expert`
    places,   ///< where `chosen` is 1: [axes, n], or [n, axes] if `turned`
    place,    ///< one axis of the places, in their order
    scaled,   ///< a token's place times K
    slot,     ///< token · K + choice
    spread,   ///< a token's place, repeated along the row
    gates,    ///< weights of the choices
    flat,     ///< the same as one axis of slots
    weight,   ///< those of the places
    tokens,   ///< rows of the input at the places
    result,   ///< what `expert` makes of them
    weighted, ///< the result times the weight
    sum,      ///< weighted results of `experts`, each added to its tokens' rows
    rows,     ///< rows of the sum `base` at the places
    added     ///< the same plus the weighted results
  } kind = none;
  /// 'T', 'K' and 'E' in the order of the value's axes, '1' for one of size 1.
  llvm::SmallString<4> axes;
  int64_t expert = -1;
  bool turned = false;
  /// Places of one order come from one node.
  Operation *order = nullptr;
  SmallVector<int64_t> experts;
  Value base;

  bool agrees(const Meaning &other) const { return expert == other.expert && order == other.order; }
};

struct Dispatch {
  MoeMatch &match;
  ArrayRef<FfnMatch> blocks;
  Constants &facts;
  int64_t k;
  Value tokens; ///< what the experts read, before regrouping
  llvm::DenseMap<Value, Meaning> known{};
  llvm::DenseMap<Value, const FfnMatch *> ends{};
  std::map<int64_t, const FfnMatch *> experts{};
  Operation *unknown = nullptr; ///< the first node without a meaning

  Meaning of(Value value) {
    auto it = known.find(value);
    return it == known.end() ? Meaning() : it->second;
  }

  bool isZeros(Value value) { return isFilled(value, 0.0, facts); }

  // A constant integer of one element.
  std::optional<int64_t> integer(Value value) {
    auto all = value ? facts.integers(value) : std::nullopt;
    return all && all->size() == 1 ? std::optional((*all)[0]) : std::nullopt;
  }

  // The result of taking entry `index` of the value's axis; `kept` if the axis stays, of size 1.
  Meaning entry(Meaning m, int64_t axis, int64_t index, bool kept) {
    int64_t rank = m.kind == Meaning::places ? 2 : static_cast<int64_t>(m.axes.size());
    if (axis < 0)
      axis += rank;
    if (m.kind == Meaning::places) {
      if (axis != (m.turned ? 1 : 0) || index < 0 || index >= static_cast<int64_t>(m.axes.size()))
        return {};
      m.kind = Meaning::place;
      m.axes = StringRef(&m.axes[index], 1);
      return m;
    }
    if (m.kind != Meaning::oneHot || axis < 0 || axis >= rank || m.axes[axis] != 'E' || index < 0)
      return {};
    m.kind = Meaning::chosen;
    m.expert = index;
    if (kept)
      m.axes[axis] = '1';
    else
      m.axes.erase(m.axes.begin() + axis);
    return m;
  }

  // Reshape, Squeeze, Unsqueeze: the order of elements stays.
  Meaning regroup(NodeOp node, Meaning m) {
    int64_t rank = rankOf(node.getResult(0));
    switch (m.kind) {
    case Meaning::place:
    case Meaning::scaled:
    case Meaning::slot:
    case Meaning::weight:
      return m;
    case Meaning::choice:
    case Meaning::gates:
      if (m.axes != "TK")
        return {};
      if (rank == 3 && sizeOf(node.getResult(0), 2) == 1 && sizeOf(node.getResult(0), 1) == k) {
        m.axes.push_back('1');
        return m;
      }
      if (m.kind == Meaning::choice)
        return {};
      if (rank == 1 || (rank == 2 && sizeOf(node.getResult(0), 1) == 1 && k != 1))
        m.kind = Meaning::flat;
      else if (rank != 2 || sizeOf(node.getResult(0), 1) != k)
        return {};
      return m;
    case Meaning::chosen: {
      // Only axes of size 1 may come or go.
      llvm::SmallString<4> axes;
      for (char axis : m.axes)
        if (axis != '1')
          axes.push_back(axis);
      if (rank != static_cast<int64_t>(axes.size()))
        return {};
      for (auto [i, axis] : llvm::enumerate(axes))
        if (axis == 'K' && sizeOf(node.getResult(0), i) != k)
          return {};
      m.axes = axes;
      return m;
    }
    case Meaning::tokens:
    case Meaning::result:
    case Meaning::weighted:
    case Meaning::sum:
      return keepsLastDimension(node) ? m : Meaning();
    default:
      return {};
    }
  }

  // True for a Transpose of three axes that exchanges the first two, one of size 1.
  static bool movesUnit(NodeOp node) {
    auto perm = node && node.is("Transpose")
                    ? dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"))
                    : DenseI64ArrayAttr();
    return perm && perm.asArrayRef() == ArrayRef<int64_t>{1, 0, 2} &&
           (sizeOf(node.input(0), 0) == 1 || sizeOf(node.input(0), 1) == 1);
  }

  // Rows of the tokens, or of what was summed up to now, at the places.
  Meaning lookUp(Value source, int64_t axis, const Meaning &at) {
    int64_t rank = rankOf(source);
    if (axis < 0)
      axis += rank;
    if (at.kind != Meaning::place || at.axes != "T")
      return {};
    Meaning m = at;
    if (rank == 2 && axis == 0 && (of(source).kind == Meaning::sum || isZeros(source))) {
      m.kind = Meaning::rows;
      m.base = source;
      return m;
    }
    int64_t unit = rank == 3 && axis < 2 ? sizeOf(source, 1 - axis) : 0;
    if (auto node = source.getDefiningOp<NodeOp>(); movesUnit(node))
      source = node.input(0);
    if (!((rank == 2 && axis == 0) || unit == 1) || through(source, true) != tokens)
      return {};
    m.kind = Meaning::tokens;
    return m;
  }

  // Weighted results added to their rows of `base`.
  Meaning scatter(NodeOp node, const Meaning &at, const Meaning &updates) {
    auto reduction = dyn_cast_or_null<StringAttr>(node.attribute("reduction"));
    bool adds = reduction && reduction.getValue() == "add";
    if (!at.agrees(updates) || at.axes != "T")
      return {};
    if (updates.kind == Meaning::added) {
      // Rows are read, added to and put back: each is a token's, and a token has an expert once.
      if (updates.base != node.input(0) || (reduction && reduction.getValue() != "none"))
        return {};
      Meaning m = of(node.input(0));
      m.kind = Meaning::sum;
      m.experts.push_back(updates.expert);
      return m;
    }
    if (updates.kind != Meaning::weighted)
      return {};
    Meaning m = of(node.input(0));
    if (m.kind != Meaning::sum) {
      // A token has an expert once at most: to set a row of zeros is to add to it.
      if (!isZeros(node.input(0)) || (reduction && !adds && reduction.getValue() != "none"))
        return {};
      m = Meaning();
      m.kind = Meaning::sum;
    } else if (!adds) {
      return {};
    }
    m.experts.push_back(updates.expert);
    return m;
  }

  // The leading size of Expand's target is at most 1, its last is the operand's.
  bool expandsToItself(NodeOp node) {
    auto shape = node.input(1).getDefiningOp<NodeOp>();
    int64_t width = sizeOf(node.input(0), -1);
    if (rankOf(node.input(0)) != 2 || ShapedType::isDynamic(width) ||
        sizeOf(node.getResult(0), -1) != width)
      return false;
    if (auto sizes = facts.integers(node.input(1)))
      return sizes->size() == 1 || (sizes->size() == 2 && (*sizes)[0] == 1);
    if (shape && shape.is("Shape"))
      return of(shape.input(0)).agrees(of(node.input(0)));
    auto first = shape && shape.is("Concat") && shape.getInputs().size() == 2
                     ? shape.input(0).getDefiningOp<NodeOp>()
                     : NodeOp();
    return first && first.is("Min") &&
           llvm::any_of(first.getInputs(), [&](Value v) { return integer(v) == 1; });
  }

  Meaning mean(NodeOp node, unsigned number) {
    Value value = node->getResult(number);
    if (auto end = ends.find(value); end != ends.end()) {
      Meaning m = of(end->second->input);
      if (m.kind != Meaning::tokens)
        return {};
      m.kind = Meaning::result;
      auto [it, fresh] = experts.try_emplace(m.expert, end->second);
      return fresh || it->second == end->second ? m : Meaning();
    }
    if (node.getInputs().empty() || !node.input(0))
      return {};
    Meaning m = of(node.input(0));
    Meaning second = node.getInputs().size() > 1 ? of(node.input(1)) : Meaning();

    if (node.is("Identity") || node.is("Cast"))
      return m;
    if (node.is("Reshape") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Flatten"))
      return regroup(node, m);
    if (node.is("OneHot")) {
      // Depth is checked by what is taken of it; off and on are 0 and 1.
      auto values = facts.integers(node.input(2));
      int64_t axis = node.integer("axis", -1);
      if (m.kind != Meaning::choice || !values || *values != SmallVector<int64_t>{0, 1} ||
          (axis != -1 && axis != static_cast<int64_t>(m.axes.size())))
        return {};
      m.kind = Meaning::oneHot;
      m.axes.push_back('E');
      return m;
    }
    if (node.is("Equal")) {
      // Against the numbers of all experts: an axis of them.
      auto all = facts.integers(node.input(1));
      if (all && all->size() > 1 &&
          sizeOf(node.input(1), -1) == static_cast<int64_t>(all->size())) {
        if (m.kind != Meaning::choice || m.axes != "TK1" ||
            !llvm::equal(*all, llvm::seq<int64_t>(0, static_cast<int64_t>(all->size()))))
          return {};
        m.kind = Meaning::oneHot;
        m.axes.back() = 'E';
        return m;
      }
      auto c = integer(node.input(1));
      if (!c)
        return {};
      if (m.kind == Meaning::choice && *c >= 0) {
        m.kind = Meaning::chosen;
        m.expert = *c;
        return m;
      }
      return (m.kind == Meaning::chosen || m.kind == Meaning::oneHot) && *c == 1 ? m : Meaning();
    }
    if (node.is("Greater"))
      return (m.kind == Meaning::chosen || m.kind == Meaning::oneHot) && integer(node.input(1)) == 0
                 ? m
                 : Meaning();
    if (node.is("Transpose")) {
      auto perm = dyn_cast_or_null<DenseI64ArrayAttr>(node.attribute("perm"));
      if (m.kind == Meaning::places) {
        m.turned = !m.turned;
        return !perm || perm.asArrayRef() == ArrayRef<int64_t>{1, 0} ? m : Meaning();
      }
      bool rows =
          m.kind == Meaning::tokens || m.kind == Meaning::result || m.kind == Meaning::weighted;
      if (rows)
        return movesUnit(node) ? m : Meaning();
      if (m.kind != Meaning::choice && m.kind != Meaning::oneHot && m.kind != Meaning::chosen &&
          m.kind != Meaning::gates)
        return {};
      llvm::SmallString<4> axes(m.axes);
      for (size_t i = 0; i < axes.size(); ++i)
        axes[i] = m.axes[perm ? perm[i] : axes.size() - 1 - i];
      m.axes = axes;
      return m;
    }
    if (node.is("NonZero")) {
      if (m.kind != Meaning::chosen || llvm::is_contained(m.axes, '1'))
        return {};
      m.kind = Meaning::places;
      m.order = node;
      return m;
    }
    if (node.is("Gather")) {
      int64_t axis = node.integer("axis", 0);
      if (auto index = integer(node.input(1)))
        return entry(m, axis, *index, rankOf(node.input(1)) == 1);
      bool one = m.kind == Meaning::gates && k == 1 && m.axes == "TK";
      bool slots = second.kind == Meaning::slot ||
                   (k == 1 && second.kind == Meaning::place && second.axes == "T");
      if ((m.kind == Meaning::flat || one) && axis == 0 && slots) {
        second.kind = Meaning::weight;
        return second;
      }
      return lookUp(node.input(0), axis, second);
    }
    if (node.is("GatherND") && node.integer("batch_dims", 0) == 0) {
      if (m.kind == Meaning::gates && second.kind == Meaning::places && second.turned &&
          second.axes == StringRef(m.axes).rtrim('1')) {
        second.kind = Meaning::weight;
        return second;
      }
      return sizeOf(node.input(1), -1) == 1 ? lookUp(node.input(0), 0, second) : Meaning();
    }
    if (node.is("Split")) {
      if (sizeOf(value, node.integer("axis", 0)) != 1)
        return {};
      for (Value result : node.getResults().take_front(number))
        if (sizeOf(result, node.integer("axis", 0)) != 1)
          return {};
      return entry(m, node.integer("axis", 0), number, true);
    }
    if (node.is("Slice")) {
      auto start = integer(node.input(1));
      auto axis = node.input(3) ? integer(node.input(3)) : std::optional<int64_t>(0);
      if (!start || !axis || sizeOf(value, *axis) != 1 ||
          (node.input(4) && integer(node.input(4)) != 1))
        return {};
      return entry(m, *axis, *start, true);
    }
    if (node.is("Concat")) {
      // Axes of one order side by side.
      int64_t axis = node.integer("axis", 0);
      if (m.kind != Meaning::place || rankOf(value) != 2 || (axis != -1 && axis != 1))
        return {};
      Meaning all = m;
      all.kind = Meaning::places;
      all.turned = true;
      all.axes.clear();
      for (Value part : node.getInputs()) {
        Meaning p = of(part);
        if (p.kind != Meaning::place || !p.agrees(m) || sizeOf(part, 1) != 1)
          return {};
        all.axes += p.axes;
      }
      return all;
    }
    if (node.is("Mul")) {
      for (unsigned i : {0, 1}) {
        Meaning a = of(node.input(i)), b = of(node.input(1 - i));
        if (a.kind == Meaning::place && a.axes == "T" && integer(node.input(1 - i)) == k) {
          a.kind = Meaning::scaled;
          return a;
        }
        if (a.kind == Meaning::result && b.kind == Meaning::weight && a.agrees(b) &&
            sizeOf(node.input(1 - i), -1) == 1 &&
            rankOf(node.input(1 - i)) == rankOf(node.input(i))) {
          a.kind = Meaning::weighted;
          return a;
        }
      }
      return {};
    }
    if (node.is("Add")) {
      for (unsigned i : {0, 1}) {
        Meaning a = of(node.input(i)), b = of(node.input(1 - i));
        bool scaled =
            a.kind == Meaning::scaled || (k == 1 && a.kind == Meaning::place && a.axes == "T");
        if (scaled && b.kind == Meaning::place && b.axes == "K" && a.agrees(b)) {
          a.kind = Meaning::slot;
          return a;
        }
        if (a.kind == Meaning::rows && b.kind == Meaning::weighted && a.agrees(b)) {
          a.kind = Meaning::added;
          return a;
        }
        if (a.kind == Meaning::sum && (b.kind == Meaning::sum || isZeros(node.input(1 - i)))) {
          a.experts.append(b.experts);
          return a;
        }
      }
      return {};
    }
    if (node.is("Expand")) {
      if (m.kind == Meaning::place && m.axes == "T" && sizeOf(node.input(0), -1) == 1) {
        m.kind = Meaning::spread;
        return m;
      }
      return m.kind == Meaning::weighted && expandsToItself(node) ? m : Meaning();
    }
    if (node.is("ScatterElements") && node.integer("axis", 0) == 0 &&
        second.kind == Meaning::spread)
      return scatter(node, second, of(node.input(2)));
    if (node.is("ScatterND") && second.kind == Meaning::place && sizeOf(node.input(1), -1) == 1)
      return scatter(node, second, of(node.input(2)));
    return {};
  }
};
} // namespace

std::string raise::matchDispatch(MoeMatch &match, ArrayRef<FfnMatch> blocks, Value gates,
                                 const Nodes &within, Constants &facts, Value &tokens) {
  Value indices = match.topk->getResult(1);
  if (rankOf(indices) != 2)
    return "experts are spelled one by one, chosen for tokens of several axes";
  auto router = matchLinear(match.scores, facts);
  if (!router)
    return "the scores are not a linear map of the tokens";
  tokens = through(router->input, true);
  int64_t count = sizeOf(match.topk.input(0), -1);
  Dispatch dispatch{match, blocks, facts, match.k, tokens};
  dispatch.known[indices].kind = Meaning::choice;
  dispatch.known[indices].axes = "TK";
  dispatch.known[gates].kind = Meaning::gates;
  dispatch.known[gates].axes = "TK";
  Nodes inside;
  for (const FfnMatch &block : blocks) {
    dispatch.ends[block.root] = &block;
    inside.insert(block.nodes.begin(), block.nodes.end());
  }
  SmallVector<Operation *> order(within.begin(), within.end());
  llvm::sort(order, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : order) {
    auto node = dyn_cast<NodeOp>(op);
    if (!node || node == match.topk)
      continue;
    bool any = false, read = false;
    for (unsigned i = 0; i < node->getNumResults(); ++i) {
      Value value = node->getResult(i);
      if (dispatch.known.count(value))
        continue;
      if (Meaning m = dispatch.mean(node, i); m.kind != Meaning::none) {
        dispatch.known[value] = m;
        any = true;
      }
    }
    for (Value operand : node.getInputs())
      read |= dispatch.known.count(operand) > 0;
    bool shape = node.is("Shape") || node.is("Size");
    if (!any && read && !shape && !dispatch.unknown && !inside.contains(op) &&
        !dispatch.known.count(node->getResult(0)))
      dispatch.unknown = op;
  }
  Meaning end = dispatch.of(match.root);
  if (end.kind != Meaning::sum)
    return "experts are spelled one by one" +
           (dispatch.unknown ? ", and " + describe(dispatch.unknown) + " is no step of that"
                             : std::string());
  // Each expert once.
  llvm::sort(end.experts);
  for (int64_t e = 0; e < count; ++e)
    if (static_cast<int64_t>(end.experts.size()) != count || end.experts[e] != e)
      return "experts are spelled one by one, " + std::to_string(end.experts.size()) + " of " +
             std::to_string(count);
  // What must be equal to stack two experts.
  auto form = [](const FfnMatch &block) {
    auto biased = [](const FfnBranch &branch) {
      return !branch.linear.biases.empty() || branch.extraBias;
    };
    return std::make_tuple(block.activation, block.up.size, block.down.out, biased(block.up),
                           block.gate.has_value(), block.gate && biased(*block.gate),
                           !block.down.biases.empty() || !block.downBiases.empty());
  };
  for (auto [number, block] : dispatch.experts) {
    if (form(*block) != form(*dispatch.experts.begin()->second))
      return "experts are spelled one by one, and are not alike";
    match.experts.push_back(*block);
  }
  match.activation = match.experts.front().activation;
  for (auto &[value, meaning] : dispatch.known)
    match.nodes.insert(value.getDefiningOp());
  match.nodes.insert(inside.begin(), inside.end());
  return {};
}
