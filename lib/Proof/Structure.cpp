#include "lib/Proof/Structure.h"
#include "lib/Proof/DenseWeights.h"
#include "passes/lower/Lower.h"
#include "llvm/Support/FormatVariadic.h"
#include <unordered_map>

using namespace mlir;
using namespace uoe;

namespace {

/// How often each element of some weights is used.
class Coverage {
public:
  explicit Coverage(Provenance &provenance) : provenance(provenance) {}

  void add(const rt::Tensor &numbers, int32_t times = 1) {
    for (int64_t i = 0, count = numbers.size(); i < count; ++i) {
      int64_t number = numbers.data<int64_t>()[i];
      std::vector<int32_t> &uses = counts[provenance.weightOf(number)];
      if (uses.empty())
        uses.resize(static_cast<size_t>(provenance.sizeOf(provenance.weightOf(number))));
      uses[provenance.elementOf(number)] += times;
    }
  }
  bool has(int64_t weight) const { return counts.count(weight) != 0; }

  /// Empty if `experts` uses every element as often as this, the dense block.
  std::string compare(const Coverage &experts) const {
    // Results of arithmetic are compared by value where both sides arrive at them differently (a
    // matrix of 4-bit numbers as the operator and as an expression unpacks it).
    Values missing, extra;
    for (const auto &[weight, uses] : counts) {
      auto found = experts.counts.find(weight);
      if (found == experts.counts.end()) {
        if (!missing.add(provenance, weight, uses))
          return "'" + provenance.nameOf(weight) +
                 "' of the dense block is not used by the experts";
        continue;
      }
      for (size_t i = 0; i < uses.size(); ++i)
        if (uses[i] != found->second[i])
          return llvm::formatv("element {0} of '{1}' is used {2} times, {3} in the dense block", i,
                               provenance.nameOf(weight), found->second[i], uses[i]);
    }
    for (const auto &[weight, uses] : experts.counts)
      if (!has(weight) && !extra.add(provenance, weight, uses))
        return "'" + provenance.nameOf(weight) +
               "' is used by the experts, but not by the dense block";
    if (missing.count != extra.count)
      return llvm::formatv("{0} computed weights are used by the experts, {1} by the dense block "
                           "({2})",
                           extra.count, missing.count, missing.count ? missing.name : extra.name);
    return missing.sum == extra.sum
               ? ""
               : "the experts' values of '" + missing.name + "' are not those of the dense block";
  }

  int64_t total() const {
    int64_t sum = 0;
    for (const auto &entry : counts)
      for (int32_t uses : entry.second)
        sum += uses;
    return sum;
  }

private:
  /// A set of values in which each may occur several times, by the sum of their hashes.
  struct Values {
    bool add(const Provenance &provenance, int64_t weight, const std::vector<int32_t> &uses) {
      if (!provenance.isComputed(weight))
        return false;
      name = provenance.nameOf(weight);
      for (size_t i = 0; i < uses.size(); ++i) {
        sum += static_cast<uint64_t>(uses[i]) * provenance.valueOf(weight, static_cast<int64_t>(i));
        count += uses[i];
      }
      return true;
    }
    uint64_t sum = 0;
    int64_t count = 0;
    std::string name;
  };

  Provenance &provenance;
  std::map<int64_t, std::vector<int32_t>> counts;
};

/// Numbers seen as [before, axis, after].
struct Cut {
  Cut(const rt::Tensor &numbers, int64_t axis) : data(numbers.data<int64_t>()) {
    for (int64_t i = 0; i < numbers.rank(); ++i)
      (i < axis ? before : i > axis ? after : size) *= numbers.dim(i);
  }
  int64_t at(int64_t outer, int64_t place, int64_t inner) const {
    return data[(outer * size + place) * after + inner];
  }
  const int64_t *data;
  int64_t before = 1, size = 1, after = 1;
};

//===----------------------------------------------------------------------===//
// Experts that are feed-forward blocks of slices: neuron by neuron
//===----------------------------------------------------------------------===//

class NeuronCheck {
public:
  NeuronCheck(FfnOp dense, ExpertsOp experts, Provenance &provenance)
      : dense(dense), experts(experts), provenance(provenance) {}

