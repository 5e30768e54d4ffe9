// Symbolic integers: sizes and the small integers computed from them.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace uoe::onnx {

/// A polynomial with integer coefficients over atoms. Interned by its DimTable: equal pointers are
/// equal polynomials, so that a Dim is compared by pointer. Two Dims that differ may still have the
/// same value at run time.
struct DimNode {
  struct Term {
    int64_t coefficient;
    llvm::SmallVector<unsigned, 2> atoms; // sorted, repeated for powers
  };
  int64_t constant = 0;
  std::vector<Term> terms; // sorted by atoms
};

/// A handle on a polynomial; null stands for "no value".
class Dim {
public:
  Dim() = default;
  explicit Dim(const DimNode *node) : node(node) {}
  explicit operator bool() const { return node != nullptr; }
  bool operator==(Dim other) const { return node == other.node; }
  bool operator!=(Dim other) const { return node != other.node; }
  const DimNode *operator->() const { return node; }
  bool isConstant() const { return node && node->terms.empty(); }
  bool is(int64_t value) const { return isConstant() && node->constant == value; }
  std::optional<int64_t> constant() const {
    return isConstant() ? std::optional<int64_t>(node->constant) : std::nullopt;
  }
  /// The atom, if the polynomial is exactly that.
  std::optional<unsigned> atom() const {
    if (!node || node->constant || node->terms.size() != 1 || node->terms[0].coefficient != 1 ||
        node->terms[0].atoms.size() != 1)
      return std::nullopt;
    return node->terms[0].atoms[0];
  }

private:
  const DimNode *node = nullptr;
};

/// What a polynomial is made of.
struct DimAtom {
  enum Kind { Named, Anonymous, FloorDiv, Mod, Max, Min, Broadcast } kind;
  std::string name;        // Named
  Dim left, right;         // the functions' operands
  bool nonNegative = true; // sizes are; elements of an integer tensor may not be
};

/// Makes and owns Dims. Overflow of 64 bits gives an anonymous atom, never a wrong number.
class DimTable {
public:
  DimTable();
  DimTable(const DimTable &) = delete;
  DimTable &operator=(const DimTable &) = delete;

  Dim constant(int64_t value);
  /// The symbol of this name. Exporters name dimensions by expressions ("past + seq", "Min(128,
  /// seq)", "2*batch*seq"); a name that reads as one is that expression.
  Dim named(llvm::StringRef name);
  /// A symbol that equals nothing else.
  Dim anonymous(bool nonNegative = true);

  Dim add(Dim a, Dim b);
  Dim subtract(Dim a, Dim b) { return add(a, multiply(b, constant(-1))); }
  Dim multiply(Dim a, Dim b);
  Dim product(llvm::ArrayRef<Dim> dims);
  Dim floorDiv(Dim a, Dim b);
  Dim mod(Dim a, Dim b);
  Dim max(Dim a, Dim b);
  Dim min(Dim a, Dim b);
  /// The size of a broadcast of two sizes; null if they are constants that do not broadcast.
  Dim broadcast(Dim a, Dim b);

  /// The quotient if b divides a as polynomials, else null.
  Dim exactDiv(Dim a, Dim b);
  bool isNonNegative(Dim a);
  /// Says that `a` is the size of a tensor, so that it and all larger by a constant are not
  /// negative
  /// ("(seq - 8) // 4" is, where a tensor has that size, although its operands do not tell).
  void noteSize(Dim a);
  /// a >= b for all values of the symbols.
  bool provablyAtLeast(Dim a, Dim b) { return isNonNegative(subtract(a, b)); }
  /// Whether a and b are certainly equal (true), certainly different (false), or neither.
  std::optional<bool> equal(Dim a, Dim b);
  /// Whether a < b, where that is certain.
  std::optional<bool> less(Dim a, Dim b);

  /// As `named` reads it; "" if an anonymous symbol occurs, for constants, and where the text would
  /// be long.
  std::string name(Dim dim);
  const DimAtom &atom(unsigned index) const { return atoms[index]; }
  /// The polynomial that is this atom.
  Dim symbol(unsigned index) { return intern(0, {{llvm::SmallVector<unsigned, 2>{index}, 1}}); }

private:
  Dim intern(int64_t constant, std::map<llvm::SmallVector<unsigned, 2>, int64_t> terms);
  Dim ofAtom(DimAtom atom);
  Dim function(DimAtom::Kind kind, Dim a, Dim b);
  std::string text(Dim dim, bool &printable);

  std::vector<DimAtom> atoms;
  llvm::DenseMap<int64_t, const DimNode *> constants;
  std::map<std::vector<int64_t>, std::unique_ptr<DimNode>> nodes;
  llvm::DenseMap<const DimNode *, int64_t> sizes; // least constant, by the polynomial without it
  llvm::StringMap<Dim> symbols, parsed;
  std::map<std::tuple<int, const DimNode *, const DimNode *>, Dim> functions;
};

} // namespace uoe::onnx
