#include "Executor.h"
#include "Placement.h"
#include "runtime/core/Frame.h"
#include <chrono>
#include <cstring>
#include <list>

namespace uoe::rt::cuda {

std::string describe(const DeviceReport &report) {
  const int64_t runs = std::max<int64_t>(1, report.runs);
  std::string text = "of one run: " + std::to_string(report.launches / runs) + " launches, " +
                     std::to_string(report.waits / runs) +
                     (report.waits / runs == 1 ? " wait" : " waits");
  if (report.replays > 0)
    text += ", " + std::to_string(report.replays) + " of " + std::to_string(report.runs) +
            (report.runs == 1 ? " run" : " runs") + " replayed";
  text += "; on the CPU: ";
  if (report.fallbacks.empty())
    return text + "nothing";
  bool first = true;
  for (const auto &[kind, steps] : report.fallbacks) {
    text += (first ? "" : ", ") + kind + " (" + std::to_string(steps / runs) + ")";
    first = false;
  }
  return text;
}

KernelTable tableForDevice(const KernelTable &cpu) {
  KernelTable table;
  for (const auto &[domain, op] : cpu.list())
    table.add(domain.c_str(), op.c_str(), cpu.find(domain, op),
              findDeviceKernel(domain, op) ? nullptr : cpu.findPrepare(domain, op));
  return table;
}

namespace {

std::string kindOf(const Node &node) {
  return node.domain.empty() ? node.op : node.domain + "." + node.op;
}

} // namespace

/// The frame holds what lies on the host, `there` what lies on the device; a value may lie on both.
/// The branches of an If have one each, which uses what the program around it has.
struct ModelExecutor::Impl {
  Impl(ModelExecutor &owner, const Program &program, const KernelTable &cpu,
       const KernelImages &images)
      : Impl(owner, program, cpu, std::make_shared<Shared>(owner.device, images)) {
    arena.reclaim = [this] { forgetGraphs(); };
  }

  /// What a program and its branches have together.
  struct Shared {
    Shared(Device &device, const KernelImages &images)
        : launcher(device, images), images(images), flag(device, sizeof(int32_t), "a flag") {}
    Launcher launcher;
    const KernelImages images;
    Buffer flag; // the step that met a bad index, plus 1
    // While a run is recorded: inputs that the host reads, and values to be copied to the device.
    std::vector<bool> hostRead;
    std::vector<std::pair<Tensor, Tensor>> pending;
    std::map<const void *, std::any> ofRun; // Call::ofRun
  };

  Impl(ModelExecutor &owner, const Program &program, const KernelTable &cpu,
       const std::shared_ptr<Shared> &common)
      : owner(owner), device(owner.device), arena(owner.arena), counted(owner.counted),
        common(common), launcher(common->launcher), cpu(cpu), program(program), frame(program),
        there(size_t(program.slots)), inputOf(size_t(program.slots), -1),
        constant(size_t(program.slots)), steps(program.steps.size()) {
    frame.observe = &owner.observe;
    for (size_t i = 0; i < program.inputSlots.size(); ++i)
      if (program.inputSlots[i] >= 0)
        inputOf[size_t(program.inputSlots[i])] = static_cast<int>(i);
    for (const auto &entry : program.constants)
      constant[size_t(entry.first)] = true;
    std::vector<int> last(size_t(program.slots), -1);
    for (size_t i = 0; i < steps.size(); ++i) {
      const Program::Step &step = program.steps[i];
      steps[i].kernel = findDeviceKernel(step.node.domain, step.node.op);
      steps[i].view = isView(step.node);
      steps[i].meta = steps[i].view || readsShapesOnly(step.node);
      steps[i].branch = step.node.domain.empty() && step.node.op == "If";
      for (int slot : slotsRead(step))
        last[size_t(slot)] = static_cast<int>(i);
      for (int slot : step.outputs)
        if (slot >= 0)
          last[size_t(slot)] = static_cast<int>(i);
    }
    for (int slot : program.outputSlots)
      if (slot >= 0)
        last[size_t(slot)] = -1;
    connect();
    for (size_t slot = 0; slot < last.size(); ++slot)
      if (last[slot] >= 0 && !constant[slot])
        steps[size_t(last[slot])].freed.push_back(static_cast<int>(slot));
  }

