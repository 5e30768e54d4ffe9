// What happens once, at load: kernels are looked up, constants propagated, dead steps dropped, last
// uses found.
#include "Program.h"
#include "Frame.h"
#include <algorithm>
#include <set>

namespace uoe::rt {
namespace {

/// Larger results are recomputed in every run unless their inputs are about as large (say, a
/// transposed weight).
constexpr size_t kMostFoldedBytes = size_t(64) << 20;

bool isRandom(const Node &node) {
  static const std::set<std::string> names = {
      "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
      "Multinomial",  "Bernoulli",        "Dropout"};
  return names.count(node.op) != 0;
}

std::string nameOf(const Node &node) {
  return "node '" + node.name + "' (" + node.op + ")";
}

void checkSlots(const Program &program) {
  std::vector<bool> defined(static_cast<size_t>(std::max(program.slots, 0)));
  auto define = [&](int slot, const std::string &what) {
    check(slot < program.slots, what, " defines slot ", slot, " of ", program.slots);
    if (slot < 0)
      return;
    check(!defined[slot], what, " defines slot ", slot, ", which is defined already");
    defined[slot] = true;
  };
  auto use = [&](int slot, const std::string &what) {
    check(slot < program.slots && (slot < 0 || defined[slot]), what, " reads slot ", slot,
          ", which nothing defines before");
  };
  for (int slot : program.inputSlots)
    define(slot, "an input");
  for (const auto &entry : program.constants)
    define(entry.first, "a constant");
  for (const auto &capture : program.captures)
    define(capture.first, "a capture");
  for (const Program::Step &step : program.steps) {
    std::string what = nameOf(step.node);
    check(step.outputs.size() == static_cast<size_t>(step.node.outputs), what, " has ",
          step.outputs.size(), " output slots for ", step.node.outputs, " outputs");
    for (int slot : step.inputs)
      use(slot, what);
    for (const Program *inner : subprogramsOf(step.node))
      for (const auto &capture : inner->captures)
        use(capture.second, what);
    for (int slot : step.outputs)
      define(slot, what);
  }
  for (int slot : program.outputSlots)
    use(slot, "an output");
}

/// Per slot its value if that is constant, else null.
using Known = std::vector<std::unique_ptr<Tensor>>;

/// Finishes the subgraphs of a step; captured values that are constant become constants there.
void finishSubprograms(Program::Step &step, const Known &known, const KernelTable &table,
                       const KernelTable &subprograms) {
  for (auto &entry : step.node.attributes) {
    auto *program = std::get_if<std::shared_ptr<const Program>>(&entry.second);
    if (!program || !*program)
      continue;
    auto inner = std::make_shared<Program>(**program);
    std::vector<std::pair<int, int>> captures;
    for (const auto &capture : inner->captures) {
      if (capture.second >= 0 && known[capture.second])
        inner->constants.emplace_back(capture.first, *known[capture.second]);
      else
        captures.push_back(capture);
    }
    inner->captures = std::move(captures);
    inner->finish(table, &subprograms);
    *program = std::move(inner);
  }
}

std::vector<int> capturedSlots(const Node &node) {
  std::vector<int> slots;
  for (const Program *inner : subprogramsOf(node))
    for (const auto &capture : inner->captures)
      if (capture.second >= 0)
        slots.push_back(capture.second);
  return slots;
}

/// True for a step that must run even if nothing reads its results, or that holds such a step.
bool isKept(const Program::Step &step) {
  if (step.keep)
    return true;
  for (const Program *inner : subprogramsOf(step.node))
    for (const Program::Step &innerStep : inner->steps)
      if (isKept(innerStep))
        return true;
  return false;
}

/// Bytes that an operator is known to produce without running it; 0 if that is not known.
size_t announcedBytes(const Node &node, const std::vector<const Tensor *> &inputs) {
  const Tensor *shape = nullptr;
  DType type = DType::F32;
  if (node.op == "ConstantOfShape" && inputs.size() == 1) {
    shape = inputs[0];
  } else if (node.op == "Expand" && inputs.size() == 2 && inputs[0]) {
    shape = inputs[1];
    type = inputs[0]->dtype();
  }
  if (!shape || shape->dtype() != DType::I64)
    return 0;
  double count = 1;
  for (int64_t i = 0; i < shape->size(); ++i)
    count *= static_cast<double>(shape->data<int64_t>()[i]);
  return static_cast<size_t>(std::min(std::max(count, 0.0), 1e15)) * bitsOf(type) / 8;
}

bool sameAttributes(const Node &a, const Node &b) {
  auto same = [](const auto &x, const auto &y) {
    const Attribute &one = x.second, &other = y.second;
    if (x.first != y.first || one.index() != other.index())
      return false;
    return std::visit(
        [&](const auto &value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, Tensor> ||
                        std::is_same_v<T, std::shared_ptr<const Program>>)
            return false; // not compared: taken for different
          else
            return value == std::get<T>(other);
        },
        one);
  };
  return a.attributes.size() == b.attributes.size() &&
         std::equal(a.attributes.begin(), a.attributes.end(), b.attributes.begin(), same);
}

class Folder {
public:
  Folder(Program &program, const KernelTable &table, const KernelTable &subprograms)
      : program(program), table(table), subprograms(subprograms),
        known(static_cast<size_t>(program.slots)), uses(static_cast<size_t>(program.slots)) {
    for (auto &entry : program.constants)
      known[entry.first] = std::make_unique<Tensor>(std::move(entry.second));
    program.constants.clear();
    for (const Program::Step &step : program.steps)
      for (int slot : readSlots(step))
        ++uses[slot];
    for (int slot : program.outputSlots)
      if (slot >= 0)
        ++uses[slot];
  }