  Structure run() {
    auto body = cast<FfnOp>(experts.getBody().front().front());
    if (body.getActivation() != dense.getActivation() ||
        body.getFunctionAttr() != dense.getFunctionAttr() ||
        body.getLimitAttr() != dense.getLimitAttr() || body.getUpOffset() != dense.getUpOffset())
      return fail("the experts' activation, limit or offset is not the dense block's");
    struct Role {
      const char *name;
      Value inner, whole;
      int64_t axis;
    } roles[] = {{"up matrix", body.getUp(), dense.getUp(), 1},
                 {"gate matrix", body.getGate(), dense.getGate(), 1},
                 {"down matrix", body.getDown(), dense.getDown(), 0},
                 {"bias of up", body.getBiasUp(), dense.getBiasUp(), 0},
                 {"bias of gate", body.getBiasGate(), dense.getBiasGate(), 0}};
    for (const Role &role : roles)
      if (!role.inner != !role.whole)
        return fail(std::string("the ") + role.name +
                    (role.whole ? " of the dense block is missing in the experts"
                                : " of the experts is missing in the dense block"));
    for (const Role &role : roles)
      if (role.inner && !check(role.name, role.inner, role.whole, role.axis))
        return result;
    std::vector<int64_t> uses(static_cast<size_t>(width));
    for (int64_t neuron : neurons)
      ++uses[neuron];
    for (int64_t n = 0; n < width; ++n)
      if (uses[n] != 1)
        return fail(llvm::formatv("neuron {0} is used {1} times", n, uses[n]));
    return checkBias(body);
  }

private:
  Structure fail(std::string text) {
    result.problem = std::move(text);
    return result;
  }

  bool check(const char *name, Value inner, Value whole, int64_t axis) {
    auto refuse = [&](std::string text) {
      result.problem = std::move(text);
      return false;
    };
    auto argument = dyn_cast<BlockArgument>(inner);
    unsigned shared = experts.getShared().size();
    if (!argument || argument.getArgNumber() < shared)
      return refuse(std::string("the ") + name + " is not cut into the experts");
    unsigned i = argument.getArgNumber() - shared;
    if (experts.getAxes()[i] != axis)
      return refuse(std::string("the ") + name + " is cut along another axis than its neurons");
    FailureOr<rt::Tensor> denseNumbers = provenance.trace(whole),
                          expertNumbers = provenance.trace(experts.getSliced()[i]);
    if (failed(denseNumbers) || failed(expertNumbers))
      return refuse(std::string("the ") + name + " cannot be followed to weights");
    Cut from(*denseNumbers, axis), to(*expertNumbers, axis);
    int64_t covered = 0;
    for (int64_t size : experts.getSizes())
      covered += size;
    if (to.size != covered || to.before != from.before || to.after != from.after)
      return refuse(llvm::formatv("the {0}'s parts are no parts of the dense block's: {1} of {2}",
                                  name, rt::toString(expertNumbers->shape()),
                                  rt::toString(denseNumbers->shape())));
    if (neurons.empty()) {
      width = from.size;
      std::unordered_map<int64_t, int64_t> first;
      for (int64_t n = 0; n < from.size; ++n)
        first.emplace(from.at(0, n, 0), n);
      for (int64_t place = 0; place < to.size; ++place) {
        auto found = first.find(to.at(0, place, 0));
        if (found == first.end())
          return refuse(std::string("the ") + name + " of " + expertAt(place) + " holds " +
                        provenance.describe(to.at(0, place, 0)) +
                        ", which is no neuron of the dense block");
        neurons.push_back(found->second);
      }
    }
    if (to.size != static_cast<int64_t>(neurons.size()) || from.size != width)
      return refuse(std::string("the ") + name + " has another number of neurons");
    for (int64_t outer = 0; outer < to.before; ++outer)
      for (int64_t place = 0; place < to.size; ++place)
        for (int64_t inner = 0; inner < to.after; ++inner)
          if (int64_t number = to.at(outer, place, inner),
              expected = from.at(outer, neurons[place], inner);
              number != expected)
            return refuse(std::string("the ") + name + " of " + expertAt(place) + " holds " +
                          provenance.describe(number) + " where neuron " +
                          std::to_string(neurons[place]) + " has " + provenance.describe(expected));
    result.weights += denseNumbers->size();
    return true;
  }

  std::string expertAt(int64_t place) {
    int64_t expert = 0, end = 0;
    for (int64_t size : experts.getSizes()) {
      end += size;
      if (place < end)
        break;
      ++expert;
    }
    return "expert " + std::to_string(expert);
  }

  // The bias of the result is added once, to the experts' sum.
  Structure checkBias(FfnOp body) {
    if (body.getBiasDown())
      return fail("the bias of the result is added by every expert");
    Coverage whole(provenance), sum(provenance);
    if (dense.getBiasDown()) {
      FailureOr<rt::Tensor> numbers = provenance.trace(dense.getBiasDown());
      if (failed(numbers))
        return fail("the bias of the result cannot be followed to weights");
      whole.add(*numbers);
      result.weights += numbers->size();
    }
    bool ok =
        succeeded(addedVectors(experts.getOutput(), provenance, [&](const rt::Tensor &numbers) {
          // What else is added there later is not of this block.
          if (!dense.getBiasDown() || whole.has(provenance.weightOf(numbers.data<int64_t>()[0])))
            sum.add(numbers);
        }));
    if (!ok)
      return fail("what is added to the experts' sum cannot be followed to weights");
    if (dense.getBiasDown())
      result.problem = whole.compare(sum);
    return result;
  }