  /// Tells each step who makes its inputs and who reads its outputs.
  void connect() {
    std::vector<const Node *> makers(size_t(program.slots));
    std::vector<std::vector<std::pair<const Node *, size_t>>> readers(size_t(program.slots));
    for (const Program::Step &step : program.steps) {
      for (size_t k = 0; k < step.inputs.size(); ++k)
        if (step.inputs[k] >= 0)
          readers[size_t(step.inputs[k])].emplace_back(&step.node, k);
      for (const Program *inner : subprogramsOf(step.node))
        for (const auto &capture : inner->captures)
          if (capture.second >= 0)
            readers[size_t(capture.second)].emplace_back(nullptr, 0);
      for (int slot : step.outputs)
        if (slot >= 0)
          makers[size_t(slot)] = &step.node;
    }
    for (int slot : program.outputSlots)
      if (slot >= 0)
        readers[size_t(slot)].emplace_back(nullptr, 0);
    for (size_t i = 0; i < steps.size(); ++i) {
      allReaders[&program.steps[i].node] = &steps[i].readers;
      for (int slot : program.steps[i].inputs)
        steps[i].producers.push_back(slot < 0 ? nullptr : makers[size_t(slot)]);
      for (int slot : program.steps[i].outputs) {
        steps[i].readers.emplace_back();
        if (slot >= 0)
          steps[i].readers.back() = readers[size_t(slot)];
      }
    }
  }

  /// The slots that a step reads, those of its subprograms included.
  static std::vector<int> slotsRead(const Program::Step &step) {
    std::vector<int> slots;
    for (int slot : step.inputs)
      if (slot >= 0)
        slots.push_back(slot);
    for (const Program *inner : subprogramsOf(step.node))
      for (const auto &capture : inner->captures)
        if (capture.second >= 0)
          slots.push_back(capture.second);
    return slots;
  }

  bool onHost(int slot) const { return static_cast<bool>(frame.slots[size_t(slot)]); }
  bool onDevice(int slot) const { return there[size_t(slot)].dtype() != DType::None; }
  /// Type and shape are the same wherever it lies.
  const Tensor &meta(int slot) const {
    return onDevice(slot) ? there[size_t(slot)] : frame.slots[size_t(slot)].tensor;
  }

  void copyIn(const Tensor &to, const Tensor &from) {
    if (from.bytes() > 0)
      device.require(device.driver().call.cuMemcpyHtoDAsync_v2(addressOf(to), from.raw(),
                                                               from.bytes(), device.stream()),
                     "copying a value to the device");
  }
  /// A copy on the host, complete once the device is waited for.
  Tensor copyOut(const Tensor &from) {
    Tensor copy(from.dtype(), from.shape());
    if (from.bytes() > 0)
      device.require(device.driver().call.cuMemcpyDtoHAsync_v2(copy.raw(), addressOf(from),
                                                               from.bytes(), device.stream()),
                     "copying a value from the device");
    counted.downloaded += from.bytes();
    return copy;
  }

  const Tensor &toDevice(int slot) {
    Tensor &tensor = there[size_t(slot)];
    if (onDevice(slot))
      return tensor;
    const Tensor &from = frame.slots[size_t(slot)].tensor;
    if (device.capturing()) {
      // The same in every replay: copied once, before the first, into memory that no step writes.
      check(!constant[size_t(slot)], "a recorded run cannot copy weights");
      tensor = arena.keep(from.dtype(), from.shape(), "a value of the host");
      common->pending.emplace_back(tensor, from);
      return tensor;
    }
    Tensor copy = constant[size_t(slot)]
                      ? arena.keep(from.dtype(), from.shape(), "a weight")
                      : arena.allocate(from.dtype(), from.shape(), "a value of the host");
    copyIn(copy, from);
    if (!constant[size_t(slot)])
      counted.uploaded += from.bytes();
    tensor = std::move(copy);
    return tensor;
  }

  const Tensor &toHost(int slot, bool wait = true) {
    Value &value = frame.slots[size_t(slot)];
    if (value) {
      if (device.capturing() && inputOf[size_t(slot)] >= 0)
        common->hostRead[size_t(inputOf[size_t(slot)])] = true;
      return value.tensor;
    }
    check(!device.capturing(), "a recorded run cannot read a value of the device");
    Tensor copy = copyOut(there[size_t(slot)]);
    if (wait) {
      device.synchronize("copying a value from the device");
      ++counted.waits;
    }
    value = Value(std::move(copy));
    return value.tensor;
  }