  void run() {
    Frame frame(program, /*fold=*/true);
    for (size_t slot = 0; slot < known.size(); ++slot)
      if (known[slot])
        frame.slots[slot] = Value(*known[slot]);
    for (size_t i = 0; i < program.steps.size(); ++i) {
      Program::Step &step = program.steps[i];
      std::vector<int> captured = capturedSlots(step.node);
      // Branches run where the program does.
      const bool inPlace = step.node.op == "If" && step.node.domain.empty();
      finishSubprograms(step, known, inPlace ? table : subprograms, subprograms);
      bool folded = canFold(step) && !(inPlace && &table != &subprograms) && fold(frame, i);
      if (!folded)
        prepare(frame, step);
      for (int slot : captured)
        drop(frame, slot);
      for (int slot : step.inputs)
        if (folded && slot >= 0)
          drop(frame, slot);
    }
    for (size_t slot = 0; slot < known.size(); ++slot)
      if (known[slot])
        program.constants.emplace_back(static_cast<int>(slot), std::move(*known[slot]));
  }

private:
  static std::vector<int> readSlots(const Program::Step &step) {
    std::vector<int> slots = capturedSlots(step.node);
    for (int slot : step.inputs)
      if (slot >= 0)
        slots.push_back(slot);
    return slots;
  }

  /// One reader less for a constant; without readers it goes, so that chains of folds need little
  /// memory.
  void drop(Frame &frame, int slot) {
    if (known[slot] && --uses[slot] == 0) {
      known[slot].reset();
      frame.slots[slot] = Value();
    }
  }

  /// Lets the kernel take its constants over; what it consumes is no input any more.
  void prepare(Frame &frame, Program::Step &step) {
    Prepare prepare = table.findPrepare(step.node.domain, step.node.op);
    if (!prepare)
      return;
    std::vector<int> constants(step.inputs.size(), -1);
    for (size_t k = 0; k < step.inputs.size(); ++k)
      if (step.inputs[k] >= 0 && known[step.inputs[k]])
        constants[k] = step.inputs[k];
    std::vector<bool> consumed(step.inputs.size());
    if (const Taken *before = findTaken(step.node, constants)) {
      step.prepared = before->step->prepared;
      consumed = before->consumed;
    } else {
      for (size_t k = 0; k < constants.size(); ++k)
        step.node.constants[k] = constants[k] < 0 ? nullptr : known[constants[k]].get();
      try {
        step.prepared = prepare(step.node, consumed);
      } catch (const std::exception &error) {
        fail(nameOf(step.node), ": ", error.what());
      }
      if (std::find(consumed.begin(), consumed.end(), true) != consumed.end())
        taken.push_back({&step, constants, consumed});
    }
    for (size_t k = 0; k < step.inputs.size(); ++k) {
      step.node.constants[k] = nullptr;
      if (!consumed[k])
        continue;
      int slot = step.inputs[k];
      step.inputs[k] = -1;
      drop(frame, slot);
    }
  }

  /// A step that took over the same constants under the same attributes: a layer that the model
  /// runs several times is packed once. Slots are assigned once, so that equal slots are equal
  /// values.
  struct Taken {
    const Program::Step *step;
    std::vector<int> constants; // per input its slot, -1 if it is no constant
    std::vector<bool> consumed;
  };
  const Taken *findTaken(const Node &node, const std::vector<int> &constants) const {
    for (const Taken &entry : taken) {
      const Node &other = entry.step->node;
      if (entry.constants == constants && other.op == node.op && other.domain == node.domain &&
          other.version == node.version && sameAttributes(other, node))
        return &entry;
    }
    return nullptr;
  }

  bool canFold(const Program::Step &step) const {
    if (isKept(step) || isRandom(step.node))
      return false;
    std::vector<const Tensor *> inputs;
    for (int slot : step.inputs) {
      if (slot >= 0 && !known[slot])
        return false;
      inputs.push_back(slot < 0 ? nullptr : known[slot].get());
    }
    for (const Program *inner : subprogramsOf(step.node)) {
      if (!inner->captures.empty())
        return false;
      for (const Program::Step &innerStep : inner->steps)
        if (isRandom(innerStep.node) || !subprogramsOf(innerStep.node).empty())
          return false;
    }
    return announcedBytes(step.node, inputs) <= kMostFoldedBytes;
  }

