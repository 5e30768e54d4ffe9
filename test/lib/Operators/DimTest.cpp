// Symbolic integers: algebra, order, names, and their agreement with numbers.
#include "lib/Onnx/Operators/Dim.h"
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <random>

using namespace uoe::onnx;

TEST(Dim, EqualPolynomialsAreOne) {
  DimTable t;
  Dim b = t.named("b"), s = t.named("s");
  EXPECT_EQ(t.multiply(t.add(b, t.constant(1)), s), t.add(t.multiply(s, b), s));
  EXPECT_EQ(t.subtract(t.add(b, s), s), b);
  EXPECT_EQ(t.subtract(b, b), t.constant(0));
  EXPECT_NE(b, s);
  EXPECT_NE(t.anonymous(), t.anonymous());
}

TEST(Dim, NamesReadBack) {
  DimTable t;
  for (const char *name : {"past + seq", "2*b*s", "b - 1", "Min(128, seq)",
                           "((h - 16) // (16)) + 1", "Max(0, s - 4)", "Mod(s, 7)", "a.b_c"}) {
    Dim dim = t.named(name);
    EXPECT_EQ(t.named(t.name(dim)), dim) << name << " became " << t.name(dim);
  }
  EXPECT_EQ(t.name(t.add(t.named("seq"), t.named("past"))), "past + seq");
  EXPECT_EQ(t.named("seq+past"), t.named("past + seq"));
}

TEST(Dim, SizesOfTensorsAreNotNegative) {
  DimTable t;
  Dim windows = t.named("(seq - 8) // 4");
  EXPECT_FALSE(t.isNonNegative(windows));
  t.noteSize(t.add(windows, t.constant(2)));
  EXPECT_FALSE(t.isNonNegative(t.add(windows, t.constant(1))));
  EXPECT_TRUE(t.isNonNegative(t.add(windows, t.constant(2))));
  EXPECT_TRUE(t.provablyAtLeast(t.add(windows, t.constant(3)), t.constant(1)));
  t.noteSize(windows);
  EXPECT_TRUE(t.isNonNegative(windows));
  EXPECT_FALSE(t.isNonNegative(t.subtract(windows, t.constant(1))));
  EXPECT_FALSE(t.isNonNegative(t.multiply(windows, t.constant(-1))));
}

TEST(Dim, OddNamesAreSymbols) {
  DimTable t;
  for (const char *name :
       {"batch size", "a/b", "1", "x + ", "(", "", "Min(1", "9999999999999999999999"}) {
    EXPECT_FALSE(t.named(name).isConstant()) << name;
    EXPECT_EQ(t.named(name), t.named(name));
  }
  EXPECT_NE(t.named("batch size"), t.named("batch"));
  EXPECT_EQ(t.name(t.anonymous()), "");
  // Nesting without end is a name, not a stack overflow.
  EXPECT_FALSE(t.named(std::string(100000, '(')).isConstant());
}

TEST(Dim, Division) {
  DimTable t;
  Dim b = t.named("b"), s = t.named("s");
  Dim product = t.product({b, s, t.constant(12)});
  EXPECT_EQ(t.exactDiv(product, t.multiply(s, t.constant(4))), t.multiply(b, t.constant(3)));
  EXPECT_FALSE(t.exactDiv(product, t.constant(5)));
  EXPECT_FALSE(t.exactDiv(b, t.constant(0)));
  EXPECT_EQ(t.floorDiv(t.constant(-7), t.constant(2)), t.constant(-4));
  EXPECT_EQ(t.mod(t.constant(-7), t.constant(2)), t.constant(1));
  Dim sum = t.add(b, s);
  EXPECT_EQ(t.exactDiv(t.multiply(sum, t.constant(6)), sum), t.constant(6));
  EXPECT_EQ(t.floorDiv(s, t.constant(2)), t.floorDiv(s, t.constant(2)));
}

TEST(Dim, Order) {
  DimTable t;
  Dim s = t.named("s"), past = t.named("past"), any = t.anonymous(/*nonNegative=*/false);
  EXPECT_EQ(t.equal(s, t.constant(-1)), std::optional<bool>(false));
  EXPECT_EQ(t.equal(s, past), std::nullopt);
  EXPECT_EQ(t.equal(any, t.constant(-1)), std::nullopt);
  EXPECT_EQ(t.less(s, t.add(s, t.constant(1))), std::optional<bool>(true));
  EXPECT_EQ(t.less(t.add(past, s), s), std::optional<bool>(false));
  EXPECT_EQ(t.max(t.add(past, s), s), t.add(past, s));
  EXPECT_EQ(t.min(t.constant(INT64_MAX), t.constant(3)), t.constant(3));
}

