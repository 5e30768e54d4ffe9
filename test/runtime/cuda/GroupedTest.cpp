// Experts beside the feed-forward ones behind a choice that is made on the device: matrices,
// attention among an expert's own tokens, bodies in operators. Against the CPU's entries.
#include "ModelFixture.h"
#include <array>

namespace {

using Attributes = std::map<std::string, Attribute>;
using Ints = std::vector<int64_t>;
constexpr int64_t kOne = 1, kTwo = 2;

const Attributes top2 = {{"rule", kTwo}, {"k", kTwo}, {"scoring", kOne}, {"weight", kOne}},
                 threshold = {{"rule", kOne}, {"tau", 0.2f}};

Attributes with(Attributes own, const Attributes &more) {
  for (const auto &entry : more)
    own[entry.first] = entry.second;
  return own;
}

class GroupedTest : public ModelTest {
protected:
  /// Slots of offsets, ids and weights.
  static std::vector<int> route(Builder &b, int scores, const Attributes &rule) {
    const int offsets = b.step("uoe", "Route", {scores}, rule);
    Program::Step &step = b.program.steps.back();
    step.node.outputs = 3;
    step.outputs = {offsets, b.program.slots, rule.count("weight") ? b.program.slots + 1 : -1};
    b.program.slots += 2;
    return step.outputs;
  }