  bool fold(Frame &frame, size_t index) {
    const Program::Step &step = program.steps[index];
    size_t before = 0, after = 0;
    for (int slot : step.inputs)
      if (slot >= 0)
        before += known[slot]->bytes();
    try {
      frame.runStep(index);
    } catch (const Error &) {
      return false; // It may be in a branch that never runs; if it does run, the error is raised
                    // then.
    }
    bool whole = true;
    for (int slot : step.outputs) {
      if (slot < 0)
        continue;
      const Value &value = frame.slots[slot];
      whole &= value.kind == Value::Kind::Tensor;
      if (value.kind == Value::Kind::Tensor)
        after += value.tensor.bytes();
    }
    bool keep = whole && (after <= kMostFoldedBytes || after <= 2 * before);
    for (int slot : step.outputs) {
      if (slot < 0)
        continue;
      if (keep && uses[slot] > 0)
        known[slot] = std::make_unique<Tensor>(frame.slots[slot].tensor);
      else
        frame.slots[slot] = Value();
    }
    return keep;
  }

  Program &program;
  const KernelTable &table, &subprograms;
  Known known;
  std::vector<int> uses; // readers that are still to come
  std::vector<Taken> taken;
};

} // namespace

void Program::finish(const KernelTable &table, const KernelTable *subprograms) {
  checkSlots(*this);
  for (Step &step : steps) {
    step.kernel = table.find(step.node.domain, step.node.op);
    check(step.kernel != nullptr, nameOf(step.node), ": there is no kernel for operator '",
          step.node.domain.empty() ? "" : step.node.domain + ".", step.node.op, "'");
    step.node.constants.assign(step.inputs.size(), nullptr);
    step.node.outputUsed.assign(step.outputs.size(), true);
    for (size_t i = 0; i < step.outputs.size(); ++i)
      step.node.outputUsed[i] = step.outputs[i] >= 0;
    step.dying.assign(step.inputs.size(), false);
  }
  Folder(*this, table, subprograms ? *subprograms : table).run();

  // Backwards: what is used, and where for the last time. Constant results make their steps dead.
  std::vector<bool> isConstant(static_cast<size_t>(slots)), used(static_cast<size_t>(slots));
  for (const auto &entry : constants)
    isConstant[entry.first] = true;
  for (int slot : outputSlots)
    if (slot >= 0)
      used[slot] = true;
  std::vector<Step> live;
  for (size_t i = steps.size(); i-- > 0;) {
    Step &step = steps[i];
    bool needed = isKept(step);
    for (size_t k = 0; k < step.outputs.size(); ++k) {
      int slot = step.outputs[k];
      step.node.outputUsed[k] = slot >= 0 && used[slot] && !isConstant[slot];
      needed |= step.node.outputUsed[k];
      if (!step.node.outputUsed[k])
        step.outputs[k] = -1;
    }
    if (!needed)
      continue;
    std::vector<int> captured = capturedSlots(step.node);
    // A value that a step reads twice is not offered for reuse: the first result written would
    // destroy the second operand of kernels that make several passes.
    for (size_t k = 0; k < step.inputs.size(); ++k) {
      int slot = step.inputs[k];
      step.dying[k] = std::count(step.inputs.begin(), step.inputs.end(), slot) == 1 && slot >= 0 &&
                      !used[slot] && !isConstant[slot] &&
                      std::find(captured.begin(), captured.end(), slot) == captured.end();
    }
    for (int slot : step.inputs)
      if (slot >= 0)
        used[slot] = true;
    for (int slot : captured)
      used[slot] = true;
    live.push_back(std::move(step));
  }
  std::reverse(live.begin(), live.end());
  steps = std::move(live);
  captures.erase(std::remove_if(captures.begin(), captures.end(),
                                [&](const auto &capture) { return !used[capture.first]; }),
                 captures.end());

  constants.erase(std::remove_if(constants.begin(), constants.end(),
                                 [&](const auto &entry) { return !used[entry.first]; }),
                  constants.end());
  auto values = std::make_shared<std::vector<Tensor>>();
  std::vector<int> position(static_cast<size_t>(slots), -1);
  for (const auto &entry : constants) {
    position[entry.first] = static_cast<int>(values->size());
    values->push_back(entry.second);
  }
  pinned = values;
  for (Step &step : steps)
    for (size_t k = 0; k < step.inputs.size(); ++k)
      if (step.inputs[k] >= 0 && position[step.inputs[k]] >= 0)
        step.node.constants[k] = &(*values)[position[step.inputs[k]]];
}

} // namespace uoe::rt