TEST(Dim, Broadcast) {
  DimTable t;
  Dim s = t.named("s"), u = t.named("u");
  EXPECT_EQ(t.broadcast(s, t.constant(1)), s);
  EXPECT_EQ(t.broadcast(s, t.constant(5)), t.constant(5));
  EXPECT_EQ(t.broadcast(s, s), s);
  EXPECT_FALSE(t.broadcast(t.constant(2), t.constant(3)));
  EXPECT_EQ(t.broadcast(s, u), t.broadcast(u, s));
  EXPECT_EQ(t.broadcast(t.broadcast(s, u), u), t.broadcast(s, u));
  EXPECT_EQ(t.broadcast(t.min(t.constant(128), s), s), s);
}

TEST(Dim, OverflowIsUnknown) {
  DimTable t;
  Dim huge = t.constant(INT64_MAX);
  EXPECT_FALSE(t.add(huge, t.constant(1)).isConstant());
  EXPECT_FALSE(t.multiply(huge, t.constant(2)).isConstant());
  EXPECT_FALSE(t.floorDiv(t.constant(INT64_MIN), t.constant(-1)).isConstant());
}

// Random expressions of two symbols: what the table computes from the parts is what numbers give,
// and whatever it claims about order holds.
TEST(Dim, AgreesWithNumbers) {
  std::mt19937 random(7);
  auto pick = [&](int n) { return static_cast<int>(random() % n); };
  for (int trial = 0; trial < 200; ++trial) {
    DimTable t;
    int64_t x = pick(9), y = pick(9);
    struct Pair {
      Dim dim;
      int64_t value;
    };
    std::vector<Pair> pool = {{t.named("x"), x},
                              {t.named("y"), y},
                              {t.constant(2), 2},
                              {t.constant(-3), -3},
                              {t.constant(1), 1}};
    // The value of a polynomial from its atoms' values.
    std::function<int64_t(Dim)> value = [&](Dim dim) {
      int64_t total = dim->constant;
      for (const DimNode::Term &term : dim->terms) {
        int64_t product = term.coefficient;
        for (unsigned index : term.atoms) {
          const DimAtom &atom = t.atom(index);
          auto floorDiv = [](int64_t a, int64_t b) {
            return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0));
          };
          switch (atom.kind) {
          case DimAtom::Named:
            product *= atom.name == "x" ? x : y;
            break;
          case DimAtom::Max:
            product *= std::max(value(atom.left), value(atom.right));
            break;
          case DimAtom::Min:
            product *= std::min(value(atom.left), value(atom.right));
            break;
          case DimAtom::FloorDiv:
            product *= floorDiv(value(atom.left), value(atom.right));
            break;
          case DimAtom::Mod:
            product *= value(atom.right) == 0
                           ? 0
                           : value(atom.left) -
                                 floorDiv(value(atom.left), value(atom.right)) * value(atom.right);
            break;
          default:
            ADD_FAILURE() << "an unknown in an expression that has none";
          }
        }
        total += product;
      }
      return total;
    };
    for (int step = 0; step < 12; ++step) {
      Pair a = pool[pick(pool.size())], b = pool[pick(pool.size())];
      if (std::abs(a.value) > 10000 || std::abs(b.value) > 10000 ||
          a.dim->terms.size() + b.dim->terms.size() > 6)
        continue;
      bool shallow = true; // products of degree 6 and more become unknowns by design
      for (Dim dim : {a.dim, b.dim})
        for (const DimNode::Term &term : dim->terms)
          shallow &= term.atoms.size() <= 2;
      if (!shallow)
        continue;
      switch (pick(6)) {
      case 0:
        pool.push_back({t.add(a.dim, b.dim), a.value + b.value});
        break;
      case 1:
        pool.push_back({t.subtract(a.dim, b.dim), a.value - b.value});
        break;
      case 2:
        pool.push_back({t.multiply(a.dim, b.dim), a.value * b.value});
        break;
      case 3:
        pool.push_back({t.max(a.dim, b.dim), std::max(a.value, b.value)});
        break;
      case 4:
        pool.push_back({t.min(a.dim, b.dim), std::min(a.value, b.value)});
        break;
      case 5:
        if (b.value > 0)
          pool.push_back({t.floorDiv(a.dim, b.dim), a.value / b.value - (a.value % b.value < 0)});
        break;
      }
      EXPECT_EQ(value(pool.back().dim), pool.back().value)
          << t.name(pool.back().dim) << " at x = " << x << ", y = " << y;
      if (auto less = t.less(a.dim, b.dim)) {
        EXPECT_EQ(*less, a.value < b.value) << t.name(a.dim) << " < " << t.name(b.dim);
      }
      if (auto equal = t.equal(a.dim, b.dim)) {
        EXPECT_EQ(*equal, a.value == b.value) << t.name(a.dim) << " == " << t.name(b.dim);
      }
      if (t.isNonNegative(a.dim)) {
        EXPECT_GE(a.value, 0) << t.name(a.dim);
      }
    }
  }
}
