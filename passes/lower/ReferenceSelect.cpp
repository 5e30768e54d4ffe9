// Choices in ONNX operators.
#include "passes/lower/Reference.h"
#include <numeric>

using namespace mlir;
using namespace uoe;

namespace {

struct Selection {
  NodeBuilder &b;
  SelectOp op;
  Value s;
  int64_t n;
  Type element, i1, i64;
  Value zero, one, lowest;

  Selection(NodeBuilder &b, SelectOp op)
      : b(b), op(op), s(op.getScores()), n(op.numExperts()), element(elementTypeOf(s)),
        i1(IntegerType::get(op.getContext(), 1)), i64(IntegerType::get(op.getContext(), 64)),
        zero(b.scalar(0, s)), one(b.scalar(1, s)),
        lowest(b.scalar(-std::numeric_limits<float>::infinity(), s)) {}

  Value where(Value flag, Value yes, Value no) {
    return b.node("Where", {flag, yes, no}, {}, element);
  }
  Value both(Value a, Value c) { return !a ? c : !c ? a : b.node("And", {a, c}, {}, i1); }
  Value positive(Value x) { return b.node("Greater", {x, zero}, {}, i1); }
  Value number(Value flags) { return where(flags, one, zero); }
  Value cooled(Value x, APFloat temperature) {
    float t = temperature.convertToFloat();
    return t == 1 ? x : b.node("Div", {x, b.scalar(t, s)});
  }
  // The k highest along an axis as flags; ties to the lower index.
  Value top(Value x, Value k, int64_t axis, Value *indices = nullptr) {
    ResultRange best =
        b.nodes("TopK", {x, k}, {UnrankedTensorType::get(element), UnrankedTensorType::get(i64)},
                {b.attr("axis", axis)});
    if (indices)
      *indices = best[1];
    Value ones = number(b.node("GreaterOrEqual", {best[1], b.scalarInt(0)}, {}, i1));
    return positive(b.node("ScatterElements", {zeros(x), best[1], ones}, {b.attr("axis", axis)}));
  }
  Value zeros(Value x) { return b.node("Expand", {zero, b.node("Shape", {x}, {}, i64)}); }

  SmallVector<SmallVector<int64_t>> members() {
    SmallVector<SmallVector<int64_t>> list(op.numGroups());
    for (auto [expert, group] : llvm::enumerate(*op.getGroups()))
      list[group].push_back(static_cast<int64_t>(expert));
    return list;
  }

  // Step 1.
  Value gates() {
    Value t = cooled(s, op.getTemperature());
    switch (op.getScoring()) {
    case Scoring::raw:
      return t;
    case Scoring::sigmoid:
      return b.node("Sigmoid", {t});
    case Scoring::softmax:
      break;
    }
    if (!op.getGroupScores())
      return b.node("Softmax", {t}, {b.attr("axis", -1)});
    SmallVector<Value> parts;
    SmallVector<int64_t> place(n);
    int64_t at = 0;
    for (ArrayRef<int64_t> group : members()) {
      Value part = b.node("Gather", {t, b.ints(group)}, {b.attr("axis", -1)});
      parts.push_back(b.node("Softmax", {part}, {b.attr("axis", -1)}));
      for (int64_t expert : group)
        place[expert] = at++;
    }
    Value within = b.node("Gather", {b.node("Concat", parts, {b.attr("axis", -1)}), b.ints(place)},
                          {b.attr("axis", -1)});
    return b.mul(within, perExpert(groupGates()));
  }
  Value groupGates() {
    return b.node("Softmax", {cooled(op.getGroupScores(), op.getGroupTemperature())},
                  {b.attr("axis", -1)});
  }
  Value perExpert(Value perGroup) {
    return b.node("Gather", {perGroup, b.ints(*op.getGroups())}, {b.attr("axis", -1)});
  }

