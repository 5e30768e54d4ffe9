#include "lib/Onnx/Operators/Dim.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <cctype>

using namespace llvm;
using namespace uoe::onnx;

using TermMap = std::map<SmallVector<unsigned, 2>, int64_t>;

DimTable::DimTable() = default;

Dim DimTable::constant(int64_t value) {
  // DenseMap reserves the two largest keys.
  if (value >= INT64_MAX - 1 || value <= INT64_MIN + 1)
    return intern(value, {});
  const DimNode *&slot = constants[value];
  if (!slot)
    slot = intern(value, {}).operator->();
  return Dim(slot);
}

Dim DimTable::intern(int64_t constant, TermMap terms) {
  std::vector<int64_t> key = {constant};
  for (auto &[atoms, coefficient] : terms) {
    if (!coefficient)
      continue;
    key.push_back(coefficient);
    key.push_back(atoms.size());
    llvm::append_range(key, atoms);
  }
  auto &slot = nodes[key];
  if (!slot) {
    slot = std::make_unique<DimNode>();
    slot->constant = constant;
    for (auto &[atoms, coefficient] : terms)
      if (coefficient)
        slot->terms.push_back({coefficient, atoms});
  }
  return Dim(slot.get());
}

Dim DimTable::ofAtom(DimAtom atom) {
  atoms.push_back(std::move(atom));
  return intern(0, {{SmallVector<unsigned, 2>{unsigned(atoms.size() - 1)}, 1}});
}

Dim DimTable::anonymous(bool nonNegative) {
  return ofAtom({DimAtom::Anonymous, "", Dim(), Dim(), nonNegative});
}

static TermMap termsOf(Dim dim) {
  TermMap map;
  for (const DimNode::Term &term : dim->terms)
    map[term.atoms] = term.coefficient;
  return map;
}

Dim DimTable::add(Dim a, Dim b) {
  if (!a || !b)
    return {};
  int64_t sum;
  if (__builtin_add_overflow(a->constant, b->constant, &sum))
    return anonymous(false);
  if (a.isConstant() && b.isConstant())
    return constant(sum);
  TermMap terms = termsOf(a);
  for (const DimNode::Term &term : b->terms) {
    int64_t &slot = terms[term.atoms];
    if (__builtin_add_overflow(slot, term.coefficient, &slot))
      return anonymous(false);
  }
  return intern(sum, std::move(terms));
}

Dim DimTable::multiply(Dim a, Dim b) {
  if (!a || !b)
    return {};
  if (a.is(1))
    return b;
  if (b.is(1))
    return a;
  int64_t product;
  if (__builtin_mul_overflow(a->constant, b->constant, &product))
    return anonymous(false);
  if (a.isConstant() && b.isConstant())
    return constant(product);
  TermMap terms;
  bool overflow = false;
  auto accumulate = [&](SmallVector<unsigned, 2> atoms, int64_t x, int64_t y) {
    int64_t value;
    if (!x || !y)
      return;
    llvm::sort(atoms);
    overflow |= __builtin_mul_overflow(x, y, &value);
    int64_t &slot = terms[atoms];
    overflow |= __builtin_add_overflow(slot, value, &slot);
  };
  for (const DimNode::Term &x : a->terms) {
    accumulate(x.atoms, x.coefficient, b->constant);
    for (const DimNode::Term &y : b->terms) {
      SmallVector<unsigned, 2> atoms = x.atoms;
      atoms.append(y.atoms.begin(), y.atoms.end());
      // Polynomials of high degree prove nothing and grow.
      if (atoms.size() > 6)
        return anonymous(false);
      accumulate(atoms, x.coefficient, y.coefficient);
    }
  }
  for (const DimNode::Term &y : b->terms)
    accumulate(y.atoms, a->constant, y.coefficient);
  if (overflow || terms.size() > 16)
    return anonymous(false);
  return intern(product, std::move(terms));
}

