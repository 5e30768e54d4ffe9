// Operators of exports that are not the raised form's own, against the CPU's entries.
#include "ModelFixture.h"
#include <array>

namespace {

class OperatorTest : public ModelTest {};

TEST_P(OperatorTest, Scatters) {
  using Ints = std::vector<int64_t>;
  for (DType type : {DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32})
    for (DType index : {DType::I64, DType::I32})
      for (const char *reduction : {"none", "add", "mul", "min", "max"})
        for (int64_t axis : {0, 1, -1})
          for (const Shape &at : {Shape{3, 4, 5}, Shape{2, 3, 2}, Shape{1, 1, 1}, Shape{2, 0, 3}}) {
            // Indices repeat: updates meet in their order.
            check({"",
                   "ScatterElements",
                   {{"axis", axis}, {"reduction", std::string(reduction)}},
                   {random(type, {3, 4, 5}, -3, 3), random(index, at, -3, 3),
                    random(type, at, -3, 3)}});
          }
  check({"",
         "ScatterElements",
         {},
         {random(DType::Bool, {7}), random(DType::I64, {3}, 0, 7), random(DType::Bool, {3})}});
  // Without a reduction tuples differ.
  for (DType type : {DType::F32, DType::F16, DType::I64, DType::Bool}) {
    check({"",
           "ScatterND",
           {},
           {random(type, {4, 5, 6}, -3, 3), makeInts({3, -4, 1}).reshaped({3, 1}),
            random(type, {3, 5, 6}, -3, 3)}});
    check({"",
           "ScatterND",
           {},
           {random(type, {4, 5}, -3, 3), makeInts({3, 0, 1, -1}).reshaped({2, 1, 2}),
            random(type, {2, 1}, -3, 3)}});
    check({"",
           "ScatterND",
           {},
           {random(type, {4, 5}, -3, 3), Tensor(DType::I64, {0, 1}), random(type, {0, 5}, -3, 3)}});
  }
  for (const char *reduction : {"add", "mul", "min", "max"})
    check({"",
           "ScatterND",
           {{"reduction", std::string(reduction)}},
           {random(DType::F32, {4, 5}), random(DType::I64, {9, 1}, -4, 4),
            random(DType::F32, {9, 5})}});
}

TEST_P(OperatorTest, ABadPlaceIsAnError) {
  for (const char *op : {"ScatterElements", "ScatterND"}) {
    const Case c{"",
                 op,
                 {},
                 {random(DType::F32, {4, 1}), makeInts({0, 4}).reshaped({2, 1}),
                  random(DType::F32, {2, 1})}};
    Program program = programOf(c);
    program.finish(tableForDevice(KernelTable::builtin()), &KernelTable::builtin());
    ModelExecutor found(*device, program, KernelTable::builtin(), images);
    EXPECT_THROW(found.run(std::vector<Value>(c.inputs.begin(), c.inputs.end())), Error);
  }
}

// Of one to three dimensions, in groups, with strides, dilations and padding of both sides.
TEST_P(OperatorTest, Convolutions) {
  using Ints = std::vector<int64_t>;
  for (DType type : {DType::F32, DType::F16, DType::BF16}) {
    auto conv = [&](const Shape &x, const Shape &w, std::map<std::string, Attribute> attributes) {
      for (bool biased : {false, true})
        ASSERT_NO_FATAL_FAILURE(
            check({"",
                   "Conv",
                   attributes,
                   {random(type, x), random(type, w), biased ? random(type, {w[0]}) : absent},
                   {1}}));
    };
    conv({2, 3, 17}, {8, 3, 3}, {{"pads", Ints{1, 2}}});
    conv({1, 4, 16, 16}, {24, 4, 4, 4}, {{"strides", Ints{4, 4}}}); // patches of an image
    conv({2, 6, 7, 9}, {4, 3, 3, 2},
         {{"group", int64_t(2)}, {"dilations", Ints{2, 1}}, {"pads", Ints{0, 1, 2, 0}}});
    conv({2, 5, 11}, {5, 1, 4}, {{"group", int64_t(5)}, {"auto_pad", std::string("SAME_UPPER")}});
    conv({1, 2, 4, 5, 6}, {3, 2, 2, 3, 1}, {{"strides", Ints{1, 2, 3}}});
    conv({3, 20, 150}, {17, 20, 1}, {});
    conv({0, 3, 8}, {4, 3, 3}, {});
    conv({1, 1, 1}, {1, 1, 1}, {});
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, OperatorTest, testing::Values(Backend::Simulated, Backend::Cuda),
                         [](const auto &info) {
                           return info.param == Backend::Simulated ? "Simulated" : "Cuda";
                         });

} // namespace