  // Step 2; null: all.
  Value eligible(Value g, const reference::Routing *within) {
    Value result;
    if (op.getGroupK()) {
      Value scores;
      if (op.getGroupScores()) {
        scores = groupGates();
      } else {
        SmallVector<Value> parts;
        Value biased = b.biased(g, op.getSelectionBias());
        for (ArrayRef<int64_t> group : members()) {
          Value part = b.node("Gather", {biased, b.ints(group)}, {b.attr("axis", -1)});
          if (op.getGroupScore() == GroupScore::top2 && group.size() > 2)
            part = b.nodes("TopK", {part, b.ints({2})},
                           {UnrankedTensorType::get(element), UnrankedTensorType::get(i64)},
                           {b.attr("axis", -1)})[0];
          bool sum = op.getGroupScore() == GroupScore::top2;
          parts.push_back(reference::reduce(b, sum ? "ReduceSum" : "ReduceMax", part, -1));
        }
        scores = b.node("Concat", parts, {b.attr("axis", -1)});
      }
      Value best = number(top(scores, b.ints({static_cast<int64_t>(*op.getGroupK())}), -1));
      result = positive(perExpert(best));
    }
    if (within && within->chosen) {
      // Where both speak for the same rows nothing is to be spread.
      Value rows = within->chosen;
      int64_t own = op.getRouting().getType().getTokens();
      if (within->tokens != own)
        rows = positive(reference::perToken(b, number(rows), within->tokens, s));
      result = both(result, rows);
    }
    return result;
  }

  // What a ranking reads: scores where they order experts as gates do, since gates may saturate.
  Value rankedBy(Value g) {
    bool same = !op.getSelectionBias() && !op.getGroupScores();
    return same ? s : b.biased(g, op.getSelectionBias());
  }

  // Step 3; null: all.
  Value chosen(Value g, Value eligible) {
    Value c = b.biased(g, op.getSelectionBias()), by = rankedBy(g);
    Value ranked = eligible ? where(eligible, by, lowest) : by;
    switch (op.getRule()) {
    case Rule::all:
      return eligible;
    case Rule::threshold: {
      Value tau =
          op.getThresholds() ? op.getThresholds() : b.scalar(op.getTau()->convertToDouble(), s);
      return both(b.node("Greater", {c, tau}, {}, i1), eligible);
    }
    case Rule::token_topk:
      return both(top(ranked, b.ints({static_cast<int64_t>(*op.getK())}), -1), eligible);
    case Rule::top_p: {
      float p = op.getP()->convertToFloat();
      if (p >= 1)
        return eligible;
      ResultRange sorted = b.nodes("TopK", {ranked, b.ints({n})},
                                   {UnrankedTensorType::get(element), UnrankedTensorType::get(i64)},
                                   {b.attr("axis", -1)});
      // The sum of what comes before: the expert that crosses p is kept.
      Value own = eligible ? where(eligible, g, zero) : g;
      Value values = b.node("GatherElements", {own, sorted[1]}, {b.attr("axis", -1)});
      Value before = b.node("CumSum", {values, b.scalarInt(-1)}, {b.attr("exclusive", 1)});
      Value keep = number(b.node("LessOrEqual", {before, b.scalar(p, s)}, {}, i1));
      Value flags =
          positive(b.node("ScatterElements", {zeros(g), sorted[1], keep}, {b.attr("axis", -1)}));
      return both(flags, eligible);
    }
    }
    return {};
  }

  // Step 4.
  Value filled(Value chosen, Value g, Value eligible) {
    if (!chosen || op.getEmpty() == EmptyChoice::none)
      return chosen;
    Value none =
        b.node("Not", {positive(reference::reduce(b, "ReduceMax", number(chosen), -1))}, {}, i1);
    Value instead = eligible;
    if (op.getEmpty() == EmptyChoice::argmax) {
      Value c = rankedBy(g);
      // Indices count up along the last axis; the first of equal maxima wins, as in ArgMax.
      Value best =
          b.node("ArgMax", {eligible ? where(eligible, c, lowest) : c}, {b.attr("axis", -1)}, i64);
      SmallVector<int64_t> count(n);
      std::iota(count.begin(), count.end(), 0);
      instead = both(b.node("Equal", {best, b.ints(count)}, {}, i1), eligible);
    }
    return b.node("Or", {chosen, instead ? both(instead, none) : none}, {}, i1);
  }

