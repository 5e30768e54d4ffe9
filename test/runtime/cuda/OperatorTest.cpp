// Operators of exports that are not the raised form's own, against the CPU's entries.
#include "ModelFixture.h"
#include <array>

namespace {

class OperatorTest : public ModelTest {
protected:
  /// 8-bit integers of all values.
  Tensor bytes(DType type, Shape shape) {
    Tensor tensor(type, std::move(shape));
    for (int64_t i = 0; i < tensor.size(); ++i)
      static_cast<uint8_t *>(tensor.raw())[i] = uint8_t(generator());
    return tensor;
  }
};

TEST_P(OperatorTest, Scatters) {
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

TEST_P(OperatorTest, Triangles) {
  for (DType type : {DType::F32, DType::F16, DType::I64, DType::Bool})
    for (const Shape &shape : {Shape{2, 4, 6}, Shape{5, 3}, Shape{2, 0, 3}})
      for (int64_t upper : {0, 1})
        for (int64_t diagonal : {-9, -1, 0, 2, 9}) {
          const Tensor x = random(type, shape, -9, 9);
          check({"", "Trilu", {{"upper", upper}}, {x, makeInts({diagonal}).reshaped({})}});
          check({"", "Trilu", {{"upper", upper}}, {x}});
        }
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
    auto conv = [&](const Shape &x, const Shape &w,
                    const std::map<std::string, Attribute> &attributes) {
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

TEST_P(OperatorTest, MorePointwise) {
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    for (const Shape &shape : {Shape{3, 71}, Shape{0}, Shape{}}) {
      for (const char *op :
           {"Round", "Sign", "Softplus", "HardSwish", "LeakyRelu", "Elu", "HardSigmoid", "Swish"})
        check({"", op, {}, {random(type, shape, -5, 5)}, {}, 1, 24});
      for (const char *op : {"LeakyRelu", "Elu", "HardSigmoid", "Swish"})
        check({"", op, {{"alpha", 0.7f}}, {random(type, shape, -5, 5)}, {}, 1, 24});
    }
}

// Whole tensors, axes and blocks; values half way, beyond the range, and NaN.
TEST_P(OperatorTest, QuantizeAndDequantize) {
  Tensor odd = random(DType::F32, {2, 6, 4}, -40, 40);
  const float special[] = {0.05f, 0.15f, -0.05f, 1e9f, -1e9f, INFINITY, -INFINITY, NAN};
  std::copy_n(special, 8, odd.data<float>());
  auto scale = [&](const Shape &shape) { return random(DType::F32, shape, 0.05, 0.3); };
  Tensor tenth(DType::F32, {});
  *tenth.data<float>() = 0.1f;
  for (DType type : {DType::U8, DType::I8}) {
    for (const Tensor &x : {odd, random(DType::F16, {2, 6, 4}, -9, 9), random(DType::F32, {2, 0}),
                            random(DType::F32, {})}) {
      check({"", "QuantizeLinear", {}, {x, tenth, bytes(type, {})}});
      if (type == DType::U8)
        check({"", "QuantizeLinear", {}, {x, tenth}});
    }
    for (int64_t axis : {0, 1, -1}) {
      // The CPU has no rule for NaN among several scales.
      odd.data<float>()[7] = 7;
      const int64_t n = odd.dim(axis);
      check({"", "QuantizeLinear", {{"axis", axis}}, {odd, scale({n}), bytes(type, {n})}});
      check({"",
             "DequantizeLinear",
             {{"axis", axis}},
             {bytes(type, {2, 6, 4}), scale({n}), bytes(type, {n})}});
      Shape blocks = odd.shape();
      blocks[size_t(axis < 0 ? 2 : axis)] = (n + 3) / 4; // the last may be short
      const std::map<std::string, Attribute> four = {{"axis", axis}, {"block_size", int64_t(4)}};
      check({"",
             "QuantizeLinear",
             four,
             {random(DType::F32, {2, 6, 4}, -9, 9), scale(blocks), bytes(type, blocks)}});
      check({"",
             "DequantizeLinear",
             four,
             {bytes(type, {2, 6, 4}), scale(blocks), bytes(type, blocks)}});
    }
    check({"", "DequantizeLinear", {}, {bytes(type, {7, 3}), tenth, bytes(type, {})}});
    check({"", "DequantizeLinear", {}, {bytes(type, {0, 3}), tenth}});
  }
  check({"", "DequantizeLinear", {}, {random(DType::I32, {5, 3}, -999, 999), scale({})}});
  for (const Shape &shape : {Shape{1}, Shape{7, 300}, Shape{2, 40000}, Shape{0}})
    for (auto [low, high] : {std::array<double, 2>{-1, 3}, {0.5, 2}, {-3, -1}, {0, 0}})
      check({"", "DynamicQuantizeLinear", {}, {random(DType::F32, shape, low, high)}, {}, 3});
}

TEST_P(OperatorTest, IntegerProducts) {
  auto scale = [&](const Shape &shape) { return random(DType::F32, shape, 0.01, 0.03); };
  for (DType ta : {DType::U8, DType::I8})
    for (DType tb : {DType::U8, DType::I8})
      for (auto [m, k, n] : {std::array<int64_t, 3>{1, 1, 1},
                             {7, 67, 33},
                             {40, 130, 5},
                             {0, 4, 3},
                             {3, 0, 2},
                             {33, 64, 70}})
        for (int64_t saturating : {0, 1}) {
          const std::map<std::string, Attribute> own = {{"saturating", saturating}};
          const Tensor a = bytes(ta, {m, k}), b = bytes(tb, {k, n}), za = bytes(ta, {}),
                       zb = bytes(tb, {});
          check({"", "MatMulInteger", own, {a, b}, {1}});
          check({"", "MatMulInteger", own, {a, b, za, zb}});
          check({"", "MatMulInteger", own, {a, b, bytes(ta, {m}), bytes(tb, {n})}});
          check({"com.microsoft",
                 "MatMulIntegerToFloat",
                 own,
                 {a, b, scale({}), scale({n}), za, zb, random(DType::F32, {n})}});
          check({"com.microsoft", "MatMulIntegerToFloat", own, {a, b, scale({m}), scale({})}});
          check({"",
                 "QLinearMatMul",
                 own,
                 {a, scale({}), za, b, scale({n}), bytes(tb, {n}), scale({}), bytes(ta, {})}});
          for (int64_t turned : {0, 1}) {
            auto gemm = own;
            gemm["transA"] = gemm["transB"] = turned;
            gemm["alpha"] = 0.5f;
            const Tensor left = turned ? bytes(ta, {k, m}) : a,
                         right = turned ? bytes(tb, {n, k}) : b;
            check({"com.microsoft",
                   "QGemm",
                   gemm,
                   {left, scale({}), za, right, scale({n}), zb, random(DType::I32, {n}, -99, 99)}});
            check({"com.microsoft",
                   "QGemm",
                   gemm,
                   {left, scale({}), za, right, scale({}), zb, random(DType::I32, {m, 1}, -99, 99),
                    scale({}), bytes(ta, {})}});
          }
        }
  check({"",
         "MatMulInteger",
         {},
         {bytes(DType::U8, {2, 3, 5, 8}), bytes(DType::I8, {3, 8, 4}), bytes(DType::U8, {}),
          bytes(DType::I8, {})}});
  check({"", "MatMulInteger", {}, {bytes(DType::U8, {2, 3, 8}), bytes(DType::I8, {8, 4})}});
  for (int64_t rows : {1, 9, 0})
    check({"com.microsoft",
           "DynamicQuantizeMatMul",
           {},
           {random(DType::F32, {2, rows, 24}), bytes(DType::I8, {24, 40}), scale({40}),
            bytes(DType::I8, {40}), random(DType::F32, {40})}});
}

TEST_P(OperatorTest, QuantisedOperators) {
  using Ints = std::vector<int64_t>;
  auto scale = [&](const Shape &shape) { return random(DType::F32, shape, 0.01, 0.03); };
  for (DType type : {DType::U8, DType::I8}) {
    auto zero = [&] { return bytes(type, {}); };
    for (const char *op : {"QLinearAdd", "QLinearMul"})
      check({"com.microsoft",
             op,
             {},
             {bytes(type, {3, 1, 5}), scale({}), zero(), bytes(type, {7, 1}), scale({}), zero(),
              scale({}), zero()}});
    for (const char *op : {"QLinearSigmoid", "QLinearLeakyRelu"})
      for (const Shape &shape : {Shape{3, 70}, Shape{0, 4}})
        check(
            {"com.microsoft", op, {}, {bytes(type, shape), scale({}), zero(), scale({}), zero()}});
    Tensor unit(DType::F32, {});
    *unit.data<float>() = 1.0f / 256;
    for (const Shape &shape : {Shape{2, 3, 40}, Shape{1, 1}, Shape{0, 4}})
      check({"com.microsoft",
             "QLinearSoftmax",
             {{"axis", int64_t(-1)}, {"opset", int64_t(13)}},
             {bytes(type, shape), scale({}), zero(), unit, zero()},
             {3}});
    for (int64_t groups : {1, 2}) {
      const std::map<std::string, Attribute> conv = {{"group", groups}, {"pads", Ints{1, 0, 2, 1}}};
      const Tensor x = bytes(type, {2, 4, 6, 5}), w = bytes(DType::I8, {6, 4 / groups, 3, 2});
      check({"", "ConvInteger", conv, {x, w, zero(), bytes(DType::I8, {})}});
      check({"", "ConvInteger", conv, {x, w}});
      check({"",
             "QLinearConv",
             conv,
             {x, scale({}), zero(), w, scale({6}), bytes(DType::I8, {6}), scale({}), zero(),
              random(DType::I32, {6}, -99, 99)}});
      Case apart{"", "ConvInteger", conv, {x, w}};
      apart.attributes["saturating"] = int64_t(1);
      apart.onDevice = false;
      check(apart);
    }
  }
}

// Every form of mask, with and without a bias and a cache, keys and values of unequal width.
TEST_P(OperatorTest, PackedAttention) {
  const int64_t heads = 3;
  for (auto [batch, rows, past] :
       {std::array<int64_t, 3>{2, 7, 0}, {2, 1, 5}, {1, 20, 3}, {1, 0, 0}})
    for (int64_t causal : {0, 1})
      for (int form = 0; form < 5; ++form) {
        const int64_t keys = past + rows;
        auto mask = [&, batch = batch, rows = rows]() -> Tensor {
          auto of = [&](Shape shape, int64_t high) {
            return random(DType::I32, std::move(shape), 0, double(high));
          };
          switch (form) {
          case 0:
            return absent;
          case 1:
            return of({batch}, keys + 1);
          case 2:
            return of({2 * batch}, keys + 1);
          case 3:
            return of({batch, keys}, 2);
          default:
            return of({batch, rows, keys}, 2);
          }
        };
        std::map<std::string, Attribute> own = {{"num_heads", heads}, {"unidirectional", causal}};
        const Tensor x = random(DType::F32, {batch, rows, 10}, -2, 2),
                     bias = random(DType::F32, {72}),
                     cache = past ? random(DType::F32, {2, batch, heads, past, 8}) : absent;
        check({"com.microsoft",
               "Attention",
               own,
               {x, random(DType::F32, {10, 72}), bias, mask(), cache},
               {1, 2},
               2});
        if (past == 0)
          check({"com.microsoft",
                 "Attention",
                 own,
                 {x, random(DType::F32, {10, 72}), absent, mask(), absent,
                  random(DType::F32, {1, heads, rows, rows})},
                 {1}});
        own["qkv_hidden_sizes"] = std::vector<int64_t>{24, 24, 15};
        own["scale"] = 0.3f;
        if (past == 0)
          check({"com.microsoft",
                 "Attention",
                 own,
                 {x, random(DType::F32, {10, 63}), random(DType::F32, {63}), mask()},
                 {1, 2}});
      }
  for (int64_t rows : {1, 9}) {
    auto scale = [&] { return random(DType::F32, {}, 0.01, 0.02); };
    check({"com.microsoft",
           "QAttention",
           {{"num_heads", heads}},
           {bytes(DType::U8, {2, rows, 10}), bytes(DType::I8, {10, 72}), random(DType::F32, {72}),
            scale(), scale(), random(DType::I32, {2}, 1, double(rows + 1)), bytes(DType::U8, {}),
            bytes(DType::I8, {}), random(DType::F32, {2, 2, heads, 4, 8})},
           {1},
           2});
  }
}

// Packed, apart, and caches as keys; with a bias of all three.
TEST_P(OperatorTest, MultiHead) {
  const int64_t heads = 2, size = 6, valueSize = 5;
  for (auto [batch, rows, fresh, past] :
       {std::array<int64_t, 4>{2, 7, 9, 0}, {1, 1, 1, 6}, {2, 3, 3, 2}, {1, 0, 4, 0}})
    for (int form = 0; form < 4; ++form)
      for (bool biased : {false, true}) {
        const int64_t width = heads * size, own = form == 0 ? rows : fresh;
        const bool same = form < 2; // packed with the key
        const int64_t values = same ? size : valueSize;
        std::vector<Tensor> in(8);
        in[0] = random(DType::F32,
                       form == 0 ? Shape{batch, rows, heads, 3, size} : Shape{batch, rows, width});
        if (form == 1)
          in[1] = random(DType::F32, {batch, fresh, heads, 2, size});
        if (form == 2) {
          in[1] = random(DType::F32, {batch, fresh, width});
          in[2] = random(DType::F32, {batch, fresh, heads * values});
        }
        if (form == 3) {
          in[1] = random(DType::F32, {batch, heads, fresh, size});
          in[2] = random(DType::F32, {batch, heads, fresh, values});
        }
        if (biased) {
          in[3] = random(DType::F32, {2 * width + heads * values});
          in[5] = random(DType::F32, {batch, 1, rows, past + own});
        } else {
          in[4] = random(DType::I32, {batch}, 1, double(past + own + 1));
        }
        if (past > 0) {
          in[6] = random(DType::F32, {batch, heads, past, size});
          in[7] = random(DType::F32, {batch, heads, past, values});
        }
        Case c{"com.microsoft",
               "MultiHeadAttention",
               {{"num_heads", heads}, {"unidirectional", int64_t(biased)}},
               in};
        c.outputs = 3;
        ASSERT_NO_FATAL_FAILURE(check(c));
      }
}

TEST_P(OperatorTest, EmbeddingsNormalised) {
  for (DType type : {DType::F32, DType::F16})
    for (DType index : {DType::I32, DType::I64})
      for (const Shape &shape : {Shape{2, 7}, Shape{1, 1}, Shape{3, 0}})
        for (bool all : {false, true}) {
          auto ids = [&](int64_t most) { return random(index, shape, 0, double(most)); };
          const Tensor table = random(type, {9, 33}), row = random(type, {33});
          check({"com.microsoft",
                 "EmbedLayerNormalization",
                 {},
                 {ids(9), all ? ids(9) : absent, table, table, all ? table : absent, row, row,
                  all ? ids(2) : absent, all ? random(index, {1, shape[1]}, 0, 9) : absent},
                 {},
                 3});
        }
}

/// y = c ? tanh(x W) : x + x, within a program that goes on: a branch runs where the rest does.
TEST_P(OperatorTest, BranchesRunOnTheDevice) {
  auto branch = [&](const std::function<int(Builder &, int)> &body) {
    Builder b;
    const int x = b.program.slots++;
    b.program.captures = {{x, 0}};
    b.program.outputSlots = {body(b, x)};
    b.program.outputNames = {"y"};
    return std::make_shared<const Program>(std::move(b.program));
  };
  const Tensor weight = random(DType::F32, {12, 12}), bias = random(DType::F32, {12});
  auto make = [&](bool decided) {
    Builder b;
    const int x = b.input("x"), c = decided ? b.input("c") : -1;
    int condition = c;
    if (!decided) // from data: the host waits for it
      condition = b.step("", "Less",
                         {b.step("", "ReduceMax", {x}, {{"keepdims", int64_t(0)}}),
                          b.weight(random(DType::F32, {}, 0.5, 0.5))});
    const int y = b.step(
        "", "If", {condition},
        {{"then_branch", branch([&](Builder &in, int own) {
            return in.step("", "Tanh",
                           {in.step("uoe", "Linear", {own, in.weight(weight), in.weight(bias)})});
          })},
         {"else_branch", branch([&](Builder &in, int own) {
            return in.step("", "Add", {own, own});
          })}});
    b.program.outputSlots = {b.step("", "Neg", {y}), y};
    b.program.outputNames = {"z", "y"};
    return std::move(b.program);
  };
  const KernelTable &cpu = KernelTable::builtin();
  for (bool decided : {true, false}) {
    Program reference = make(decided), program = make(decided);
    reference.finish(cpu);
    program.finish(tableForDevice(cpu), &cpu);
    Executor expected(reference);
    ModelExecutor found(*device, program, cpu, images);
    for (bool first : {true, true, false, false, true, false, false, true}) {
      std::vector<Value> inputs = {Value(random(DType::F32, {3, 12}, 0, first ? 0.4 : 1))};
      inputs[0].tensor.data<float>()[3] = first ? 0.4f : 0.9f;
      Tensor c(DType::Bool, {});
      *c.data<uint8_t>() = first;
      if (decided)
        inputs.push_back(Value(c));
      std::vector<Value> want = expected.run(inputs), have = found.run(inputs);
      for (size_t k = 0; k < want.size(); ++k)
        ASSERT_NO_FATAL_FAILURE(expectClose(have[k].tensor, want[k].tensor, 2e-5));
    }
    EXPECT_TRUE(found.report().fallbacks.empty()) << describe(found.report());
    // A condition that is an input is part of what a recorded run needs to be the same.
    EXPECT_EQ(found.report().waits, decided ? 0 : 8);
    EXPECT_EQ(found.report().replays > 0, decided);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, OperatorTest, testing::Values(Backend::Simulated, Backend::Cuda),
                         [](const auto &info) {
                           return info.param == Backend::Simulated ? "Simulated" : "Cuda";
                         });

} // namespace
