#include "Frame.h"
#include <chrono>
#include <new>

namespace uoe::rt {

std::vector<const Program *> subprogramsOf(const Node &node) {
  std::vector<const Program *> programs;
  for (const auto &entry : node.attributes)
    if (auto *program = std::get_if<std::shared_ptr<const Program>>(&entry.second))
      if (*program)
        programs.push_back(program->get());
  return programs;
}

Frame::Frame(const Program &program, bool fold)
    : program(program), slots(static_cast<size_t>(program.slots)), steps(program.steps.size()),
      constant(slots.size()) {
  for (const auto &entry : program.constants) {
    slots[entry.first] = Value(entry.second);
    constant[entry.first] = true;
  }
  if (fold)
    return;
  for (size_t i = 0; i < steps.size(); ++i)
    addStep(i);

  // A slot is freed after the last step that reads it, in its own inputs or from a subprogram, or
  // that defines it.
  std::vector<int> last(slots.size(), -1);
  for (size_t i = 0; i < steps.size(); ++i) {
    const Program::Step &step = program.steps[i];
    auto touch = [&](int slot) {
      if (slot >= 0)
        last[slot] = static_cast<int>(i);
    };
    for (int slot : step.inputs)
      touch(slot);
    for (int slot : step.outputs)
      touch(slot);
    for (const Program *inner : subprogramsOf(step.node))
      for (const auto &capture : inner->captures)
        touch(capture.second);
  }
  for (int slot : program.outputSlots)
    if (slot >= 0)
      last[slot] = -1;
  for (size_t slot = 0; slot < slots.size(); ++slot)
    if (last[slot] >= 0 && !constant[slot])
      steps[last[slot]].freed.push_back(static_cast<int>(slot));
}

void Frame::addStep(size_t index) {
  const Program::Step &step = program.steps[index];
  StepState &state = steps[index];
  state.frame = this;
  state.outputs.resize(static_cast<size_t>(step.node.outputs));
  state.state = step.prepared;
  std::vector<Value *> inputs;
  for (int slot : step.inputs)
    inputs.push_back(slot < 0 ? &none : &slots[slot]);
  state.call.reset(
      new KernelCall{step.node, std::move(inputs), state.outputs, step.dying, state.state, &state});
}

void Frame::clear() {
  for (size_t slot = 0; slot < slots.size(); ++slot)
    if (!constant[slot])
      slots[slot] = Value();
  for (StepState &step : steps)
    for (Value &value : step.outputs)
      value = Value();
}

namespace {

std::string describe(const Value &value) {
  if (value.kind == Value::Kind::Tensor)
    return describe(value.tensor);
  if (value.kind == Value::Kind::Sequence)
    return "sequence of " + std::to_string(value.sequence.size());
  return "absent";
}

std::string describeFailure(const Node &node, const std::vector<Value *> &inputs,
                            const char *message) {
  std::string text = "node '" + node.name + "' (";
  if (!node.domain.empty())
    text += node.domain + ".";
  text += node.op + "): " + message;
  // The innermost failure carries the shapes; around it, in If and Loop, they would only be noise.
  for (const auto &entry : node.attributes)
    if (std::holds_alternative<std::shared_ptr<const Program>>(entry.second))
      return text;
  text += " [inputs: ";
  for (size_t i = 0; i < inputs.size(); ++i)
    text += (i ? ", " : "") + describe(*inputs[i]);
  return text + "]";
}

} // namespace

void Frame::runStep(size_t index) {
  const Program::Step &step = program.steps[index];
  if (!steps[index].call)
    addStep(index);
  StepState &state = steps[index];
  try {
    step.kernel(*state.call);
  } catch (const std::bad_alloc &) {
    throw Error(describeFailure(step.node, state.call->inputs, "out of memory"));
  } catch (const std::exception &error) {
    throw Error(describeFailure(step.node, state.call->inputs, error.what()));
  }
  if (observe && *observe)
    (*observe)(step.node, state.outputs);
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] >= 0)
      slots[step.outputs[i]] = std::move(state.outputs[i]);
    state.outputs[i].kind = Value::Kind::None;
    state.outputs[i].tensor = Tensor();
  }
  for (int slot : state.freed) {
    Value &value = slots[slot];
    value.kind = Value::Kind::None;
    value.tensor = Tensor();
    value.sequence.clear();
  }
}

std::vector<Value> Frame::run(const std::vector<Value> &inputs, const Frame *outer) {
  check(inputs.size() == program.inputSlots.size(), "expected ", program.inputSlots.size(),
        " inputs, found ", inputs.size());
  std::vector<Value> results;
  try {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (program.inputSlots[i] >= 0)
        slots[program.inputSlots[i]] = inputs[i];
    if (outer)
      for (const auto &capture : program.captures)
        slots[capture.first] = outer->slots[capture.second];
    if (profile && *profile) {
      for (size_t i = 0; i < steps.size(); ++i) {
        auto start = std::chrono::steady_clock::now();
        runStep(i);
        auto time = std::chrono::steady_clock::now() - start;
        (*profile)(i, std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
      }
    } else {
      for (size_t i = 0; i < steps.size(); ++i)
        runStep(i);
    }
    for (int slot : program.outputSlots)
      results.push_back(slot < 0 ? Value() : slots[slot]);
  } catch (...) {
    clear();
    throw;
  }
  clear();
  return results;
}

struct Executor::Impl {
  explicit Impl(const Program &program) : frame(program) {}
  Frame frame;
};

Executor::Executor(const Program &program) : impl(new Impl(program)) {
  impl->frame.profile = &profile;
  impl->frame.observe = &observe;
}
Executor::~Executor() {
  delete impl;
}
const Program &Executor::program() const {
  return impl->frame.program;
}
std::vector<Value> Executor::run(const std::vector<Value> &inputs) {
  return impl->frame.run(inputs, nullptr);
}

std::vector<Value> runSubprogram(KernelCall &call, const Program &program, int slot,
                                 const std::vector<Value> &inputs) {
  check(call.scope != nullptr, "a subgraph needs a program around it");
  auto &state = *static_cast<Frame::StepState *>(call.scope);
  if (state.subframes.size() <= static_cast<size_t>(slot))
    state.subframes.resize(static_cast<size_t>(slot) + 1);
  auto &frame = state.subframes[static_cast<size_t>(slot)];
  if (!frame || &frame->program != &program)
    frame = std::make_unique<Frame>(program);
  frame->observe = state.frame->observe;
  return frame->run(inputs, state.frame);
}

} // namespace uoe::rt
