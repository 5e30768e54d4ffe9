// Control flow: subgraphs are inferred in place, with the enclosing graph's values.
#include "lib/Onnx/Operators/Table.h"

using namespace mlir;
using namespace uoe::onnx;
using llvm::SmallVector;

namespace {

Region *subgraph(NodeContext &c, StringRef name) {
  if (auto names = c.node.getSubgraphNames())
    for (auto [i, attr] : llvm::enumerate(*names))
      if (cast<StringAttr>(attr).getValue() == name)
        return &c.node.getSubgraphs()[i];
  return nullptr;
}

/// What two alternatives have in common.
Facts join(NodeContext &c, const Facts &a, const Facts &b) {
  Facts result;
  if (a.other || b.other) {
    if (a.other == b.other)
      result.other = a.other;
    return result;
  }
  result.element = a.element == b.element ? a.element : Type();
  if (!a.ranked || !b.ranked || a.rank() != b.rank())
    return result;
  result.ranked = true;
  for (auto [x, y] : llvm::zip(a.dims, b.dims))
    result.dims.push_back(x == y ? x : c.unknown());
  if (a.contents && b.contents && a.contents->size() == b.contents->size()) {
    result.contents.emplace();
    for (auto [x, y] : llvm::zip(*a.contents, *b.contents))
      result.contents->push_back(x == y ? x : c.dims.anonymous(false));
  }
  return result;
}

LogicalResult ifThenElse(NodeContext &c) {
  Region *branches[2] = {subgraph(c, "then_branch"), subgraph(c, "else_branch")};
  const auto *condition = c.contents(0);
  std::optional<int64_t> taken;
  if (condition && condition->size() == 1)
    taken = (*condition)[0].constant();
  SmallVector<SmallVector<Facts>, 2> results;
  for (auto [i, branch] : llvm::enumerate(branches)) {
    if (!branch)
      return c.fail("needs subgraphs then_branch and else_branch");
    // What is never run may well be wrong for the shapes at hand: that is why it is not run.
    bool diagnose = c.analysis.diagnose, before = c.analysis.failed;
    bool dead = taken && (*taken ? 0 : 1) != static_cast<int64_t>(i);
    c.analysis.diagnose = diagnose && !dead;
    LogicalResult status = c.analysis.run(branch->front());
    c.analysis.diagnose = diagnose;
    if (dead)
      c.analysis.failed = before;
    else if (failed(status))
      return failure();
    auto &made = results.emplace_back();
    for (Value value : branch->front().getTerminator()->getOperands())
      made.push_back(c.analysis.facts(value));
  }
  if (results[0].size() != c.results() || results[1].size() != c.results())
    return c.fail("needs subgraphs with " + llvm::Twine(c.results()) + " results, found " +
                  llvm::Twine(results[0].size()) + " and " + llvm::Twine(results[1].size()));
  for (unsigned i = 0; i < c.results(); ++i)
    c.out(i) = taken ? results[*taken ? 0 : 1][i] : join(c, results[0][i], results[1][i]);
  return success();
}

/// Facts of a loop-carried value on entry: contents change from iteration to iteration.
Facts carried(const Facts &facts) {
  Facts result = facts;
  result.contents.reset();
  return result;
}

/// Runs a body until the carried values' facts hold for every iteration. `fixed` arguments precede
/// them.
LogicalResult settle(NodeContext &c, Block &body, unsigned fixed, SmallVector<Facts> &state,
                     unsigned firstYield) {
  Operation *yield = body.getTerminator();
  // Sizes that were seen to change: each becomes one symbol, so that this ends.
  SmallVector<SmallVector<bool>> varying;
  for (const Facts &facts : state)
    varying.emplace_back(facts.dims.size(), false);
  for (bool stable = false; !stable;) {
    for (auto [i, facts] : llvm::enumerate(state))
      c.analysis.set(body.getArgument(fixed + i), facts);
    if (failed(c.analysis.run(body)))
      return failure();
    stable = true;
    for (auto [i, facts] : llvm::enumerate(state)) {
      const Facts &next = c.analysis.facts(yield->getOperand(firstYield + i));
      if (facts.other || (!facts.ranked && !facts.element))
        continue;
      if (next.element != facts.element && facts.element) {
        facts = Facts();
        stable = false;
        continue;
      }
      if (!facts.ranked)
        continue;
      if (!next.ranked || next.rank() != facts.rank()) {
        facts.ranked = false;
        facts.dims.clear();
        stable = false;
        continue;
      }
      for (int64_t axis = 0; axis < facts.rank(); ++axis) {
        if (varying[i][axis] || facts.dims[axis] == next.dims[axis])
          continue;
        varying[i][axis] = true;
        facts.dims[axis] = c.unknown();
        stable = false;
      }
    }
  }
  return success();
}

LogicalResult loop(NodeContext &c) {
  Region *body = subgraph(c, "body");
  if (!body)
    return c.fail("needs a subgraph body");
  Block &block = body->front();
  unsigned n = c.count() < 2 ? 0 : c.count() - 2;
  unsigned yields = block.getTerminator()->getNumOperands();
  if (block.getNumArguments() != n + 2 || yields < n + 1 || c.results() + 1 != yields)
    return c.fail("needs a body with " + llvm::Twine(n + 2) + " inputs and " +
                  llvm::Twine(c.results() + 1) + " results, found " +
                  llvm::Twine(block.getNumArguments()) + " and " + llvm::Twine(yields));
  Facts counter, condition;
  counter.ranked = condition.ranked = true;
  counter.element = c.i64();
  condition.element = c.i1();
  c.analysis.set(block.getArgument(0), counter);
  c.analysis.set(block.getArgument(1), condition);
  SmallVector<Facts> state;
  for (unsigned i = 0; i < n; ++i)
    state.push_back(carried(c.in(2 + i)));
  if (failed(settle(c, block, 2, state, 1)))
    return failure();
  Dim trips = c.unknown();
  const auto *limit = c.contents(0);
  // The count is the limit only if the body can't stop early.
  bool forever = false;
  if (const auto *kept = c.analysis.contents(block.getTerminator()->getOperand(0)))
    forever = kept->size() == 1 && (*kept)[0].is(1);
  if (forever && !c.has(1) && limit && limit->size() == 1 && c.dims.isNonNegative((*limit)[0]))
    trips = (*limit)[0];
  for (unsigned i = 0; i < c.results(); ++i) {
    if (i < n) {
      c.out(i) = state[i];
      continue;
    }
    const Facts &one = c.analysis.facts(block.getTerminator()->getOperand(1 + i));
    c.setElement(i, one.element);
    if (!one.ranked)
      continue;
    // Sizes inside may change by iteration where they depend on carried values; stacking makes them
    // equal.
    SmallVector<Dim> shape = {trips};
    for (Dim size : one.dims)
      shape.push_back(size.isConstant() || !c.dims.name(size).empty() ? size : c.unknown());
    c.set(i, one.element, shape);
  }
  return success();
}

LogicalResult scan(NodeContext &c) {
  Region *body = subgraph(c, "body");
  if (!body)
    return c.fail("needs a subgraph body");
  Block &block = body->front();
  int64_t scans = c.node.integer("num_scan_inputs", 0);
  int64_t first = c.version && c.version < 9 ? 1 : 0; // opset 8 had sequence lens and a batch axis
  int64_t n = static_cast<int64_t>(c.count()) - first - scans;
  int64_t yields = block.getTerminator()->getNumOperands();
  if (n < 0 || block.getNumArguments() != n + scans || yields != c.results() || yields < n)
    return c.fail("needs a body with " + llvm::Twine(c.count()) + " inputs and " +
                  llvm::Twine(c.results()) + " results, found " +
                  llvm::Twine(block.getNumArguments()) + " and " + llvm::Twine(yields));
  if (first) {
    for (BlockArgument argument : block.getArguments())
      c.analysis.set(argument, Facts());
    return c.analysis.run(block);
  }
  auto inAxes = c.list("scan_input_axes"), outAxes = c.list("scan_output_axes");
  Dim trips = c.unknown();
  for (int64_t i = 0; i < scans; ++i) {
    Facts slice = carried(c.in(n + i));
    if (slice.ranked) {
      int64_t axis = inAxes && i < static_cast<int64_t>(inAxes->size()) ? (*inAxes)[i] : 0;
      auto at = c.axis(axis, slice.rank());
      if (failed(at))
        return failure();
      trips = slice.dims[*at];
      slice.dims.erase(slice.dims.begin() + *at);
    }
    c.analysis.set(block.getArgument(n + i), slice);
  }
  SmallVector<Facts> state;
  for (int64_t i = 0; i < n; ++i)
    state.push_back(carried(c.in(i)));
  if (failed(settle(c, block, 0, state, 0)))
    return failure();
  for (unsigned i = 0; i < c.results(); ++i) {
    if (static_cast<int64_t>(i) < n) {
      c.out(i) = state[i];
      continue;
    }
    const Facts &one = c.analysis.facts(block.getTerminator()->getOperand(i));
    c.setElement(i, one.element);
    if (!one.ranked)
      continue;
    int64_t axis = outAxes && i - n < static_cast<int64_t>(outAxes->size()) ? (*outAxes)[i - n] : 0;
    auto at = c.axis(axis, one.rank() + 1);
    if (failed(at))
      return failure();
    SmallVector<Dim> shape(one.dims);
    shape.insert(shape.begin() + *at, trips);
    c.set(i, one.element, shape);
  }
  return success();
}

} // namespace

void uoe::onnx::addControl(OperatorTable &table) {
  // Subgraphs may draw random numbers; whether a node may be evaluated is asked of what they hold.
  table.add("If", ifThenElse);
  table.add("Loop", loop);
  table.add("Scan", scan);
}