Dim DimTable::product(ArrayRef<Dim> dims) {
  Dim result = constant(1);
  for (Dim dim : dims)
    result = multiply(result, dim);
  return result;
}

Dim DimTable::function(DimAtom::Kind kind, Dim a, Dim b) {
  Dim &slot = functions[{kind, a.operator->(), b.operator->()}];
  if (!slot) {
    bool nonNegative = false;
    switch (kind) {
    case DimAtom::Max:
      nonNegative = isNonNegative(a) || isNonNegative(b);
      break;
    case DimAtom::Mod: // the sign is the divisor's
      nonNegative = isNonNegative(b);
      break;
    default:
      nonNegative = isNonNegative(a) && isNonNegative(b);
    }
    Dim made = ofAtom({kind, "", a, b, nonNegative});
    functions[{kind, a.operator->(), b.operator->()}] = made;
    return made;
  }
  return slot;
}

Dim DimTable::exactDiv(Dim a, Dim b) {
  if (!a || !b || b.is(0))
    return {};
  if (b.is(1))
    return a;
  if (a == b)
    return constant(1);
  if (b.is(-1)) // the one quotient that may not fit
    return multiply(a, b);
  // A divisor of one term divides term by term.
  if (b->terms.size() + (b->constant != 0) != 1) {
    // (k*b) / b for a divisor of several terms.
    if (a->terms.empty() || a->terms.size() != b->terms.size() ||
        a->terms[0].coefficient == INT64_MIN)
      return {};
    int64_t ratio = a->terms[0].coefficient / b->terms[0].coefficient;
    return multiply(b, constant(ratio)) == a ? constant(ratio) : Dim();
  }
  int64_t divisor = b->terms.empty() ? b->constant : b->terms[0].coefficient;
  if (divisor == -1)
    return exactDiv(multiply(a, constant(-1)), multiply(b, constant(-1)));
  SmallVector<unsigned, 2> atoms;
  if (!b->terms.empty())
    atoms = b->terms[0].atoms;
  if (a->constant && (!atoms.empty() || a->constant % divisor))
    return {};
  TermMap quotient;
  int64_t rest = a->constant / divisor;
  for (const DimNode::Term &term : a->terms) {
    if (term.coefficient % divisor)
      return {};
    SmallVector<unsigned, 2> left = term.atoms;
    for (unsigned atom : atoms) {
      auto it = llvm::find(left, atom);
      if (it == left.end())
        return {};
      left.erase(it);
    }
    if (left.empty())
      rest += term.coefficient / divisor;
    else
      quotient[left] += term.coefficient / divisor;
  }
  return intern(rest, std::move(quotient));
}