  /// A step that looks at shapes, or gives its input another: the CPU's kernel touches no element,
  /// so that it runs on a tensor of the device. False where it cannot.
  bool runOnMeta(size_t index) {
    const Program::Step &step = program.steps[index];
    const int input = step.inputs.empty() ? -1 : step.inputs[0];
    if (input < 0 || !onDevice(input) || step.outputs.size() != 1)
      return false;
    // What lies on both and is short may be part of shape arithmetic.
    if (onHost(input) && steps[index].view && isHostStep(step))
      return false;
    for (size_t k = 1; k < step.inputs.size(); ++k)
      if (step.inputs[k] >= 0)
        toHost(step.inputs[k]);
    Value &value = frame.slots[size_t(input)];
    struct Restore {
      Value &slot, before;
      ~Restore() { slot = std::move(before); }
    } restore{value, std::move(value)};
    value = Value(there[size_t(input)]);
    frame.runStep(index);
    if (const int output = step.outputs[0]; output >= 0 && steps[index].view) {
      Value &made = frame.slots[size_t(output)];
      there[size_t(output)] = std::move(made.tensor);
      made = Value();
    }
    return true;
  }

  bool runOnDevice(size_t index) {
    const Program::Step &step = program.steps[index];
    if (!steps[index].kernel)
      return false;
    for (int slot : step.inputs)
      if (slot >= 0 && onHost(slot) && frame.slots[size_t(slot)].kind != Value::Kind::Tensor)
        return false;
    Call call{step.node,
              device,
              arena,
              launcher,
              steps[index].state,
              reinterpret_cast<int32_t *>(common->flag.pointer()),
              mark > 0 ? mark : static_cast<int32_t>(index) + 1,
              &common->images,
              &steps[index].producers,
              &steps[index].readers,
              &allReaders,
              {},
              &common->ofRun,
              {},
              {},
              {},
              {},
              {}};
    static const Shape none;
    for (int slot : step.inputs) {
      const bool present = slot >= 0 && (onHost(slot) || onDevice(slot));
      call.types.push_back(present ? meta(slot).dtype() : DType::None);
      call.shapes.push_back(present ? &meta(slot).shape() : &none);
    }
    call.outputs.resize(step.outputs.size());
    call.fetchDevice = [&](size_t i) { return toDevice(step.inputs[i]); };
    call.read = [&](void *to, Pointer from, size_t bytes) {
      check(!device.capturing(), "a recorded run cannot read a value of the device");
      device.require(device.driver().call.cuMemcpyDtoHAsync_v2(to, from, bytes, device.stream()),
                     "reading a value of the device");
      device.synchronize("reading a value of the device");
      ++counted.waits;
    };
    call.fetchHost = [&](size_t i) { return toHost(step.inputs[i]); };
    if (!steps[index].kernel(call))
      return false;
    for (size_t k = 0; k < step.outputs.size(); ++k)
      if (step.outputs[k] >= 0)
        there[size_t(step.outputs[k])] = std::move(call.outputs[k]);
    return true;
  }

  /// Weights that the device was to have, and now the CPU needs.
  std::vector<bool> prepareLate(size_t index) {
    const Program::Step &step = program.steps[index];
    StepState &own = steps[index];
    if (!own.prepared) {
      own.prepared = true;
      Prepare prepare = own.kernel ? cpu.findPrepare(step.node.domain, step.node.op) : nullptr;
      own.consumed.assign(step.inputs.size(), false);
      if (prepare)
        frame.state(index) = prepare(step.node, own.consumed);
    }
    return own.consumed;
  }

  void runOnCpu(size_t index) {
    const Program::Step &step = program.steps[index];
    for (int slot : slotsRead(step))
      if (onDevice(slot))
        toHost(slot);
    // What preparation has taken over is absent from the call.
    const std::vector<bool> consumed = prepareLate(index);
    std::vector<std::pair<int, Value>> aside;
    for (size_t k = 0; k < consumed.size(); ++k)
      if (consumed[k] && step.inputs[k] >= 0) {
        aside.emplace_back(step.inputs[k], Value());
        std::swap(aside.back().second, frame.slots[size_t(step.inputs[k])]);
      }
    auto restore = [&] {
      for (auto it = aside.rbegin(); it != aside.rend(); ++it)
        if (it->second)
          frame.slots[size_t(it->first)] = std::move(it->second);
    };
    try {
      frame.runStep(index);
    } catch (...) {
      restore();
      throw;
    }
    restore();
  }

