#include "runtime/core/Program.h"
#include <chrono>
#include <cstdio>
#include <gtest/gtest.h>

using namespace uoe::rt;

namespace {

Tensor floats(std::vector<float> values) {
  Tensor tensor(DType::F32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

std::vector<float> valuesOf(const Value &value) {
  const Tensor &tensor = value.tensor;
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

// Kernels that count their calls, so that folding and dead code can be seen.
int added, steals;

void add(KernelCall &call) {
  ++added;
  const Tensor &a = call.in(0), &b = call.in(1);
  check(a.shape() == b.shape(), "shapes differ");
  Tensor &c = call.outInPlace(0, 0, DType::F32, a.shape());
  steals += c.raw() == a.raw();
  for (int64_t i = 0; i < a.size(); ++i)
    c.data<float>()[i] = a.data<float>()[i] + b.data<float>()[i];
}
void twice(KernelCall &call) { // two results, the second maybe unused
  if (call.wants(0) || call.node.outputs == 1)
    call.set(0, call.in(0));
  if (call.wants(1))
    call.set(1, call.in(0));
}
void randomNumber(KernelCall &call) {
  ++added;
  call.set(0, floats({1}));
}
void grow(KernelCall &call) { // 80 MB from nothing
  ++added;
  Tensor &big = call.out(0, DType::U8, {80 << 20});
  big.data<uint8_t>()[0] = 1;
}
void branch(KernelCall &call) {
  bool condition = call.in(0).data<float>()[0] > 0;
  auto program = call.node.program(condition ? "then_branch" : "else_branch");
  std::vector<Value> results = runSubprogram(call, *program, condition ? 0 : 1, {});
  call.outputs[0] = results[0];
}

int packings;

std::any packScale(const Node &node, std::vector<bool> &consumed) {
  ++packings;
  check(node.constants[1] != nullptr, "the scale is no constant");
  consumed[1] = true;
  return node.constants[1]->data<float>()[0] * static_cast<float>(node.integer("times", 1));
}
void scale(KernelCall &call) {
  const Tensor &x = call.in(0);
  Tensor &y = call.out(0, DType::F32, x.shape());
  for (int64_t i = 0; i < x.size(); ++i)
    y.data<float>()[i] = x.data<float>()[i] * std::any_cast<float>(call.state);
}

KernelTable table() {
  KernelTable table;
  table.add("", "Add", add);
  table.add("", "Twice", twice);
  table.add("", "RandomNormal", randomNumber);
  table.add("", "Grow", grow);
  table.add("", "If", branch);
  table.add("", "Scale", scale, packScale);
  return table;
}

Program::Step step(const char *op, std::vector<int> inputs, std::vector<int> outputs) {
  Program::Step result;
  result.node.name = std::string(op) + "@" + std::to_string(outputs[0]);
  result.node.op = op;
  result.node.outputs = static_cast<int>(outputs.size());
  result.inputs = std::move(inputs);
  result.outputs = std::move(outputs);
  return result;
}

Program program(std::vector<int> inputs, std::vector<int> outputs, int slots) {
  Program result;
  for (int slot : inputs)
    result.inputNames.push_back("in" + std::to_string(slot));
  for (int slot : outputs)
    result.outputNames.push_back("out" + std::to_string(slot));
  result.inputSlots = std::move(inputs);
  result.outputSlots = std::move(outputs);
  result.slots = slots;
  return result;
}

TEST(Program, FoldsConstantsAndDropsTheirSteps) {
  Program p = program({0}, {4}, 6);
  p.constants = {{1, floats({1, 2})}, {2, floats({10, 20})}};
  p.steps = {step("Add", {1, 2}, {3}), step("Add", {0, 3}, {4}), step("Add", {0, 0}, {5})};
  added = 0;
  p.finish(table());
  EXPECT_EQ(added, 1);
  ASSERT_EQ(p.steps.size(), 1u);
  ASSERT_EQ(p.constants.size(), 1u);
  EXPECT_EQ(p.constants[0].first, 3);
  ASSERT_NE(p.steps[0].node.constants[1], nullptr);
  EXPECT_EQ(p.steps[0].node.constants[0], nullptr);
  EXPECT_EQ(p.steps[0].node.constants[1]->data<float>()[1], 22);
  Program copy = p; // what the nodes point to lives on in copies
  p = Program();
  EXPECT_EQ(copy.steps[0].node.constants[1]->data<float>()[1], 22);
  EXPECT_EQ(valuesOf(Executor(copy).run({floats({1, 1})})[0]), (std::vector<float>{12, 23}));
}

TEST(Program, ConstantOutputsAndInputsThatAreOutputs) {
  Program p = program({0}, {0, 1, 2}, 3);
  p.constants = {{1, floats({1})}};
  p.steps = {step("Add", {1, 1}, {2})};
  p.finish(table());
  EXPECT_TRUE(p.steps.empty());
  Executor executor(p);
  for (int i = 0; i < 2; ++i) {
    auto results = executor.run({floats({5})});
    EXPECT_EQ(valuesOf(results[0]), std::vector<float>{5});
    EXPECT_EQ(valuesOf(results[1]), std::vector<float>{1});
    EXPECT_EQ(valuesOf(results[2]), std::vector<float>{2});
  }
}

TEST(Program, NeitherRandomNorHugeResultsAreFolded) {
  Program p = program({}, {0, 1}, 2);
  p.steps = {step("RandomNormal", {}, {0}), step("Grow", {}, {1})};
  p.finish(table());
  ASSERT_EQ(p.steps.size(), 2u);
  added = 0;
  Executor executor(p);
  executor.run({});
  executor.run({});
  EXPECT_EQ(added, 4);
}

TEST(Program, LastUseAllowsReuseOnlyWhereNobodyElseReads) {
  Program p = program({0}, {3}, 4);
  p.steps = {step("Add", {0, 0}, {1}), step("Add", {1, 0}, {2}), step("Add", {2, 2}, {3})};
  p.finish(table());
  EXPECT_FALSE(p.steps[0].dying[0]);
  EXPECT_TRUE(p.steps[1].dying[0]);
  EXPECT_TRUE(p.steps[1].dying[1]);
  EXPECT_FALSE(p.steps[2].dying[0]) << "read twice by one step";
  Executor executor(p);
  Tensor input = floats({1, 2});
  steals = 0;
  EXPECT_EQ(valuesOf(executor.run({input})[0]), (std::vector<float>{6, 12}));
  EXPECT_EQ(steals, 1) << "the intermediate of the second step, but not the caller's tensor";
  EXPECT_EQ(valuesOf(input), (std::vector<float>{1, 2}));
}

TEST(Program, UnusedResultsAreMarkedAndFreed) {
  Program p = program({0}, {2}, 3);
  p.steps = {step("Twice", {0}, {1, 2})};
  p.finish(table());
  EXPECT_EQ(p.steps[0].node.outputUsed, (std::vector<bool>{false, true}));
  Tensor input = floats({1});
  {
    auto results = Executor(p).run({input});
    EXPECT_EQ(results.size(), 1u);
  }
  EXPECT_TRUE(input.unique());
}

TEST(Program, ExecutorHoldsNothingBetweenRuns) {
  Program p = program({0}, {2}, 3);
  p.steps = {step("Add", {0, 0}, {1}), step("Add", {1, 0}, {2})};
  p.finish(table());
  Executor executor(p);
  Tensor input = floats({1});
  size_t before = memoryUse().live;
  executor.run({input});
  EXPECT_EQ(memoryUse().live, before);
  EXPECT_TRUE(input.unique());
  EXPECT_THROW(executor.run({}), Error);
}

/// x + (x > 0 ? x + c : c + c), with x and c captured.
Program withBranches() {
  Program p = program({0}, {3}, 4);
  p.constants = {{1, floats({100})}};
  auto thenBranch = std::make_shared<Program>(program({}, {2}, 3));
  thenBranch->captures = {{0, 0}, {1, 1}};
  thenBranch->steps = {step("Add", {0, 1}, {2})};
  auto elseBranch = std::make_shared<Program>(program({}, {1}, 2));
  elseBranch->captures = {{0, 1}};
  elseBranch->steps = {step("Add", {0, 0}, {1})};
  p.steps = {step("If", {0}, {2}), step("Add", {0, 2}, {3})};
  p.steps[0].node.attributes["then_branch"] = std::shared_ptr<const Program>(thenBranch);
  p.steps[0].node.attributes["else_branch"] = std::shared_ptr<const Program>(elseBranch);
  return p;
}

TEST(Program, SubprogramsCaptureAndFold) {
  Program p = withBranches();
  p.finish(table());
  auto thenBranch = p.steps[0].node.program("then_branch");
  auto elseBranch = p.steps[0].node.program("else_branch");
  EXPECT_EQ(thenBranch->captures.size(), 1u) << "the constant is no capture any more";
  EXPECT_EQ(elseBranch->steps.size(), 0u) << "folded: both operands are the outer constant";
  EXPECT_FALSE(p.steps[0].dying[0]);
  EXPECT_TRUE(p.constants.empty()) << "only the branches used it";
  Executor executor(p);
  EXPECT_EQ(valuesOf(executor.run({floats({1})})[0]), std::vector<float>{102});
  EXPECT_EQ(valuesOf(executor.run({floats({-1})})[0]), std::vector<float>{199});
  EXPECT_EQ(valuesOf(executor.run({floats({2})})[0]), std::vector<float>{104});
}

TEST(Program, KeptStepsRunAndAreObservedInSubprogramsToo) {
  Program p = withBranches();
  auto inner = std::make_shared<Program>(*p.steps[0].node.program("then_branch"));
  inner->steps.push_back(step("Twice", {1}, {-1}));
  inner->steps.back().keep = true; // of a constant, and read by nobody
  p.steps[0].node.attributes["then_branch"] = std::shared_ptr<const Program>(inner);
  p.steps[1] = step("Twice", {0}, {3}); // the results of If are not read either
  p.finish(table());
  ASSERT_EQ(p.steps.size(), 2u);
  Executor executor(p);
  std::vector<float> seen;
  executor.observe = [&](const Node &node, const std::vector<Value> &outputs) {
    if (node.name == "Twice@-1")
      seen.push_back(valuesOf(outputs[0])[0]);
  };
  executor.run({floats({1})});
  executor.run({floats({-1})});
  executor.run({floats({2})});
  EXPECT_EQ(seen, (std::vector<float>{100, 100}));
}

TEST(Program, CapturedSlotsLiveUntilTheStepThatCapturesThem) {
  Program p = program({0}, {3}, 4);
  auto inner = std::make_shared<Program>(program({}, {1}, 2));
  inner->captures = {{0, 1}};
  inner->steps = {step("Add", {0, 0}, {1})};
  p.steps = {step("Add", {0, 0}, {1}), step("Add", {0, 1}, {2}), step("If", {2}, {3})};
  p.steps[2].node.attributes["then_branch"] = std::shared_ptr<const Program>(inner);
  p.steps[2].node.attributes["else_branch"] = std::shared_ptr<const Program>(inner);
  p.finish(table());
  EXPECT_FALSE(p.steps[1].dying[1]);
  EXPECT_EQ(valuesOf(Executor(p).run({floats({3})})[0]), std::vector<float>{12});
}

TEST(Program, ErrorsNameTheNodeAndItsInputs) {
  Program p = program({0, 1}, {2}, 3);
  p.steps = {step("Add", {0, 1}, {2})};
  p.finish(table());
  Executor executor(p);
  try {
    executor.run({floats({1, 2}), floats({1})});
    FAIL() << "no error";
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), "node 'Add@2' (Add): shapes differ [inputs: float[2], float[1]]");
  }
  EXPECT_EQ(valuesOf(executor.run({floats({1}), floats({2})})[0]), std::vector<float>{3});
}

TEST(Program, RefusesBrokenPrograms) {
  Program unknown = program({0}, {1}, 2);
  unknown.steps = {step("Nowhere", {0}, {1})};
  EXPECT_THROW(unknown.finish(table()), Error);
  Program early = program({0}, {2}, 3);
  early.steps = {step("Add", {0, 2}, {1}), step("Add", {0, 0}, {2})};
  EXPECT_THROW(early.finish(table()), Error);
  Program again = program({0}, {1}, 2);
  again.steps = {step("Add", {0, 0}, {1}), step("Add", {0, 0}, {1})};
  EXPECT_THROW(again.finish(table()), Error);
  Program outside = program({0}, {5}, 2);
  EXPECT_THROW(outside.finish(table()), Error);
}

TEST(Executor, StepsCostLittle) {
  constexpr int count = 1000;
  Program p = program({0}, {count}, count + 1);
  for (int i = 0; i < count; ++i)
    p.steps.push_back(step("Twice", {i}, {i + 1}));
  p.finish(table());
  Executor executor(p);
  Tensor input = floats({1});
  executor.run({input});
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i)
    executor.run({input});
  std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
  double each = time.count() / 20 / count;
  std::printf("%.0f ns a step\n", each);
  EXPECT_LT(each, 20000) << "not a benchmark: catches a blunder only";
}

TEST(Program, EqualConstantsAndAttributesArePreparedOnce) {
  // x * 2 * 2 * (2 * 3) * 5: the first two share, another attribute or another constant does not.
  Program p = program({0}, {6}, 7);
  p.constants = {{1, floats({2})}, {2, floats({5})}};
  p.steps = {step("Scale", {0, 1}, {3}), step("Scale", {3, 1}, {4}), step("Scale", {4, 1}, {5}),
             step("Scale", {5, 2}, {6})};
  p.steps[2].node.attributes["times"] = int64_t(3);
  packings = 0;
  p.finish(table());
  EXPECT_EQ(packings, 3);
  EXPECT_TRUE(p.constants.empty());
  EXPECT_EQ(valuesOf(Executor(p).run({floats({1})})[0]), std::vector<float>{120});
}

} // namespace