static int64_t floorDivide(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

Dim DimTable::floorDiv(Dim a, Dim b) {
  if (!a || !b)
    return {};
  if (Dim exact = exactDiv(a, b))
    return exact;
  auto x = a.constant(), y = b.constant();
  if (x && y && *y && !(*x == INT64_MIN && *y == -1))
    return constant(floorDivide(*x, *y));
  return function(DimAtom::FloorDiv, a, b);
}

Dim DimTable::mod(Dim a, Dim b) {
  if (!a || !b)
    return {};
  if (exactDiv(a, b))
    return constant(0);
  auto x = a.constant(), y = b.constant();
  if (x && y && *y && *y != -1)
    return constant(*x - floorDivide(*x, *y) * *y);
  return function(DimAtom::Mod, a, b);
}

Dim DimTable::max(Dim a, Dim b) {
  if (!a || !b || a == b)
    return a;
  if (provablyAtLeast(a, b))
    return a;
  if (provablyAtLeast(b, a))
    return b;
  if (b.isConstant())
    std::swap(a, b);
  return function(DimAtom::Max, a, b);
}

Dim DimTable::min(Dim a, Dim b) {
  if (!a || !b || a == b)
    return a;
  if (provablyAtLeast(a, b))
    return b;
  if (provablyAtLeast(b, a))
    return a;
  if (b.isConstant())
    std::swap(a, b);
  return function(DimAtom::Min, a, b);
}

Dim DimTable::broadcast(Dim a, Dim b) {
  if (!a || !b)
    return {};
  if (a == b || b.is(1))
    return a;
  if (a.is(1))
    return b;
  if (a.isConstant() && b.isConstant())
    return {};
  // One side is a constant other than 1: the other is that or 1.
  if (a.isConstant())
    return a;
  if (b.isConstant())
    return b;
  // A slice of at most c > 1 elements beside the whole: where they broadcast at all, they are
  // equal.
  for (auto [x, y] : {std::pair(a, b), std::pair(b, a)})
    if (auto index = x.atom(); index && atoms[*index].kind == DimAtom::Min)
      for (auto [limit, whole] : {std::pair(atoms[*index].left, atoms[*index].right),
                                  std::pair(atoms[*index].right, atoms[*index].left)})
        if (whole == y && limit.isConstant() && *limit.constant() > 1)
          return y;
  // broadcast(broadcast(x, y), y) is broadcast(x, y).
  for (auto [x, y] : {std::pair(a, b), std::pair(b, a)})
    if (auto index = x.atom())
      if (atoms[*index].kind == DimAtom::Broadcast &&
          (atoms[*index].left == y || atoms[*index].right == y))
        return x;
  if (functions.count({DimAtom::Broadcast, b.operator->(), a.operator->()}))
    std::swap(a, b);
  return function(DimAtom::Broadcast, a, b);
}

void DimTable::noteSize(Dim a) {
  if (!a || a.isConstant() || isNonNegative(a))
    return;
  Dim terms = subtract(a, constant(a->constant));
  auto [entry, fresh] = sizes.try_emplace(terms.operator->(), a->constant);
  if (!fresh)
    entry->second = std::min(entry->second, a->constant);
}

bool DimTable::isNonNegative(Dim a) {
  if (!a)
    return false;
  if (!sizes.empty() && !a.isConstant()) {
    auto known = sizes.find(subtract(a, constant(a->constant)).operator->());
    if (known != sizes.end() && a->constant >= known->second)
      return true;
  }
  if (a->constant < 0)
    return false;
  for (const DimNode::Term &term : a->terms) {
    if (term.coefficient < 0)
      return false;
    for (unsigned atom : term.atoms)
      if (!atoms[atom].nonNegative)
        return false;
  }
  return true;
}

std::optional<bool> DimTable::equal(Dim a, Dim b) {
  if (!a || !b)
    return std::nullopt;
  if (a == b)
    return true;
  Dim difference = subtract(a, b);
  Dim one = constant(1);
  if (difference.isConstant() || provablyAtLeast(a, add(b, one)) || provablyAtLeast(b, add(a, one)))
    return false;
  return std::nullopt;
}

std::optional<bool> DimTable::less(Dim a, Dim b) {
  if (!a || !b)
    return std::nullopt;
  if (provablyAtLeast(a, b))
    return false;
  if (provablyAtLeast(b, add(a, constant(1))))
    return true;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

std::string DimTable::text(Dim dim, bool &printable) {
  auto atomText = [&](unsigned index) -> std::string {
    const DimAtom &atom = atoms[index];
    if (atom.kind == DimAtom::Named)
      return atom.name;
    if (atom.kind == DimAtom::Anonymous || atom.kind == DimAtom::Broadcast) {
      printable = false;
      return "";
    }
    std::string left = text(atom.left, printable), right = text(atom.right, printable);
    switch (atom.kind) {
    case DimAtom::Max:
      return "Max(" + left + ", " + right + ")";
    case DimAtom::Min:
      return "Min(" + left + ", " + right + ")";
    case DimAtom::Mod:
      return "Mod(" + left + ", " + right + ")";
    default:
      return "((" + left + ") // (" + right + "))";
    }
  };
  std::vector<std::pair<std::string, int64_t>> parts;
  for (const DimNode::Term &term : dim->terms) {
    std::vector<std::string> factors;
    for (unsigned atom : term.atoms)
      factors.push_back(atomText(atom));
    llvm::sort(factors);
    parts.push_back({llvm::join(factors, "*"), term.coefficient});
  }
  llvm::sort(parts);
  std::string out;
  for (auto &[factors, coefficient] : parts) {
    if (!out.empty())
      out += coefficient < 0 ? " - " : " + ";
    else if (coefficient < 0)
      out += "-";
    uint64_t magnitude = coefficient < 0 ? 0 - uint64_t(coefficient) : coefficient;
    if (magnitude != 1)
      out += std::to_string(magnitude) + "*";
    out += factors;
  }
  if (out.empty())
    return std::to_string(dim->constant);
  if (dim->constant)
    out += (dim->constant < 0 ? " - " : " + ") +
           std::to_string(dim->constant < 0 ? 0 - uint64_t(dim->constant) : dim->constant);
  return out;
}

std::string DimTable::name(Dim dim) {
  if (!dim || dim.isConstant())
    return "";
  bool printable = true;
  std::string result = text(dim, printable);
  return printable && result.size() <= 96 ? result : "";
}

namespace {
/// Recursive descent over sums, products and the functions that `name` prints.
struct Reader {
  DimTable &table;
  StringRef rest;
  llvm::function_ref<Dim(StringRef)> symbol;
  int depth = 0;

  bool take(StringRef token) {
    rest = rest.ltrim();
    return rest.consume_front(token);
  }
  Dim sum() {
    if (++depth > 32)
      return {};
    Dim left = take("-") ? table.multiply(term(), table.constant(-1)) : term();
    while (left) {
      if (take("+"))
        left = table.add(left, term());
      else if (take("-")) {
        Dim right = term();
        left = right ? table.subtract(left, right) : Dim();
      } else
        break;
    }
    --depth;
    return left;
  }
  Dim term() {
    Dim left = factor();
    while (left) {
      if (take("//"))
        left = table.floorDiv(left, factor());
      else if (take("*"))
        left = table.multiply(left, factor());
      else
        break;
    }
    return left;
  }
  Dim call(Dim (DimTable::*function)(Dim, Dim)) {
    Dim a = sum();
    if (!a || !take(","))
      return {};
    Dim b = sum();
    return b && take(")") ? (table.*function)(a, b) : Dim();
  }
  Dim factor() {
    rest = rest.ltrim();
    if (take("Max("))
      return call(&DimTable::max);
    if (take("Min("))
      return call(&DimTable::min);
    if (take("Mod("))
      return call(&DimTable::mod);
    if (take("(")) {
      Dim inner = sum();
      return inner && take(")") ? inner : Dim();
    }
    StringRef number = rest.take_while([](char c) { return std::isdigit((unsigned char)c); });
    if (!number.empty()) {
      int64_t value;
      rest = rest.drop_front(number.size());
      return number.getAsInteger(10, value) ? Dim() : table.constant(value);
    }
    StringRef word = rest.take_while(
        [](char c) { return std::isalnum((unsigned char)c) || c == '_' || c == '.'; });
    rest = rest.drop_front(word.size());
    return word.empty() ? Dim() : symbol(word);
  }
};
} // namespace

Dim DimTable::named(StringRef name) {
  auto found = parsed.find(name);
  if (found != parsed.end())
    return found->second;
  auto symbol = [&](StringRef word) {
    Dim &slot = symbols[word];
    if (!slot) {
      Dim made = ofAtom({DimAtom::Named, word.str(), Dim(), Dim(), true});
      symbols[word] = made;
      return made;
    }
    return slot;
  };
  Reader reader{*this, name, symbol};
  Dim dim = reader.sum();
  // A number is a name as any other: what looks static must be declared static.
  if (!dim || !reader.rest.trim().empty() || dim.isConstant())
    dim = symbol(name);
  parsed[name] = dim;
  return dim;
}