  bool isHostStep(const Program::Step &step) const {
    std::vector<HostOperand> operands;
    for (int slot : step.inputs) {
      if (slot < 0 || (!onHost(slot) && !onDevice(slot)))
        continue;
      const Value &value = frame.slots[size_t(slot)];
      if (value.kind != Value::Kind::Tensor)
        return false;
      operands.push_back({value.tensor.dtype(), value.tensor.shape()});
    }
    return subprogramsOf(step.node).empty() && isShapeArithmetic(step.node, operands);
  }

  /// An If's condition is read on the host; the branch runs here as any step does.
  void runBranch(size_t index) {
    const Program::Step &step = program.steps[index];
    check(!step.inputs.empty() && step.inputs[0] >= 0, "If: the condition is missing");
    const Tensor &condition = toHost(step.inputs[0]);
    check(condition.dtype() == DType::Bool && condition.size() == 1,
          "If: the condition must be one bool");
    const char *key = *condition.data<bool>() ? "then_branch" : "else_branch";
    const std::shared_ptr<const Program> branch = step.node.program(key);
    check(branch != nullptr, "If: the graph '", key, "' is missing");
    check(branch->outputSlots.size() == step.outputs.size(), "If: the results of a branch must be ",
          step.outputs.size(), ", found ", branch->outputSlots.size());
    std::unique_ptr<Impl> &inner = branches[branch.get()];
    if (!inner) {
      inner.reset(new Impl(owner, *branch, cpu, common));
      inner->mark = mark > 0 ? mark : static_cast<int32_t>(index) + 1;
    }
    try {
      for (const auto &[to, from] : branch->captures)
        if (from >= 0) {
          inner->frame.slots[size_t(to)] = frame.slots[size_t(from)];
          inner->there[size_t(to)] = there[size_t(from)];
          inner->inputOf[size_t(to)] = inputOf[size_t(from)];
        }
      for (size_t i = 0; i < inner->steps.size(); ++i)
        inner->runStep(i);
      for (size_t k = 0; k < step.outputs.size(); ++k) {
        const int from = branch->outputSlots[k], to = step.outputs[k];
        if (to < 0 || from < 0)
          continue;
        frame.slots[size_t(to)] = inner->frame.slots[size_t(from)];
        there[size_t(to)] = inner->there[size_t(from)];
      }
    } catch (...) {
      inner->clear();
      throw;
    }
    inner->clear();
  }

  void runStep(size_t index) {
    const Program::Step &step = program.steps[index];
    const bool meta = steps[index].meta;
    if (steps[index].branch) {
      runBranch(index);
    } else if (!(meta && runOnMeta(index))) {
      if (meta || isHostStep(step)) {
        runOnCpu(index);
      } else {
        bool done = false;
        try {
          done = runOnDevice(index);
        } catch (const std::exception &error) {
          std::string text = "node '" + step.node.name + "' (" + kindOf(step.node) +
                             ") on the device: " + error.what() + " [inputs: ";
          for (size_t k = 0; k < step.inputs.size(); ++k)
            text += (k ? ", " : "") + (step.inputs[k] < 0 ? std::string("absent")
                                                          : describe(this->meta(step.inputs[k])));
          throw Error(text + "]");
        }
        if (!done) {
          check(!device.capturing(), "a recorded run cannot run on the CPU");
          ++counted.fallbacks[kindOf(step.node)];
          runOnCpu(index);
        }
      }
    }
    for (int slot : steps[index].freed) {
      there[size_t(slot)] = Tensor();
      frame.slots[size_t(slot)] = Value();
    }
  }

  void clear() {
    frame.clear();
    if (mark == 0)
      common->ofRun.clear();
    for (size_t slot = 0; slot < there.size(); ++slot)
      if (!constant[slot])
        there[slot] = Tensor();
  }

  /// A run that was recorded, with the memory that it uses.
  struct Graph {
    std::vector<Tensor> inputs; // on the device: where a replay's are copied
    /// Per input its value if a step of the host reads it, else None: a replay needs the same.
    std::vector<Tensor> hostValues;
    struct Output {
      int input = -1; // that it is, or
      Tensor there;   // on the device, or
      Value onHost;   // always the same
    };
    std::vector<Output> outputs;
    std::vector<Tensor> held; // values of the host
    std::shared_ptr<BlockPool> pool;
    Recording recording;
    int64_t launches = 0;
  };
  /// What is known of runs with inputs of these types and shapes.
  struct Shapes {
    std::vector<std::pair<DType, Shape>> inputs;
    bool whole = false;   // the last run left nothing to the CPU and waited for nothing
    bool refused = false; // it cannot be recorded
    std::unique_ptr<Graph> graph;
  };
  /// Graphs keep memory, so that no more than a few are kept.
  static constexpr size_t kMostShapes = 4;