  // Step 5, of gates that are 0 where not chosen.
  Value normalized(Value g) {
    int64_t axis;
    switch (op.getNormalize()) {
    case NormalizeAxis::none:
      return g;
    case NormalizeAxis::experts:
      axis = -1;
      break;
    case NormalizeAxis::tokens:
      axis = -2;
      break;
    case NormalizeAxis::batch:
      axis = 0;
      break;
    }
    Value sum = reference::reduce(b, "ReduceSum", g, axis);
    Value empty = b.node("Equal", {sum, zero}, {}, i1);
    return b.node("Div", {g, where(empty, one, sum)});
  }

  // Step 6.
  Value limited(Value chosen, Value g, Value &places) {
    Value rows = reference::dimension(b, s, -2), c = rows;
    auto atMost = [&](Value limit) { c = b.node("Min", {c, limit}, {}, i64); };
    if (op.getCapacity())
      atMost(b.ints({static_cast<int64_t>(*op.getCapacity())}));
    if (op.getCapacityShare()) {
      Value share = b.mul(reference::castTo(b, rows, element),
                          b.scalar(op.getCapacityShare()->convertToDouble(), s));
      Value whole = reference::castTo(b, b.node("Floor", {share}), i64);
      atMost(b.node("Max", {whole, b.ints({1})}, {}, i64));
    }
    if (op.getCapacityTakers() && chosen) {
      Value takers = reference::reduce(b, "ReduceSum", number(chosen), -2, false);
      takers = b.node("Reshape", {takers, b.ints({-1})});
      // A batch without rows has no largest.
      takers =
          b.node("Concat", {takers, b.node("Reshape", {zero, b.ints({1})})}, {b.attr("axis", 0)});
      atMost(reference::castTo(b, reference::reduce(b, "ReduceMax", takers, 0), i64));
    }
    // Rows that did not choose come after all that did, the earliest first.
    Value kept = top(chosen ? where(chosen, g, lowest) : g, c, -2, &places);
    return op.getPadding() == Padding::token ? kept : both(chosen, kept);
  }

  // Step 7.
  Value weighted(Value chosen, Value g) {
    Value w = op.getWeight() == WeightRule::gate ? (chosen ? where(chosen, g, zero) : g)
              : chosen                           ? number(chosen)
                                                 : Value();
    float factor = op.getFactor().convertToFloat();
    if (factor == 1 && op.getScaling() == Scaling::none)
      return w;
    if (!w)
      w = b.add(zeros(s), one);
    if (factor != 1)
      w = b.mul(w, b.scalar(factor, s));
    if (op.getScaling() == Scaling::none)
      return w;
    Value flags = chosen ? number(chosen) : b.add(zeros(s), one);
    Value count = b.node("Max", {reference::reduce(b, "ReduceSum", flags, -1), one});
    if (op.getScaling() == Scaling::n_over_active)
      w = b.mul(w, b.scalar(static_cast<double>(n), s));
    return b.node("Div", {w, count});
  }
};

} // namespace

reference::Routing reference::select(NodeBuilder &b, SelectOp op, const Routing *within) {
  Selection select(b, op);
  Routing routing;
  routing.tokens = op.getRouting().getType().getTokens();
  routing.experts = select.n;
  Value g = select.gates(), eligible = select.eligible(g, within);
  Value chosen = select.filled(select.chosen(g, eligible), g, eligible);
  if (op.hasCapacity() || op.getNormalize() != NormalizeAxis::none ||
      op.getWeight() == WeightRule::gate) {
    if (chosen)
      g = select.where(chosen, g, select.zero);
    g = select.normalized(g);
  }
  if (op.hasCapacity())
    chosen = select.limited(chosen, g, routing.places);
  routing.chosen = chosen;
  routing.weight = select.weighted(chosen, g);
  if (op.getWeight() == WeightRule::unit && op.getScaling() == Scaling::none &&
      op.getFactor().convertToFloat() == 1)
    routing.flags = routing.weight;
  return routing;
}