  FfnOp dense;
  ExpertsOp experts;
  Provenance &provenance;
  Structure result;
  std::vector<int64_t> neurons; // of the dense block, by place in the experts
  int64_t width = 0;
};

//===----------------------------------------------------------------------===//
// Other experts: element by element
//===----------------------------------------------------------------------===//

Value argument(ExpertsOp experts, size_t i) {
  return experts.getBody().front().getArgument(static_cast<unsigned>(i));
}

// How many nodes of an expert's body read a value, seen through those that only move its elements;
// and whether one of them is a product that multiplies by it.
std::pair<int32_t, bool> usesOf(Value value) {
  std::pair<int32_t, bool> result{0, false};
  for (OpOperand &use : value.getUses()) {
    auto node = dyn_cast<onnx::NodeOp>(use.getOwner());
    if (node && use.getOperandNumber() == 0 &&
        (node.is("Reshape") || node.is("Transpose") || node.is("Cast") || node.is("Flatten"))) {
      auto [uses, multiplied] = usesOf(node.getResult(0));
      result.first += uses;
      result.second |= multiplied;
      continue;
    }
    ++result.first;
    result.second |= node && use.getOperandNumber() == 1 && node.getOpType().contains("MatMul");
  }
  return result;
}

Structure checkElements(Operation *dense, ArrayRef<ExpertsOp> parts, Provenance &provenance) {
  Structure result;
  Coverage whole(provenance), used(provenance);
  if (failed(denseWeights(dense, provenance,
                          [&](const rt::Tensor &numbers) { whole.add(numbers); }))) {
    result.problem = "the dense block's weights cannot be followed";
    return result;
  }
  DenseMap<Value, bool> cache;
  auto ours = [&](const rt::Tensor &numbers) {
    return numbers.size() > 0 && whole.has(provenance.weightOf(numbers.data<int64_t>()[0]));
  };
  SmallVector<Value> activations; // computed once for all experts, each of which takes its part
  for (ExpertsOp experts : parts) {
    int64_t covered = 0;
    for (int64_t size : experts.getSizes())
      covered += size;
    for (auto [i, sliced] : llvm::enumerate(experts.getSliced())) {
      int64_t axis = experts.getAxes()[i];
      if (!isConstantExpression(sliced, cache)) {
        activations.push_back(sliced);
        continue;
      }
      FailureOr<rt::Tensor> numbers = provenance.trace(sliced);
      if (failed(numbers)) {
        result.problem = "an expert's weight cannot be followed";
        return result;
      }
      if (numbers->dim(axis) != covered) {
        result.problem = llvm::formatv("the experts cover {0} of {1} parts of a weight", covered,
                                       numbers->dim(axis));
        return result;
      }
      // What the dense block does not multiply by may still be sliced (slopes, positions); a matrix
      // of a product may not.
      auto [uses, multiplied] = usesOf(argument(experts, experts.getShared().size() + i));
      if (multiplied || ours(*numbers))
        used.add(*numbers, uses);
    }
    for (auto [i, shared] : llvm::enumerate(experts.getShared())) {
      if (!isConstantExpression(shared, cache) || isa<NoneType>(shared.getType()))
        continue;
      FailureOr<rt::Tensor> numbers = provenance.trace(shared);
      auto [uses, multiplied] = usesOf(argument(experts, i));
      if (succeeded(numbers) && (multiplied || ours(*numbers)))
        used.add(*numbers, uses * static_cast<int32_t>(experts.numExperts()));
    }
  }
  // What the experts themselves multiply by is counted above; positions may share a matrix with
  // that.
  Coverage inside = used;
  if (failed(weightsBehind(activations, provenance, [&](const rt::Tensor &numbers) {
        if (ours(numbers) && !inside.has(provenance.weightOf(numbers.data<int64_t>()[0])))
          used.add(numbers);
      }))) {
    result.problem = "what the experts take parts of cannot be followed to weights";
    return result;
  }
  if (failed(addedVectors(ExpertsOp(parts.back()).getOutput(), provenance,
                          [&](const rt::Tensor &numbers) {
                            if (ours(numbers))
                              used.add(numbers);
                          }))) {
    result.problem = "what is added to the experts' sum cannot be followed to weights";
    return result;
  }
  result.weights = whole.total();
  result.problem = result.weights ? whole.compare(used) : "the dense block has no weights";
  return result;
}

} // namespace

Structure uoe::checkStructure(Operation *dense, ArrayRef<ExpertsOp> parts, Provenance &provenance) {
  auto ffn = dyn_cast<FfnOp>(dense);
  if (ffn && parts.size() == 1 && classify(parts.front()) == ExpertBody::Ffn)
    return NeuronCheck(ffn, parts[0], provenance).run();
  return checkElements(dense, parts, provenance);
}