  void forget(std::unique_ptr<Graph> &graph) {
    if (!graph)
      return;
    std::shared_ptr<BlockPool> pool = graph->pool;
    graph.reset(); // its blocks return to the pool
    if (pool)
      arena.release(pool);
  }
  /// Memory is short: what is recorded gives its own back, and is not recorded again.
  void forgetGraphs() {
    for (Shapes &shapes : known) {
      shapes.refused = shapes.refused || shapes.graph;
      forget(shapes.graph);
    }
  }

  /// What is known of runs with these inputs, the latest first; null if they cannot be recorded.
  Shapes *shapesOf(const std::vector<Value> &inputs) {
    std::vector<std::pair<DType, Shape>> key;
    for (const Value &input : inputs) {
      if (input.kind != Value::Kind::Tensor)
        return nullptr;
      key.emplace_back(input.tensor.dtype(), input.tensor.shape());
    }
    for (auto it = known.begin(); it != known.end(); ++it)
      if (it->inputs == key) {
        known.splice(known.begin(), known, it);
        return &known.front();
      }
    if (known.size() == kMostShapes) {
      forget(known.back().graph);
      known.pop_back();
    }
    known.emplace_front();
    known.front().inputs = std::move(key);
    return &known.front();
  }

  /// Records a run. Null if that cannot be done: nothing has happened then.
  std::unique_ptr<Graph> record(const std::vector<Value> &inputs) {
    auto graph = std::make_unique<Graph>();
    const int64_t before = launcher.launches;
    common->hostRead.assign(inputs.size(), false);
    try {
      for (size_t i = 0; i < inputs.size(); ++i) {
        const Tensor &from = inputs[i].tensor;
        graph->inputs.push_back(arena.allocate(from.dtype(), from.shape(), "an input"));
        if (const int slot = program.inputSlots[i]; slot >= 0) {
          frame.slots[size_t(slot)] = inputs[i];
          there[size_t(slot)] = graph->inputs[i];
        }
      }
      graph->pool = arena.reserve();
      graph->recording = device.capture(
          [&] {
            for (size_t i = 0; i < steps.size(); ++i)
              runStep(i);
          },
          "a run of the model");
      for (int slot : program.outputSlots) {
        Graph::Output output;
        if (slot >= 0 && inputOf[size_t(slot)] >= 0)
          output.input = inputOf[size_t(slot)];
        else if (slot >= 0 && onHost(slot))
          output.onHost = frame.slots[size_t(slot)];
        else if (slot >= 0)
          output.there = there[size_t(slot)];
        graph->outputs.push_back(std::move(output));
      }
      for (size_t i = 0; i < inputs.size(); ++i)
        graph->hostValues.push_back(common->hostRead[i] ? inputs[i].tensor : Tensor());
      for (auto &[to, from] : common->pending) {
        copyIn(to, from);
        counted.uploaded += from.bytes();
        graph->held.push_back(std::move(to));
      }
      graph->launches = launcher.launches - before;
    } catch (const std::exception &) {
      launcher.launches = before;
      arena.endReserve();
      common->pending.clear();
      clear();
      forget(graph);
      if (device.lost())
        throw;
      return nullptr;
    }
    launcher.launches = before;
    arena.endReserve();
    common->pending.clear();
    clear();
    return graph;
  }

  static bool sameHostValues(const Graph &graph, const std::vector<Value> &inputs) {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (const Tensor &known = graph.hostValues[i]; known.dtype() != DType::None)
        if (std::memcmp(known.raw(), inputs[i].tensor.raw(), known.bytes()) != 0)
          return false;
    return true;
  }

  /// Reads the step that met a bad index, once all is done.
  void finish() {
    int32_t mark = 0;
    device.download(&mark, common->flag, sizeof mark, "the results");
    if (mark > 0 && size_t(mark) <= steps.size()) {
      const Node &node = program.steps[size_t(mark) - 1].node;
      fail("node '", node.name, "' (", kindOf(node), ") on the device: an index is out of range");
    }
  }