  /// What `make` builds, on the CPU and on the device, from inputs of `shapes`.
  void compare(const std::function<Program()> &make, const std::vector<std::vector<Shape>> &shapes,
               int64_t waits = 0) {
    const KernelTable &cpu = KernelTable::builtin();
    const std::mt19937 weights = generator;
    Program reference = make();
    generator = weights;
    Program program = make();
    reference.finish(cpu);
    program.finish(tableForDevice(cpu), &cpu);
    Executor expected(reference);
    ModelExecutor found(*device, program, cpu, images);
    for (const std::vector<Shape> &inputs : shapes) {
      SCOPED_TRACE(toString(inputs[0]));
      std::vector<Value> values;
      for (const Shape &shape : inputs)
        values.push_back(Value(random(DType::F32, shape)));
      const int64_t before = found.report().waits;
      std::vector<Value> want = expected.run(values), have = found.run(values);
      ASSERT_EQ(have.size(), want.size());
      for (size_t k = 0; k < want.size(); ++k)
        ASSERT_NO_FATAL_FAILURE(expectClose(have[k].tensor, want[k].tensor, 2e-5));
      EXPECT_LE(found.report().waits - before, waits);
    }
    EXPECT_TRUE(found.report().fallbacks.empty()) << describe(found.report());
  }
};

// Matrices side by side along either axis, by every token and by patches, with slots, and in heads
// that choose by themselves.
TEST_P(GroupedTest, Products) {
  const int64_t experts = 6, in = 8, out = 5;
  for (int64_t axis : {0, 1})
    for (int64_t heads : {1, 2, 3})
      for (const Attributes &rule : {top2, threshold})
        for (int form = 0; form < 5; ++form) {
          SCOPED_TRACE("axis " + std::to_string(axis) + ", " + std::to_string(heads) +
                       " heads, form " + std::to_string(form));
          const int64_t patch = form == 1 ? 4 : form == 2 ? 0 : 1;
          const bool transposed = form == 3, slotted = form == 4 && heads == 1;
          const Ints slots = slotted ? Ints{1, -1, 3, 4, 5} : Ints{};
          const int64_t width = axis == 0 ? in * heads : in, wide = axis == 1 ? out * heads : out;
          auto make = [&] {
            Builder b;
            const int x = b.input("x"), scores = b.input("scores"), residual = b.input("residual");
            const std::vector<int> lists =
                route(b, scores, with(rule, {{"heads", heads}, {"tokens", patch}}));
            Shape w = axis == 0 ? Shape{experts * in, out} : Shape{in, experts * out};
            if (transposed)
              std::swap(w[0], w[1]);
            const int y =
                b.step("uoe", "Products",
                       {x, lists[0], lists[1], lists[2], b.weight(random(DType::F32, w)),
                        form % 2 ? b.weight(random(DType::F32, {experts * out})) : -1, residual},
                       {{"axis", axis},
                        {"experts", experts},
                        {"heads", heads},
                        {"tokens", patch},
                        {"transposed", int64_t(transposed ? 1 << 4 : 0)},
                        {"slots", slots}});
            b.program.outputSlots = {y};
            b.program.outputNames = {"y"};
            return std::move(b.program);
          };
          std::vector<std::vector<Shape>> shapes;
          for (int64_t rows : {70, 9, 1, 3, 0}) {
            const int64_t patches = patch == 0 ? 1 : (rows + patch - 1) / std::max(patch, kOne);
            shapes.push_back(
                {{2, rows, width}, {2, patches, slotted ? 5 : experts}, {2, rows, wide}});
          }
          ASSERT_NO_FATAL_FAILURE(compare(make, shapes));
        }
}

// Positions and biases of tokens and of an expert's own count; heads that share keys; tokens that
// nobody takes, and experts that nobody takes.
TEST_P(GroupedTest, GatheredAttention) {
  const int64_t experts = 3, d = 12, size = 6, valueSize = 5, width = 10;
  for (int form = 0; form < 6; ++form)
    for (int64_t kvHeads : {1, 2})
      for (const Attributes &rule : {top2, threshold}) {
        SCOPED_TRACE("form " + std::to_string(form));
        const int64_t heads = 2, patch = form == 5 ? 4 : 1;
        const bool tables = form == 1 || form == 2, biased = form == 3 || form == 4;
        auto make = [&](int64_t length) {
          return [&, length] {
            Builder b;
            auto weight = [&](const Shape &shape) { return b.weight(random(DType::F32, shape)); };
            const int x = b.input("x"), scores = b.input("scores"), residual = b.input("residual");
            const std::vector<int> lists = route(b, scores, with(rule, {{"tokens", patch}}));
            const bool turned = form % 2 == 0;
            auto matrix = [&](int64_t rows, int64_t columns) {
              return weight(turned ? Shape{columns, rows} : Shape{rows, columns});
            };
            std::vector<int> inputs = {
                x,
                lists[0],
                lists[1],
                lists[2],
                matrix(d, experts * heads * size),
                matrix(d, experts * kvHeads * size),
                matrix(d, experts * kvHeads * valueSize),
                matrix(experts * heads * valueSize, width),
                form % 3 == 0 ? weight({experts * heads * size}) : -1,
                -1,
                form % 3 == 0 ? weight({experts * kvHeads * valueSize}) : -1,
                tables ? weight({form == 1 ? 2 : 1, length, 2}) : -1,
                tables ? weight({form == 1 ? 2 : 1, length, 2}) : -1,
                form == 3   ? weight({2, length})
                : form == 4 ? b.weight(random(DType::Bool, {1, length, length}, -1, 3))
                            : -1,
                residual};
            const int y = b.step("uoe", "GatheredAttention", inputs,
                                 {{"experts", experts},
                                  {"heads", heads},
                                  {"kv_heads", kvHeads},
                                  {"scale", 0.4f},
                                  {"tokens", patch},
                                  {"transposed", int64_t(turned ? 0xf0 : 0)},
                                  {"rotated", int64_t(4)},
                                  {"interleaved", int64_t(form == 2)},
                                  {"compacted_tables", int64_t(form == 1)},
                                  {"compacted_bias", int64_t(biased && kvHeads == 2)},
                                  {"boolean_zero", kOne},
                                  {"causal", int64_t(form % 2)},
                                  {"window", int64_t(form == 5 ? 3 : 0)},
                                  {"softcap", form == 2 ? 2.0f : 0.0f}});
            b.program.outputSlots = {y};
            b.program.outputNames = {"y"};
            return std::move(b.program);
          };
        };
        for (int64_t length : {40, 7, 1, 0}) {
          const int64_t patches = (length + patch - 1) / patch;
          ASSERT_NO_FATAL_FAILURE(
              compare(make(length), {{{2, length, d}, {2, patches, experts}, {2, length, width}}}));
        }
      }
}

// An expert's body in operators: y = sum of w_te tanh(x_t) for even experts, of w_te (x_t W) for
// odd ones. How many rows an expert has is read once.
TEST_P(GroupedTest, RowsHandedOutAndTakenBack) {
  const int64_t experts = 4, d = 6;
  for (int form = 0; form < 3; ++form)
    for (const Attributes &rule : {top2, threshold}) {
      const int64_t patch = form == 1 ? 4 : 1;
      const Ints slots = form == 2 ? Ints{0, 2, 3} : Ints{};
      auto make = [&] {
        Builder b;
        const int x = b.input("x"), scores = b.input("scores");
        const std::vector<int> lists = route(b, scores, with(rule, {{"tokens", patch}}));
        int y = -1;
        for (int64_t e = 0; e < experts; ++e) {
          const int rows = b.step("uoe", "Rows", {x, lists[0], lists[1], lists[2]},
                                  {{"expert", e}, {"tokens", patch}, {"slots", slots}});
          Program::Step &step = b.program.steps.back();
          step.node.outputs = 3;
          step.outputs = {rows, b.program.slots, b.program.slots + 1};
          b.program.slots += 2;
          const std::vector<int> handed = step.outputs;
          const int own =
              e % 2 ? b.step("uoe", "Linear", {handed[0], b.weight(random(DType::F32, {d, d}))})
                    : b.step("", "Tanh", {handed[0]});
          y = b.step("uoe", "AddRows", {y, own, handed[1], handed[2], x});
        }
        b.program.outputSlots = {y};
        b.program.outputNames = {"y"};
        return std::move(b.program);
      };
      std::vector<std::vector<Shape>> shapes;
      for (int64_t rows : {40, 7, 1, 0})
        shapes.push_back({{2, rows, d}, {2, (rows + patch - 1) / patch, form == 2 ? 3 : experts}});
      ASSERT_NO_FATAL_FAILURE(compare(make, shapes, /*waits=*/1));
    }
}

TEST_P(GroupedTest, Cosines) {
  for (int64_t rows : {1, 7, 30, 0})
    for (bool projected : {false, true})
      for (int64_t transposed : {0, 2}) {
        Tensor x = random(DType::F32, {2, rows, 12}),
               e = random(DType::F32, {projected ? 5 : 12, 9});
        std::fill_n(x.data<float>(), std::min<int64_t>(x.size(), 12), 0.0f);
        for (int64_t i = 0; i < e.dim(0); ++i)
          e.data<float>()[i * 9 + 4] = 0; // an expert without a direction
        const Tensor p = random(DType::F32, transposed ? Shape{5, 12} : Shape{12, 5});
        check({"uoe",
               "Cosine",
               {{"transposed", transposed}},
               {x, projected ? p : absent, e},
               {1, 2}});
      }
}

INSTANTIATE_TEST_SUITE_P(Backends, GroupedTest, testing::Values(Backend::Simulated, Backend::Cuda),
                         [](const auto &info) {
                           return info.param == Backend::Simulated ? "Simulated" : "Cuda";
                         });

} // namespace
