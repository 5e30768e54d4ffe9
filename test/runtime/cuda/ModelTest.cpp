// The executor of whole models: every device kernel gives what the CPU's entry of the same operator
// gives, on random inputs. It runs on the tests' driver, which executes the kernels' own source on
// simulated threads, and on a CUDA device where there is one.
#include "ModelFixture.h"
#include <array>

namespace {

TEST_P(ModelTest, PointwiseOfOne) {
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    for (const char *op : {"Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Sqrt",
                           "Reciprocal", "Sin", "Cos", "Floor", "Ceil", "Log"})
      check({"", op, {}, {random(type, {3, 71}, 0.1, 3)}});
  for (const Shape &shape : {Shape{1, 1}, Shape{0, 5}, Shape{7, 1, 300}}) {
    check({"", "Tanh", {}, {random(DType::F32, shape, -3, 3)}});
    check({"", "Neg", {}, {random(DType::I64, shape, -9, 9)}});
    check({"", "Not", {}, {random(DType::Bool, shape)}});
    check({"", "IsNaN", {}, {random(DType::F32, shape)}});
    check({"", "Swish", {{"alpha", 1.5f}}, {random(DType::F32, shape, -3, 3)}, {}, 1, 24});
    check({"", "Gelu", {}, {random(DType::F32, shape, -3, 3)}});
    check({"", "Gelu", {{"approximate", std::string("tanh")}}, {random(DType::F32, shape, -3, 3)}});
  }
}

TEST_P(ModelTest, PointwiseOfTwoBroadcasts) {
  const std::vector<std::pair<Shape, Shape>> shapes = {{{3, 5}, {3, 5}},       {{2, 3, 5}, {5}},
                                                       {{4, 1, 6}, {1, 7, 1}}, {{2, 0}, {1}},
                                                       {{1, 1}, {2, 3, 4}},    {{5, 3}, {}}};
  for (const auto &[a, b] : shapes) {
    for (const char *op : {"Add", "Sub", "Mul", "Min", "Max"})
      for (DType type : {DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32})
        check({"", op, {}, {random(type, a, -9, 9), random(type, b, -9, 9)}});
    check({"", "Div", {}, {random(DType::F32, a), random(DType::F32, b, 1, 2)}});
    check({"", "Pow", {}, {random(DType::F32, a, 0.5, 2), random(DType::F32, b, -2, 3)}});
    for (const char *op : {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
      for (DType type : {DType::F32, DType::I64})
        check({"", op, {}, {random(type, a, -2, 2), random(type, b, -2, 2)}});
    for (const char *op : {"And", "Or", "Xor"})
      check({"", op, {}, {random(DType::Bool, a), random(DType::Bool, b)}});
    for (DType type : {DType::F32, DType::I64, DType::BF16})
      check({"", "Where", {}, {random(DType::Bool, a), random(type, b), random(type, {1, 1})}});
  }
}

TEST_P(ModelTest, Cast) {
  for (DType from : {DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32, DType::Bool})
    for (DType to : {DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32, DType::Bool})
      check({"", "Cast", {{"to", int64_t(to)}}, {random(from, {3, 17}, -9, 9)}});
}

TEST_P(ModelTest, Copies) {
  using Ints = std::vector<int64_t>;
  for (DType type : {DType::F32, DType::F16, DType::I64, DType::Bool})
    for (const Shape &shape : {Shape{2, 3, 5, 4}, Shape{1, 7, 1, 33}, Shape{2, 0, 3, 1}}) {
      Tensor x = random(type, shape, -9, 9);
      check({"", "Transpose", {{"perm", Ints{0, 2, 1, 3}}}, {x}});
      check({"", "Transpose", {{"perm", Ints{3, 1, 0, 2}}}, {x}});
      check({"", "Transpose", {}, {x}});
      check({"",
             "Concat",
             {{"axis", int64_t(1)}},
             {x, x, random(type, {shape[0], 2, shape[2], shape[3]})}});
      check({"", "Concat", {{"axis", int64_t(-1)}}, {x, x}});
      check({"", "Split", {{"axis", int64_t(2)}, {"num_outputs", int64_t(2)}}, {x}, {}, 2});
      check({"", "Slice", {}, {x, makeInts({0, -3}), makeInts({100, -1}), makeInts({2, 3})}});
      check({"",
             "Slice",
             {},
             {x, makeInts({-1, 1}), makeInts({-100, 9}), makeInts({0, 2}), makeInts({-1, 2})}});
      check({"", "Slice", {}, {x, makeInts({0}), makeInts({INT64_MAX}), makeInts({1})}});
    }
  check({"", "Expand", {}, {random(DType::F32, {3, 1, 5}), makeInts({2, 3, 4, 1})}});
  check({"", "Expand", {}, {random(DType::I64, {1}), makeInts({0, 3})}});
  check({"", "Expand", {}, {random(DType::Bool, {}), makeInts({7})}, {1}});
  check({"", "ConstantOfShape", {}, {makeInts({2, 3})}});
  check({"", "ConstantOfShape", {{"value", makeInts({7})}}, {makeInts({5})}});
}

TEST_P(ModelTest, Pads) {
  for (DType type : {DType::F32, DType::I64, DType::Bool}) {
    const Tensor x = random(type, {2, 3, 4}, -9, 9), value = random(type, {}, -9, 9);
    check({"", "Pad", {}, {x, makeInts({1, 0, 2, 0, 3, 1}), value}});
    check({"", "Pad", {}, {x, makeInts({0, 0, 0, 0, 2, 0})}});
    check({"", "Pad", {}, {x, makeInts({0, -1, 2, 1, 0, -3}), value}});
    check({"", "Pad", {}, {x, makeInts({1, 2}), value, makeInts({-1})}});
    check({"", "Pad", {}, {random(type, {2, 0}), makeInts({1, 1, 0, 2}), value}});
  }
  Case edge{"",
            "Pad",
            {{"mode", std::string("edge")}},
            {random(DType::F32, {2, 3}), makeInts({1, 1, 1, 1})}};
  edge.onDevice = false;
  check(edge);
}

TEST_P(ModelTest, TilesAndRunningSums) {
  for (DType type : {DType::F32, DType::I64, DType::F16}) {
    const Tensor x = random(type, {2, 3, 4}, -9, 9);
    check({"", "Tile", {}, {x, makeInts({2, 1, 3})}});
    check({"", "Tile", {}, {x, makeInts({1, 0, 1})}});
    check({"", "Tile", {}, {random(type, {1, 1, 5}, -9, 9), makeInts({4, 3, 2})}});
    for (int64_t axis : {0, 1, -1})
      for (int64_t exclusive : {0, 1})
        for (int64_t reverse : {0, 1})
          check({"",
                 "CumSum",
                 {{"exclusive", exclusive}, {"reverse", reverse}},
                 {x, makeInts({axis}).reshaped({})}});
    check({"", "CumSum", {}, {random(type, {2, 0}), makeInts({1}).reshaped({})}});
  }
  auto number = [&](int64_t value) { return makeInts({value}).reshaped({}); };
  check({"", "Clip", {}, {random(DType::I64, {3, 7}, -99, 99), number(-5), number(20)}});
  check({"", "Clip", {}, {random(DType::I64, {3, 7}, -99, 99), absent, number(20)}});
  check({"", "Clip", {}, {random(DType::I64, {3, 7}, -99, 99), number(0)}});
}

TEST_P(ModelTest, Gathers) {
  for (DType type : {DType::F32, DType::F16, DType::I64, DType::Bool})
    for (DType index : {DType::I64, DType::I32}) {
      Tensor x = random(type, {4, 5, 6}, -9, 9);
      for (int64_t axis : {0, 1, -1})
        for (const Shape &at : {Shape{2, 3}, Shape{1, 1}, Shape{0, 2}})
          check({"", "Gather", {{"axis", axis}}, {x, random(index, at, -4, 4)}});
      check({"", "GatherND", {}, {x, random(index, {3, 2}, -4, 4)}});
      check({"", "GatherND", {}, {x, random(index, {3, 1, 3}, -4, 4)}});
      check({"", "GatherND", {{"batch_dims", int64_t(1)}}, {x, random(index, {4, 2, 1}, -5, 5)}});
    }
}

TEST_P(ModelTest, GatherElementsAndTopK) {
  for (DType index : {DType::I64, DType::I32})
    for (int64_t axis : {0, 1, -1}) {
      Tensor x = random(DType::F32, {4, 5, 6});
      check({"", "GatherElements", {{"axis", axis}}, {x, random(index, {4, 5, 6}, -4, 4)}});
      check({"", "GatherElements", {{"axis", axis}}, {x, random(index, {2, 3, 1}, -4, 4)}});
    }
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    for (const Shape &shape : {Shape{3, 8}, Shape{2, 3, 70}, Shape{1, 1}, Shape{0, 4}})
      for (int64_t k : {1, 4}) {
        Tensor x = random(type, shape, -3, 3);
        if (x.size() > 3 && type == DType::F32) // a tie goes to the lower index
          x.data<float>()[3] = x.data<float>()[1];
        k = std::min(k, shape.back());
        for (int64_t largest : {0, 1})
          check({"", "TopK", {{"largest", largest}}, {x, makeInts({k})}, {}, 2});
      }
}

TEST_P(ModelTest, ABadIndexIsAnError) {
  Case c{"", "Gather", {}, {random(DType::F32, {4, 5}), makeInts({0, 4}).reshaped({2, 1})}};
  Program program = programOf(c);
  program.finish(tableForDevice(KernelTable::builtin()), &KernelTable::builtin());
  ModelExecutor found(*device, program, KernelTable::builtin(), images);
  for (int turn = 0; turn < 2; ++turn)
    try {
      found.run({Value(c.inputs[0]), Value(c.inputs[1])});
      FAIL() << "nothing was raised";
    } catch (const Error &error) {
      EXPECT_THAT(error.what(), HasSubstr("node 'n' (Gather) on the device: an index"));
    }
  c.inputs[1].data<int64_t>()[1] = -4;
  EXPECT_NO_THROW(found.run({Value(c.inputs[0]), Value(c.inputs[1])}));
}

TEST_P(ModelTest, Norms) {
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    for (const Shape &shape : {Shape{2, 7, 65}, Shape{1, 1, 1}, Shape{0, 3, 8}, Shape{3, 1, 384}}) {
      Tensor x = random(type, shape, -2, 3), gamma = random(type, {shape[2]}),
             beta = random(type, {shape[2]});
      check({"", "LayerNormalization", {{"epsilon", 1e-3f}}, {x, gamma, beta}, {1, 2}});
      check({"", "LayerNormalization", {}, {x, gamma}});
      check({"", "RMSNormalization", {}, {x, gamma}, {1}});
      check({"",
             "LayerNormalization",
             {{"axis", int64_t(1)}},
             {x, random(type, {shape[1], shape[2]})}});
      Case skip{"com.microsoft",
                "SkipLayerNormalization",
                {},
                {x, random(type, shape), gamma, beta, beta},
                {2, 3, 4},
                1,
                1};
      check(skip);
      skip = {"com.microsoft",
              "SkipSimplifiedLayerNormalization",
              {},
              {x, random(type, shape), gamma},
              {2},
              1,
              1};
      check(skip);
    }
}

TEST_P(ModelTest, SoftmaxAndReductions) {
  using Ints = std::vector<int64_t>;
  for (const Shape &shape : {Shape{2, 3, 65}, Shape{1, 1, 1}, Shape{7, 2, 5}}) {
    for (DType type : {DType::F32, DType::F16, DType::BF16})
      for (int64_t axis : {-1, 1, 0})
        for (const char *op : {"Softmax", "LogSoftmax"})
          check({"", op, {{"axis", axis}}, {random(type, shape, -9, 9)}});
    for (const char *op :
         {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL2"})
      for (const Ints &axes : {Ints{-1}, Ints{1}, Ints{0, 1}, Ints{1, 2}, Ints{0, 1, 2}})
        for (int64_t keep : {0, 1})
          check({"", op, {{"keepdims", keep}}, {random(DType::F32, shape, -2, 2), makeInts(axes)}});
    for (const char *op : {"ReduceSum", "ReduceMax", "ReduceMin"})
      check({"", op, {}, {random(DType::I64, shape, -9, 9), makeInts({1})}});
  }
  Tensor hidden = random(DType::F32, {2, 4});
  std::fill_n(hidden.data<float>(), 4, -INFINITY);
  check({"", "Softmax", {}, {hidden}});
}

TEST_P(ModelTest, Products) {
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    for (int64_t m : {1, 7, 9, 130})
      for (int64_t k : {1, 40, 67})
        for (int64_t n : {1, 5, 64, 131}) {
          Tensor a = random(type, {m, k}), b = random(type, {k, n});
          check({"", "MatMul", {}, {a, b}, {1}});
          check({"", "MatMul", {}, {a, b}});
        }
  for (DType type : {DType::F32, DType::BF16}) {
    check({"", "MatMul", {}, {random(type, {2, 3, 9, 16}), random(type, {2, 3, 16, 11})}});
    check({"", "MatMul", {}, {random(type, {2, 1, 5, 16}), random(type, {3, 16, 11})}});
    check({"", "MatMul", {}, {random(type, {16, 4}), random(type, {3, 2, 4, 1})}});
    check({"", "MatMul", {}, {random(type, {2, 3, 16}), random(type, {16, 4})}});
    check({"", "MatMul", {}, {random(type, {0, 4}), random(type, {4, 3})}});
  }
  Tensor a = random(DType::F32, {5, 12}), c = random(DType::F32, {9});
  check({"",
         "Gemm",
         {{"transB", int64_t(1)}, {"alpha", 0.5f}},
         {a, random(DType::F32, {9, 12}), c},
         {1, 2}});
  check({"", "Gemm", {}, {a, random(DType::F32, {12, 9})}, {1}});
}

TEST_P(ModelTest, ProductsOfFewBits) {
  for (int64_t bits : {2, 4, 8})
    for (auto [n, k, block] : {std::array<int64_t, 3>{5, 70, 32}, {40, 64, 16}, {9, 16, 128}})
      for (int64_t rows : {1, 8, 9, 0})
        for (int variant : {0, 1, 2}) {
          const int64_t blocks = (k + block - 1) / block;
          auto bytes = [&](int64_t count) {
            Tensor tensor(DType::U8, {count});
            for (int64_t i = 0; i < count; ++i)
              tensor.data<uint8_t>()[i] = uint8_t(generator());
            return tensor;
          };
          Case c{"com.microsoft",
                 "MatMulNBits",
                 {{"N", n},
                  {"K", k},
                  {"bits", bits},
                  {"block_size", block},
                  {"accuracy_level", int64_t(variant == 1 ? 4 : 0)}},
                 {random(DType::F32, {2, rows, k}),
                  bytes(n * blocks * block * bits / 8).reshaped({n, blocks, block * bits / 8}),
                  random(DType::F32, {n * blocks}, 0.01, 0.02),
                  variant == 0   ? absent
                  : variant == 1 ? bytes(n * ((blocks * bits + 7) / 8))
                                 : random(DType::F32, {n * blocks}, 0, 9),
                  absent, variant ? random(DType::F32, {n}) : absent},
                 {1, 2, 3, 5}};
          // A value half way between two of 8 bits may be rounded to either side.
          c.tolerance = variant == 1 ? 2e-3 : 2e-5;
          ASSERT_NO_FATAL_FAILURE(check(c));
        }
}

TEST_P(ModelTest, LinearAndFfn) {
  for (const Shape &shape :
       {Shape{1, 1, 24}, Shape{2, 0, 24}, Shape{3, 7, 24}, Shape{1, 140, 24}}) {
    Tensor x = random(DType::F32, shape), bias = random(DType::F32, {33});
    for (int64_t transposed : {0, 2}) {
      Tensor w = random(DType::F32, transposed ? Shape{33, 24} : Shape{24, 33});
      check({"uoe", "Linear", {{"transposed", transposed}}, {x, w, bias}, {1, 2}});
      check({"uoe",
             "Linear",
             {{"transposed", transposed}},
             {x, w, absent, random(DType::F32, {shape[0], shape[1], 33})},
             {1}});
    }
    for (int64_t act = 0; act < 9; ++act)
      for (bool gated : {false, true}) {
        Tensor up = random(DType::F32, {24, 50}), gate = random(DType::F32, {50, 24}),
               down = random(DType::F32, {50, 24}), inner = random(DType::F32, {50}),
               outer = random(DType::F32, {24});
        std::map<std::string, Attribute> attributes = {{"activation", act},
                                                       {"transposed", int64_t(4)}};
        check({"uoe", "Ffn", attributes, {x, up, gated ? gate : absent, down}, {1, 2, 3}});
        if (gated) {
          auto cut = attributes;
          cut["limit"] = 0.5f;
          cut["up_offset"] = 1.0f;
          check({"uoe", "Ffn", cut, {x, up, gate, down, inner, inner, outer}, {1, 2, 3, 4, 5, 6}});
        }
        check({"uoe",
               "Ffn",
               attributes,
               {x, up, gated ? gate : absent, down, inner, gated ? inner : absent, outer},
               {1, 2, 3, 4, 5, 6}});
      }
  }
}

/// Values that `type` holds, as floats: what a promoted model's weights are.
Tensor promoted(const Tensor &weight) {
  Tensor result(DType::F32, weight.shape());
  for (int64_t i = 0; i < weight.size(); ++i)
    result.data<float>()[i] = weight.dtype() == DType::F16 ? float(weight.data<Half>()[i])
                                                           : float(weight.data<BFloat16>()[i]);
  return result;
}

TEST_P(ModelTest, WeightsThatWerePromotedTakeTwoBytes) {
  for (DType type : {DType::F16, DType::BF16})
    for (int64_t rows : {1, 7, 9, 140, 0})
      for (auto [k, n] : {std::array<int64_t, 2>{40, 130}, {67, 5}, {128, 64}}) {
        const Tensor x = random(DType::F32, {rows, k}), w = promoted(random(type, {k, n})),
                     up = promoted(random(type, {k, 50})), gate = promoted(random(type, {k, 50})),
                     down = promoted(random(type, {50, n}));
        check({"", "MatMul", {}, {x, w}, {1}});
        check({"uoe", "Linear", {}, {x, w, random(DType::F32, {n})}, {1, 2}});
        check({"uoe", "Ffn", {{"activation", int64_t(6)}}, {x, up, gate, down}, {1, 2, 3}});
      }
  // A weight of a million elements takes 2 MiB, as one of other values 4.
  auto memory = [&](const Tensor &weight) {
    const Case c{"uoe", "Linear", {}, {random(DType::F32, {1, 1024}), weight}, {1}};
    Program program = programOf(c);
    program.finish(tableForDevice(KernelTable::builtin()), &KernelTable::builtin());
    ModelExecutor found(*device, program, KernelTable::builtin(), images);
    found.run({Value(c.inputs[0])});
    return found.memory();
  };
  const Tensor whole = random(DType::F32, {1024, 1024});
  EXPECT_GT(memory(whole), size_t(4) << 20);
  EXPECT_LT(memory(promoted(random(DType::F16, {1024, 1024}))), size_t(3) << 20);
  EXPECT_LT(memory(promoted(random(DType::BF16, {1024, 1024}))), size_t(3) << 20);
}

TEST_P(ModelTest, Attention) {
  for (int64_t queries : {1, 7, 40})
    for (int64_t keys : {40, 65})
      for (int64_t size : {8, 33}) {
        Tensor q = random(DType::F32, {2, 4, queries, size}, -2, 2),
               k = random(DType::F32, {2, 2, keys, size}, -2, 2),
               v = random(DType::F32, {2, 2, keys, 12});
        std::map<std::string, Attribute> plain = {{"scale", 0.5f}}, causal = plain, window = plain;
        causal["causal"] = int64_t(1);
        window["causal"] = int64_t(1);
        window["window"] = int64_t(9);
        window["softcap"] = 2.0f;
        for (const auto &attributes : {plain, causal, window}) {
          check({"uoe", "Attention", attributes, {q, k, v}});
          check({"uoe",
                 "Attention",
                 attributes,
                 {q, k, v, random(DType::F32, {2, 1, queries, keys})}});
          check({"uoe", "Attention", attributes, {q, k, v, random(DType::F32, {4, 1, 1})}});
          check({"uoe",
                 "Attention",
                 attributes,
                 {q, k, v, random(DType::Bool, {1, 1, queries, keys})}});
        }
      }
  Tensor x = random(DType::F32, {2, 5, 3, 8}), hidden(DType::Bool, {1, 5});
  std::fill_n(hidden.data<uint8_t>(), 5, uint8_t(0));
  for (int64_t zero : {0, 1})
    check({"uoe",
           "Attention",
           {{"q_bshd", int64_t(1)},
            {"k_bshd", int64_t(1)},
            {"v_bshd", int64_t(1)},
            {"y_bshd", int64_t(1)},
            {"boolean_zero", zero}},
           {x, x, x, hidden}});
  check({"uoe",
         "Attention",
         {{"q_bshd", int64_t(1)},
          {"k_bshd", int64_t(1)},
          {"v_bshd", int64_t(1)},
          {"y_bshd", int64_t(1)}},
         {x, x, x}});
  Tensor none(DType::F32, {1, 2, 0, 8});
  check({"uoe",
         "Attention",
         {},
         {none, random(DType::F32, {1, 2, 3, 8}), random(DType::F32, {1, 2, 3, 8})}});
  check({"uoe", "Attention", {}, {random(DType::F32, {1, 2, 3, 8}), none, none}});
}

// Caches with room and without, prompts of unequal length, queries packed and apart, positions
// given and reckoned.
TEST_P(ModelTest, GroupQuery) {
  struct Problem {
    int64_t batch, rows, past, total;
    std::vector<int32_t> lastKeys;
  };
  const int64_t heads = 4, kvHeads = 2, size = 8;
  for (const Problem &p : {Problem{1, 5, 0, 5, {4}},
                           {2, 20, 0, 20, {19, 6}},
                           {2, 1, 7, 8, {7, 3}},
                           {2, 1, 40, 39, {38, 10}},
                           {1, 3, 4, 7, {6}},
                           {1, 6, 16, 6, {5}}})
    for (bool packed : {false, true})
      for (int64_t turned : {0, 1})
        for (int64_t variant : {0, 1}) {
          Tensor last(DType::I32, {p.batch});
          std::copy(p.lastKeys.begin(), p.lastKeys.end(), last.data<int32_t>());
          auto rows = [&](int64_t width) { return random(DType::F32, {p.batch, p.rows, width}); };
          auto past = [&] {
            return p.past ? random(DType::F32, {p.batch, kvHeads, p.past, size}) : absent;
          };
          Case c{"com.microsoft",
                 "GroupQueryAttention",
                 {{"num_heads", heads},
                  {"kv_num_heads", kvHeads},
                  {"do_rotary", turned},
                  {"rotary_interleaved", variant}},
                 {rows((packed ? heads + 2 * kvHeads : heads) * size),
                  packed ? absent : rows(kvHeads * size), packed ? absent : rows(kvHeads * size),
                  past(), past(), last, makeInts({p.total}).reshaped({}),
                  turned ? random(DType::F32, {64, variant ? size / 2 : size / 4}) : absent,
                  turned ? random(DType::F32, {64, variant ? size / 2 : size / 4}) : absent}};
          c.outputs = 3;
          if (variant) {
            c.attributes["local_window_size"] = int64_t(4);
            c.attributes["softcap"] = 3.0f;
            c.attributes["scale"] = 0.3f;
            if (turned)
              c.inputs.push_back(random(DType::I64, {p.batch, p.rows}, 0, 64));
          }
          ASSERT_NO_FATAL_FAILURE(check(c));
        }
}

TEST_P(ModelTest, ALengthThatFitsNoCacheIsAnError) {
  Tensor last(DType::I32, {1});
  *last.data<int32_t>() = 30;
  auto rows = [&](int64_t width) { return random(DType::F32, {1, 1, width}); };
  const Tensor past = random(DType::F32, {1, 2, 7, 8});
  const Case c{"com.microsoft",
               "GroupQueryAttention",
               {{"num_heads", int64_t(4)}, {"kv_num_heads", int64_t(2)}},
               {rows(32), rows(16), rows(16), past, past, last, makeInts({8}).reshaped({})}};
  Program program = programOf(c);
  const KernelTable &cpu = KernelTable::builtin();
  program.finish(tableForDevice(cpu), &cpu);
  ModelExecutor found(*device, program, cpu, images);
  EXPECT_THROW(found.run(std::vector<Value>(c.inputs.begin(), c.inputs.end())), Error);
}

TEST_P(ModelTest, Rotary) {
  for (DType type : {DType::F32, DType::F16})
    for (int64_t interleaved : {0, 1}) {
      std::map<std::string, Attribute> own = {{"interleaved", interleaved}};
      check({"",
             "RotaryEmbedding",
             own,
             {random(type, {2, 3, 5, 8}), random(type, {2, 5, 4}), random(type, {2, 5, 4})}});
      check({"",
             "RotaryEmbedding",
             own,
             {random(type, {2, 3, 5, 8}), random(type, {9, 4}), random(type, {9, 4}),
              random(DType::I64, {2, 5}, 0, 9)}});
      own["num_heads"] = int64_t(3);
      own["rotary_embedding_dim"] = int64_t(4);
      check({"",
             "RotaryEmbedding",
             own,
             {random(type, {2, 5, 24}), random(type, {9, 2}), random(type, {9, 2}),
              random(DType::I64, {2, 5}, 0, 9)}});
    }
}

/// Experts behind a choice of their own: steps uoe.Route and uoe.Experts.
Program routed(const std::map<std::string, Attribute> &rule, bool gated, const Tensor &up,
               const Tensor &gate, const Tensor &down, const Tensor &bias, bool showIds) {
  Builder b;
  Program &program = b.program;
  const int x = b.input("x"), scores = b.input("scores"), residual = b.input("residual");
  Program::Step route, experts;
  route.node.name = "route";
  route.node.op = "Route";
  route.node.outputs = 3;
  route.node.attributes = rule;
  route.inputs = {scores};
  route.outputs = {program.slots, program.slots + 1, program.slots + 2};
  program.slots += 3;
  experts.node.name = "experts";
  experts.node.op = "Experts";
  experts.node.outputs = 1;
  experts.node.attributes = {{"sizes", std::vector<int64_t>{3, 16, 1, 20, 8}},
                             {"activation", int64_t(4)}};
  experts.inputs = {x,
                    route.outputs[0],
                    route.outputs[1],
                    rule.count("weight") ? route.outputs[2] : -1,
                    b.weight(up),
                    gated ? b.weight(gate) : -1,
                    b.weight(down),
                    b.weight(bias),
                    -1,
                    -1,
                    -1,
                    residual};
  if (!rule.count("weight"))
    route.outputs[2] = -1;
  experts.outputs = {program.slots++};
  program.outputSlots = experts.outputs;
  program.outputNames = {"y"};
  if (showIds) {
    program.outputSlots.push_back(route.outputs[1]);
    program.outputNames.push_back("ids");
  }
  for (Program::Step *step : {&route, &experts}) {
    step->node.domain = "uoe";
    step->node.version = 1;
    program.steps.push_back(std::move(*step));
  }
  return std::move(b.program);
}

TEST_P(ModelTest, ExpertsChooseForThemselves) {
  const KernelTable &cpu = KernelTable::builtin();
  Tensor up = random(DType::F32, {24, 48}), gate = random(DType::F32, {24, 48}),
         down = random(DType::F32, {48, 12}), bias = random(DType::F32, {48});
  using Rule = std::map<std::string, Attribute>;
  const Rule top2 = {{"rule", int64_t(2)},
                     {"k", int64_t(2)},
                     {"scoring", int64_t(1)},
                     {"weight", int64_t(1)},
                     {"normalize", int64_t(1)}},
             threshold = {{"rule", int64_t(1)}, {"tau", 0.3f}};
  for (const Rule &rule : {top2, threshold})
    for (bool gated : {false, true})
      for (bool shown : {false, true}) {
        auto make = [&] { return routed(rule, gated, up, gate, down, bias, shown); };
        Program reference = make(), program = make();
        reference.finish(cpu);
        program.finish(tableForDevice(cpu), &cpu);
        Executor expected(reference);
        ModelExecutor found(*device, program, cpu, images);
        for (int64_t rows : {40, 1, 7, 0}) {
          std::vector<Value> inputs = {Value(random(DType::F32, {2, rows, 24})),
                                       Value(random(DType::F32, {2, rows, 5})),
                                       Value(random(DType::F32, {2, rows, 12}))};
          std::vector<Value> want = expected.run(inputs), have = found.run(inputs);
          for (size_t k = 0; k < want.size(); ++k)
            expectClose(have[k].tensor, want[k].tensor, 2e-5);
        }
        // Lists that somebody else reads are made on the CPU, and the experts with them.
        EXPECT_EQ(found.report().fallbacks.empty(), !shown);
      }
}

/// A choice and its experts with all that they may have: steps uoe.Route (two where there is one
/// around it) and uoe.Experts.
struct Routing {
  std::map<std::string, Attribute> rule;
  int64_t patch = 1; // tokens of a row of scores; 0: a sample
  std::vector<int64_t> slots = {};
  bool skip = false, thresholds = false, bias = false, groupScores = false, within = false,
       dense = false, cut = false;
  int choices() const { return slots.empty() ? 5 : int(slots.size()); }

  Program program(const std::function<Tensor(Shape)> &random) const {
    Builder b;
    const int64_t n = choices();
    const int x = b.input("x"), scores = b.input("scores"), groups = b.input("groups"),
              outer = b.input("outer");
    auto route = [&](std::map<std::string, Attribute> attributes, std::vector<int> inputs,
                     bool weights, bool shown) {
      attributes["tokens"] = patch;
      const int last = b.step("uoe", "Route", std::move(inputs), std::move(attributes));
      Program::Step &step = b.program.steps.back();
      step.node.outputs = 5;
      step.outputs = {last, b.program.slots, weights ? b.program.slots + 1 : -1,
                      shown ? b.program.slots + 2 : -1, shown ? b.program.slots + 3 : -1};
      b.program.slots += 4;
      return step.outputs;
    };
    std::vector<int> inputs = {scores, thresholds ? b.weight(random({n})) : -1,
                               bias ? b.weight(random({n})) : -1, groupScores ? groups : -1};
    auto own = rule;
    if (within) {
      std::vector<int> around =
          route({{"rule", int64_t(1)}, {"tau", -0.5f}}, {outer}, false, false);
      inputs.push_back(around[0]);
      inputs.push_back(around[1]);
      own["within_tokens"] = patch;
    }
    const bool weighted = rule.count("weight") || rule.count("factor") || rule.count("scaling");
    const std::vector<int> lists = route(own, inputs, weighted, dense);
    std::map<std::string, Attribute> block = {{"sizes", std::vector<int64_t>{3, 16, 1, 20, 8}},
                                              {"activation", int64_t(6)},
                                              {"tokens", patch},
                                              {"slots", slots}};
    if (cut) {
      block["limit"] = 0.5f;
      block["up_offset"] = 1.0f;
    }
    const int y =
        b.step("uoe", "Experts",
               {x, lists[0], lists[1], lists[2], b.weight(random({24, 48})),
                b.weight(random({24, 48})), b.weight(random({48, 12})), b.weight(random({48})), -1,
                b.weight(random({12})), skip ? b.weight(random({5, 12})) : -1},
               block);
    b.program.outputSlots = {y};
    b.program.outputNames = {"y"};
    for (size_t k : {3, 4})
      if (lists[k] >= 0) {
        b.program.outputSlots.push_back(lists[k]);
        b.program.outputNames.push_back("dense" + std::to_string(k));
      }
    return std::move(b.program);
  }
};

TEST_P(ModelTest, RoutingHasAllThatTheCpusHas) {
  const int64_t one = 1, two = 2, three = 3;
  const std::map<std::string, Attribute> top2 = {
      {"rule", two}, {"k", two}, {"scoring", one}, {"weight", one}};
  auto with = [](std::map<std::string, Attribute> rule, std::map<std::string, Attribute> more) {
    more.insert(rule.begin(), rule.end());
    return more;
  };
  const std::vector<int64_t> groups = {0, 1, 0, 2, 1}, aliases = {0, 4, 4, -1, 1, 2, 3};
  std::vector<Routing> all;
  auto add = [&](std::map<std::string, Attribute> rule) -> Routing & {
    all.push_back({std::move(rule)});
    return all.back();
  };
  add({{"rule", one}, {"tau", 0.2f}}).skip = true;
  Routing &recipe = add({{"rule", one}, {"empty", one}});
  recipe.skip = recipe.thresholds = true;
  add(with(top2, {{"capacity", three}})).dense = true;
  add(with(top2, {{"capacity", three}, {"padding", one}}));
  add(with(top2, {{"capacity_share", 0.3f}}));
  add(with(top2, {{"capacity_takers", one}}));
  add(with(top2, {{"capacity_takers", one}, {"padding", one}})).dense = true;
  add(with(top2, {{"capacity_takers", one}, {"padding", one}, {"capacity_share", 0.6f}}));
  add(with(top2, {{"normalize", two}}));
  add(with(top2, {{"normalize", three}})).dense = true;
  Routing &deepseek = add({{"rule", two},
                           {"k", two},
                           {"scoring", two},
                           {"weight", one},
                           {"normalize", one},
                           {"factor", 2.5f},
                           {"groups", groups},
                           {"group_k", two},
                           {"group_score", one}});
  deepseek.bias = true;
  add(with(top2, {{"groups", groups}, {"group_k", one}}));
  Routing &shares = add({{"scoring", one},
                         {"weight", one},
                         {"groups", groups},
                         {"temperature", 0.5f},
                         {"group_temperature", 2.0f}});
  shares.groupScores = true;
  Routing &limited = add(with(top2, {{"groups", groups}, {"group_k", two}}));
  limited.groupScores = true;
  add(with(top2, {{"scaling", two}})).slots = aliases;
  for (int64_t patch : {0, 4}) {
    add({{"rule", one}, {"tau", 0.1f}}).patch = patch;
    Routing &kept = add(with(top2, {{"capacity", one}}));
    kept.patch = patch;
    Routing &left = add({{"rule", one}, {"tau", 0.1f}});
    left.patch = patch;
    left.skip = true;
    Routing &aliased = add(top2);
    aliased.patch = patch;
    aliased.slots = aliases;
  }
  add(top2).cut = true;
  add(top2).within = true;
  Routing &inner = add({{"rule", one}, {"tau", -0.2f}});
  inner.within = inner.dense = true;
  inner.patch = 4;

  const KernelTable &cpu = KernelTable::builtin();
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE("routing " + std::to_string(i));
    const Routing &routing = all[i];
    auto make = [&] {
      generator.seed(unsigned(i));
      return routing.program([&](Shape shape) { return random(DType::F32, std::move(shape)); });
    };
    Program reference = make(), program = make();
    reference.finish(cpu);
    program.finish(tableForDevice(cpu), &cpu);
    Executor expected(reference);
    ModelExecutor found(*device, program, cpu, images);
    for (int64_t rows : {70, 9, 1, 3, 0}) {
      SCOPED_TRACE(std::to_string(rows) + " rows");
      const int64_t patches = routing.patch == 0   ? 1
                              : routing.patch == 1 ? rows
                                                   : (rows + routing.patch - 1) / routing.patch;
      auto scores = [&](int64_t n) { return Value(random(DType::F32, {2, patches, n})); };
      std::vector<Value> inputs = {Value(random(DType::F32, {2, rows, 24})),
                                   scores(routing.choices()), scores(3), scores(5)};
      std::vector<Value> want = expected.run(inputs), have = found.run(inputs);
      for (size_t k = 0; k < want.size(); ++k)
        ASSERT_NO_FATAL_FAILURE(expectClose(have[k].tensor, want[k].tensor, 2e-5));
    }
    EXPECT_TRUE(found.report().fallbacks.empty()) << describe(found.report());
    EXPECT_EQ(found.report().waits, 0);
  }
}

TEST_P(ModelTest, Cascade) {
  for (bool gated : {true, false})
    for (int64_t transposed : {0, (1 << 2) | (1 << 5) | (1 << 9)})
      for (int64_t rows : {1, 7, 8, 9, 40, 0})
        for (auto [in, hidden, out] :
             {std::array<int64_t, 3>{24, 70, 40}, {33, 1030, 5}, {1, 1, 1}}) {
          auto matrix = [&](int64_t a, int64_t b) {
            return transposed ? random(DType::F32, {b, a}) : random(DType::F32, {a, b});
          };
          auto positive = [&](int64_t n) { return random(DType::F32, {n}, 0.5, 1.5); };
          // No sum is so near a threshold that its order decides.
          Case c{"uoe",
                 "Cascade",
                 {{"transposed", transposed},
                  {"activation", int64_t(6)},
                  {"gate_threshold", 0.3f},
                  {"up_threshold", 0.5f},
                  {"active_threshold", 0.1f},
                  {"down_threshold", 0.05f}},
                 {random(DType::F32, {rows, in}), random(DType::F32, {in}), matrix(in, hidden),
                  random(DType::F32, {hidden}), positive(in), gated ? matrix(in, hidden) : absent,
                  gated ? random(DType::F32, {hidden}) : absent, gated ? positive(in) : absent,
                  gated ? positive(hidden) : absent, matrix(hidden, out), positive(hidden)},
                 {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
          ASSERT_NO_FATAL_FAILURE(check(c));
        }
  // Nothing survives.
  Case none{"uoe",
            "Cascade",
            {{"gate_threshold", 100.0f}},
            {random(DType::F32, {3, 8}), random(DType::F32, {8}), random(DType::F32, {8, 16}),
             random(DType::F32, {16}, 0, 0), random(DType::F32, {8}, 0.5, 1), absent, absent,
             absent, absent, random(DType::F32, {16, 8}), random(DType::F32, {16}, 0.5, 1)},
            {1, 2, 3, 4, 9, 10}};
  check(none);
}

// A decoder of two layers, as the raised form of an export runs: ids to logits.
TEST_P(ModelTest, AWholeDecoder) {
  const int64_t width = 64, heads = 4, words = 100;
  std::mt19937 weights(3);
  auto make = [&] {
    generator = weights; // the same each time
    Builder b;
    auto matrix = [&](Shape shape) {
      return b.weight(random(DType::F32, std::move(shape), -0.2, 0.2));
    };
    const int ids = b.input("ids"), table = matrix({words, width});
    const int split = b.weight(makeInts({0, 0, heads, width / heads})),
              joined = b.weight(makeInts({0, 0, width}));
    int x = b.step("", "Gather", {table, ids});
    for (int layer = 0; layer < 2; ++layer) {
      const int normed = b.step("", "RMSNormalization", {x, matrix({width})});
      int parts[3];
      for (int &part : parts)
        part = b.step(
            "", "Reshape",
            {b.step("uoe", "Linear", {normed, matrix({width, width}), matrix({width})}), split});
      const int mixed = b.step("uoe", "Attention", {parts[0], parts[1], parts[2]},
                               {{"q_bshd", int64_t(1)},
                                {"k_bshd", int64_t(1)},
                                {"v_bshd", int64_t(1)},
                                {"y_bshd", int64_t(1)},
                                {"causal", int64_t(1)},
                                {"scale", 0.25f}});
      x = b.step("uoe", "Linear",
                 {b.step("", "Reshape", {mixed, joined}), matrix({width, width}), -1, x});
      const int inner = b.step("", "LayerNormalization", {x, matrix({width}), matrix({width})});
      x = b.step("", "Add",
                 {x, b.step("uoe", "Ffn",
                            {inner, matrix({width, 96}), matrix({width, 96}), matrix({96, width})},
                            {{"activation", int64_t(4)}})});
    }
    b.program.outputSlots = {b.step("uoe", "Linear", {x, matrix({width, words})})};
    b.program.outputNames = {"logits"};
    return std::move(b.program);
  };
  const KernelTable &cpu = KernelTable::builtin();
  Program reference = make(), program = make();
  reference.finish(cpu);
  program.finish(tableForDevice(cpu), &cpu);
  Executor expected(reference);
  ModelExecutor found(*device, program, cpu, images);
  for (const Shape &shape : {Shape{2, 33}, Shape{1, 1}, Shape{1, 0}, Shape{2, 7}}) {
    Value ids(random(DType::I64, shape, 0, double(words)));
    expectClose(found.run({ids})[0].tensor, expected.run({ids})[0].tensor, 1e-4);
  }
  EXPECT_TRUE(found.report().fallbacks.empty()) << describe(found.report());
  EXPECT_EQ(found.report().waits, 0);
}

TEST_P(ModelTest, WhatHasNoKernelFallsBack) {
  Case c{"", "Mod", {}, {random(DType::I64, {3, 4}, 1, 9), random(DType::I64, {3, 4}, 1, 9)}};
  c.onDevice = false;
  check(c);
}

/// x of shape [2, n] through a chain: shape arithmetic on the host, a fallback between kernels.
Program chain() {
  Builder b;
  const int x = b.input("x");
  const int tanh = b.step("", "Tanh", {x}), shape = b.step("", "Shape", {tanh});
  const int size = b.step("", "ReduceProd", {shape}, {{"keepdims", int64_t(1)}});
  const int flat = b.step("", "Reshape", {tanh, size});
  const int sum = b.step(
      "", "CumProd", {flat, b.step("", "Constant", {}, {{"value", makeInts({0}).reshaped({})}})});
  b.program.outputSlots = {b.step("", "Neg", {sum}), sum};
  b.program.outputNames = {"y", "sum"};
  return std::move(b.program);
}

TEST_P(ModelTest, ShapesStayOnTheHostAndFallbacksAreCounted) {
  const KernelTable &cpu = KernelTable::builtin();
  Program reference = chain(), program = chain();
  reference.finish(cpu);
  program.finish(tableForDevice(cpu), &cpu);
  Executor expected(reference);
  ModelExecutor found(*device, program, cpu, images);
  size_t memory = 0;
  for (int64_t n : {5, 6, 7, 5, 7}) {
    Value x(random(DType::F32, {2, n}));
    std::vector<Value> want = expected.run({x}), have = found.run({x});
    expectClose(have[0].tensor, want[0].tensor, 1e-5);
    expectClose(have[1].tensor, want[1].tensor, 1e-5);
    EXPECT_TRUE(memory == 0 || memory == found.memory()) << "activations take new memory";
    memory = found.memory();
  }
  EXPECT_EQ(found.report().runs, 5);
  EXPECT_THAT(found.report().fallbacks, testing::ElementsAre(testing::Pair("CumProd", 5)));
  EXPECT_EQ(found.report().waits, 5); // for the fallbacks: nothing else asks for values
  EXPECT_EQ(found.report().launches, 10);
}

/// y = x W + (0 .. columns - 1) + x[at], doubled: a product, a value that the host makes from a
/// shape, and a number that is given on the host and read on both sides.
Program recorded(const Tensor &weight) {
  Builder b;
  const int x = b.input("x"), at = b.input("at");
  const int flat = b.step("", "Reshape", {x, b.weight(makeInts({-1, weight.dim(0)}))});
  const int y = b.step("", "MatMul", {flat, b.weight(weight)});
  const int size = b.step("", "Gather", {b.step("", "Shape", {y}), b.weight(makeInts({1}))});
  const int one = b.weight(makeInts({1}).reshaped({})), zero = b.weight(makeInts({0}).reshaped({}));
  const int end = b.step("", "Squeeze", {size});
  const int range = b.step("", "Range", {zero, end, one});
  const int ramp = b.step("", "Cast", {range}, {{"to", int64_t(1)}});
  const int row = b.step("", "Gather", {y, at});
  const int sum = b.step("", "Add", {b.step("", "Add", {y, ramp}), row});
  const int next = b.step("", "Add", {at, b.weight(makeInts({1}))});
  b.program.outputSlots = {b.step("", "Add", {sum, sum}), next, x};
  b.program.outputNames = {"y", "next", "x"};
  return std::move(b.program);
}

TEST_P(ModelTest, RunsAreRecordedAndReplayed) {
  const KernelTable &cpu = KernelTable::builtin();
  const Tensor weight = random(DType::F32, {12, 40});
  Program reference = recorded(weight), program = recorded(weight);
  reference.finish(cpu);
  program.finish(tableForDevice(cpu), &cpu);
  Executor expected(reference);
  ModelExecutor found(*device, program, cpu, images);
  auto run = [&](int64_t rows, int64_t at) {
    std::vector<Value> inputs = {Value(random(DType::F32, {rows, 2, 6})), Value(makeInts({at}))};
    std::vector<Value> want = expected.run(inputs), have = found.run(inputs);
    ASSERT_EQ(have.size(), want.size());
    for (size_t k = 0; k < want.size(); ++k)
      ASSERT_NO_FATAL_FAILURE(expectClose(have[k].tensor, want[k].tensor, 2e-5));
  };
  const DeviceReport &report = found.report();
  run(9, 1);
  EXPECT_EQ(report.replays, 0);
  const int64_t launches = report.launches;
  run(9, 1);
  run(9, 1);
  EXPECT_EQ(report.replays, 2);
  EXPECT_EQ(report.launches, 3 * launches); // of as many kernels
  EXPECT_EQ(report.waits, 0);
  // What the host has read is another number: as it was, and then as it is.
  run(9, 2);
  EXPECT_EQ(report.replays, 2);
  run(9, 1);
  EXPECT_EQ(report.replays, 3);
  // Other shapes take their own memory in between, and are recorded as well.
  for (int64_t rows : {30, 30, 9, 5, 30, 5, 5, 9})
    run(rows, 1);
  EXPECT_EQ(report.replays, 3 + 6);
  // More shapes than are kept.
  for (int64_t rows = 40; rows < 50; ++rows)
    run(rows, 3);
  const int64_t before = report.replays;
  run(9, 1);
  EXPECT_EQ(report.replays, before);
  run(9, 1);
  EXPECT_EQ(report.replays, before + 1);
  found.graphs = false;
  run(9, 1);
  EXPECT_EQ(report.replays, before + 1);
  EXPECT_TRUE(report.fallbacks.empty()) << describe(report);
}

TEST_P(ModelTest, ABadIndexInAReplayIsAnError) {
  Builder b;
  b.program.outputSlots = {b.step("", "Gather", {b.input("x"), b.input("ids")})};
  b.program.outputNames = {"y"};
  const KernelTable &cpu = KernelTable::builtin();
  b.program.finish(tableForDevice(cpu), &cpu);
  ModelExecutor found(*device, b.program, cpu, images);
  Value x(random(DType::F32, {5, 8}));
  auto ids = [](int64_t i) { return Value(makeInts({0, i}).reshaped({1, 2})); };
  found.run({x, ids(1)});
  found.run({x, ids(2)});
  EXPECT_THROW(found.run({x, ids(5)}), Error);
  EXPECT_EQ(found.run({x, ids(4)})[0].tensor.data<float>()[8], x.tensor.data<float>()[32]);
  EXPECT_EQ(found.report().replays, 2);
}

TEST_P(ModelTest, WhatReadsDataOnTheHostIsNotRecorded) {
  // The shape of the result is data that a step has computed.
  Builder b;
  const int x = b.input("x");
  const int most = b.step("", "ReduceMax", {x}, {{"keepdims", int64_t(0)}});
  const int shape = b.step(
      "", "Reshape", {b.step("", "Cast", {most}, {{"to", int64_t(7)}}), b.weight(makeInts({1}))});
  b.program.outputSlots = {
      b.step("", "Expand", {b.step("", "Reshape", {most, b.weight(makeInts({1}))}), shape})};
  b.program.outputNames = {"y"};
  const KernelTable &cpu = KernelTable::builtin();
  b.program.finish(tableForDevice(cpu), &cpu);
  ModelExecutor found(*device, b.program, cpu, images);
  for (int64_t n : {3, 4, 5, 3}) {
    Tensor values = random(DType::F32, {2, 2}, 0, 1);
    values.data<float>()[2] = float(n);
    EXPECT_EQ(found.run({Value(values)})[0].tensor.shape(), Shape{n});
  }
  EXPECT_EQ(found.report().replays, 0);
}

/// Of a driver that fails on request, which a device does not.
class FailingDriverTest : public ModelTest {};

TEST_P(FailingDriverTest, ErrorsNameTheNodeAndTheNextRunIsUnharmed) {
  const KernelTable &cpu = KernelTable::builtin();
  Program program = chain();
  program.finish(tableForDevice(cpu), &cpu);
  ModelExecutor found(*device, program, cpu, images);
  Value small(random(DType::F32, {2, 3})), large(random(DType::F32, {2, 100000}));
  auto message = [&](const Value &x) -> std::string {
    try {
      found.run({x});
      return "";
    } catch (const Error &error) {
      return error.what();
    }
  };
  EXPECT_EQ(message(small), "");
  setenv("UOE_FAKE_CUDA", "memory=65536", 1);
  EXPECT_THAT(message(large),
              testing::AllOf(HasSubstr("node 'Tanh0' (Tanh)"), HasSubstr("out of memory")));
  unsetenv("UOE_FAKE_CUDA");
  EXPECT_EQ(message(small), "");
  setenv("UOE_FAKE_CUDA", "cuLaunchKernel=700", 1);
  EXPECT_THAT(message(small), HasSubstr("was lost"));
  unsetenv("UOE_FAKE_CUDA");
  EXPECT_THAT(message(small), HasSubstr("was lost"));
}

TEST_P(FailingDriverTest, ARunThatCannotBeRecordedRunsAsBefore) {
  const KernelTable &cpu = KernelTable::builtin();
  const Tensor weight = random(DType::F32, {12, 40});
  for (const char *function : {"cuStreamBeginCapture_v2=900", "cuStreamEndCapture=901",
                               "cuGraphInstantiateWithFlags=801", "memory=20000"}) {
    SCOPED_TRACE(function);
    Program reference = recorded(weight), program = recorded(weight);
    reference.finish(cpu);
    program.finish(tableForDevice(cpu), &cpu);
    Executor expected(reference);
    ModelExecutor found(*device, program, cpu, images);
    for (int turn = 0; turn < 4; ++turn) {
      if (turn == 1)
        setenv("UOE_FAKE_CUDA", function, 1);
      std::vector<Value> inputs = {Value(random(DType::F32, {9, 2, 6})), Value(makeInts({1}))};
      expectClose(found.run(inputs)[0].tensor, expected.run(inputs)[0].tensor, 2e-5);
    }
    unsetenv("UOE_FAKE_CUDA");
    if (*function == 'c') {
      EXPECT_EQ(found.report().replays, 0);
    }
  }
}

TEST_P(FailingDriverTest, RecordedRunsGiveWayWhenMemoryIsShort) {
  const KernelTable &cpu = KernelTable::builtin();
  const Tensor weight = random(DType::F32, {12, 40});
  Program program = recorded(weight);
  program.finish(tableForDevice(cpu), &cpu);
  ModelExecutor found(*device, program, cpu, images);
  auto run = [&](int64_t rows) {
    return found.run({Value(random(DType::F32, {rows, 2, 6})), Value(makeInts({1}))});
  };
  run(300);
  run(300);
  EXPECT_EQ(found.report().replays, 1);
  const std::string all = "memory=" + std::to_string(found.memory() + 4096);
  setenv("UOE_FAKE_CUDA", all.c_str(), 1);
  run(310);
  run(300); // no longer recorded, and not again
  run(300);
  EXPECT_EQ(found.report().replays, 1);
  unsetenv("UOE_FAKE_CUDA");
}

INSTANTIATE_TEST_SUITE_P(Backends, ModelTest, testing::Values(Backend::Simulated, Backend::Cuda),
                         [](const auto &info) {
                           return info.param == Backend::Simulated ? "Simulated" : "Cuda";
                         });

INSTANTIATE_TEST_SUITE_P(Backends, FailingDriverTest, testing::Values(Backend::Simulated),
                         [](const auto &) { return "Simulated"; });

} // namespace