  std::vector<Value> replay(Graph &graph, const std::vector<Value> &inputs) {
    device.clear(common->flag);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (program.inputSlots[i] >= 0) {
        copyIn(graph.inputs[i], inputs[i].tensor);
        counted.uploaded += inputs[i].tensor.bytes();
      }
    graph.recording.replay();
    std::vector<Value> results;
    for (const auto &output : graph.outputs) {
      if (output.input >= 0) {
        results.push_back(inputs[size_t(output.input)]);
      } else if (output.there.dtype() != DType::None) {
        results.emplace_back(copyOut(output.there));
      } else {
        results.push_back(output.onHost);
      }
    }
    finish();
    ++counted.runs;
    ++counted.replays;
    counted.launches += graph.launches;
    return results;
  }

  std::vector<Value> run(const std::vector<Value> &inputs) {
    check(inputs.size() == program.inputSlots.size(), "expected ", program.inputSlots.size(),
          " inputs, found ", inputs.size());
    Shapes *shapes = owner.graphs && !owner.profile && !owner.observe ? shapesOf(inputs) : nullptr;
    if (shapes && shapes->whole && !shapes->graph && !shapes->refused) {
      shapes->graph = record(inputs);
      shapes->refused = !shapes->graph;
    }
    if (shapes && shapes->graph && sameHostValues(*shapes->graph, inputs))
      return replay(*shapes->graph, inputs);
    auto count = [&] {
      int64_t interruptions = counted.waits;
      for (const auto &entry : counted.fallbacks)
        interruptions += entry.second;
      return interruptions;
    };
    const int64_t before = count();
    std::vector<Value> results = runSteps(inputs);
    if (shapes)
      shapes->whole = count() == before;
    return results;
  }

  std::vector<Value> runSteps(const std::vector<Value> &inputs) {
    const int64_t before = launcher.launches;
    std::vector<Value> results;
    try {
      device.clear(common->flag);
      for (size_t i = 0; i < inputs.size(); ++i)
        if (program.inputSlots[i] >= 0)
          frame.slots[size_t(program.inputSlots[i])] = inputs[i];
      for (size_t i = 0; i < steps.size(); ++i) {
        if (!owner.profile) {
          runStep(i);
          continue;
        }
        auto start = std::chrono::steady_clock::now();
        runStep(i);
        device.synchronize("running the model");
        auto time = std::chrono::steady_clock::now() - start;
        owner.profile(i, std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
      }
      for (int slot : program.outputSlots)
        if (slot >= 0 && onDevice(slot))
          toHost(slot, /*wait=*/false);
      finish();
      for (int slot : program.outputSlots)
        results.push_back(slot < 0 ? Value() : frame.slots[size_t(slot)]);
    } catch (...) {
      clear();
      throw;
    }
    clear();
    ++counted.runs;
    counted.launches += launcher.launches - before;
    return results;
  }

  struct StepState {
    DeviceKernel kernel = nullptr;
    bool view = false;   // isView
    bool meta = false;   // that, or readsShapesOnly
    bool branch = false; // an If
    std::any state;
    bool prepared = false;
    std::vector<bool> consumed;
    std::vector<const Node *> producers;
    Call::Readers readers;
    std::vector<int> freed; // slots whose last use this step is
  };
  ModelExecutor &owner;
  Device &device;
  Arena &arena;
  DeviceReport &counted;
  std::shared_ptr<Shared> common;
  Launcher &launcher;
  const KernelTable &cpu;
  const Program &program;
  Frame frame;
  int32_t mark = 0; // of a branch: the step around it, plus 1
  std::vector<Tensor> there;
  std::vector<int> inputOf; // per slot the input that it is, or -1
  std::vector<bool> constant;
  std::vector<StepState> steps;
  std::map<const Node *, const Call::Readers *> allReaders;
  std::map<const Program *, std::unique_ptr<Impl>> branches; // that have run
  std::list<Shapes> known;
};

ModelExecutor::ModelExecutor(Device &device, const Program &program, const KernelTable &cpu,
                             const KernelImages &images)
    : device(device), arena(device), impl(new Impl(*this, program, cpu, images)) {}
ModelExecutor::~ModelExecutor() = default;
std::vector<Value> ModelExecutor::run(const std::vector<Value> &inputs) {
  return impl->run(inputs);
}

} // namespace uoe::rt::cuda
