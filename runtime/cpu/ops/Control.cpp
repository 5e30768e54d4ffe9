// If, Loop, Scan.
#include "Numeric.h"
#include "Register.h"
#include "runtime/core/Program.h"
#include <algorithm>
#include <cstring>

namespace uoe::rt {
namespace {

std::shared_ptr<const Program> graphOf(const Node &node, const char *key) {
  auto program = node.program(key);
  check(program != nullptr, node.op, ": the graph '", key, "' is missing");
  return program;
}

void expectCount(const Node &node, const char *what, size_t expected, size_t found) {
  check(expected == found, node.op, ": ", what, " must be ", expected, ", found ", found);
}

bool truth(const Node &node, const Value &value, const char *what) {
  check(value.kind == Value::Kind::Tensor && value.tensor.dtype() == DType::Bool &&
            value.tensor.size() == 1,
        node.op, ": ", what, " must be one bool");
  return *value.tensor.data<bool>();
}

void runIf(KernelCall &call) {
  const Node &node = call.node;
  check(call.count() >= 1, "If: the condition is missing");
  bool condition = truth(node, *call.inputs[0], "the condition");
  auto branch = graphOf(node, condition ? "then_branch" : "else_branch");
  std::vector<Value> results = runSubprogram(call, *branch, condition ? 0 : 1, {});
  expectCount(node, "the results of a branch", call.outputs.size(), results.size());
  for (size_t i = 0; i < results.size(); ++i)
    call.outputs[i] = std::move(results[i]);
}

/// Block sizes around an axis, in bytes.
struct AxisLayout {
  int64_t outer, length, inner;
};
AxisLayout layoutOf(const Tensor &tensor, int64_t axis) {
  int64_t item = static_cast<int64_t>(bytesOf(tensor.dtype(), 1));
  return {extent(tensor.shape(), 0, axis), tensor.shape()[axis],
          extent(tensor.shape(), axis + 1, tensor.rank()) * item};
}

/// tensor[..., index, ...] with the axis removed.
Tensor takeAt(const Tensor &tensor, int64_t axis, int64_t index) {
  Shape shape = tensor.shape();
  shape.erase(shape.begin() + axis);
  Tensor result(tensor.dtype(), shape);
  AxisLayout l = layoutOf(tensor, axis);
  const char *from = static_cast<const char *>(tensor.raw());
  char *to = static_cast<char *>(result.raw());
  for (int64_t o = 0; o < l.outer && l.inner > 0; ++o)
    std::memcpy(to + o * l.inner, from + (o * l.length + index) * l.inner, l.inner);
  return result;
}

/// Equal tensors along a new axis; none gives an empty vector of floats.
Tensor stack(const Node &node, const std::vector<Tensor> &parts, int64_t axis) {
  if (parts.empty())
    return Tensor(DType::F32, {0});
  Shape shape = parts[0].shape();
  axis = resolveAxis(node, axis, static_cast<int64_t>(shape.size()) + 1);
  shape.insert(shape.begin() + axis, static_cast<int64_t>(parts.size()));
  Tensor result(parts[0].dtype(), shape);
  AxisLayout l = layoutOf(result, axis);
  char *to = static_cast<char *>(result.raw());
  for (size_t i = 0; i < parts.size(); ++i) {
    check(parts[i].shape() == parts[0].shape() && parts[i].dtype() == parts[0].dtype(), node.op,
          ": the results of all iterations must have one shape, found ", toString(parts[0].shape()),
          " and ", toString(parts[i].shape()));
    const char *from = static_cast<const char *>(parts[i].raw());
    for (int64_t o = 0; o < l.outer && l.inner > 0; ++o)
      std::memcpy(to + (o * l.length + static_cast<int64_t>(i)) * l.inner, from + o * l.inner,
                  l.inner);
  }
  return result;
}

const Tensor &expectTensor(const Node &node, const Value &value) {
  check(value.kind == Value::Kind::Tensor, node.op, ": a scanned value must be a tensor");
  return value.tensor;
}

void runLoop(KernelCall &call) {
  const Node &node = call.node;
  auto body = graphOf(node, "body");
  int64_t most = call.has(0) ? toInt(call.in(0), "Loop: trip count") : INT64_MAX;
  bool going = !call.has(1) || truth(node, *call.inputs[1], "the condition");
  size_t carried = call.count() > 2 ? call.count() - 2 : 0;
  expectCount(node, "the body's inputs", carried + 2, body->inputSlots.size());
  size_t results = body->outputSlots.size();
  check(results >= carried + 1, "Loop: the body must have at least ", carried + 1,
        " results, found ", results);
  size_t scanned = results - 1 - carried;
  expectCount(node, "the loop's results", carried + scanned, call.outputs.size());
  std::vector<Value> state;
  for (size_t i = 0; i < carried; ++i)
    state.push_back(*call.inputs[i + 2]);
  std::vector<std::vector<Tensor>> collected(scanned);
  for (int64_t i = 0; i < most && going; ++i) {
    std::vector<Value> arguments;
    Tensor index(DType::I64, {}), condition(DType::Bool, {});
    *index.data<int64_t>() = i;
    *condition.data<bool>() = going;
    arguments.emplace_back(index);
    arguments.emplace_back(condition);
    for (Value &value : state)
      arguments.push_back(std::move(value));
    std::vector<Value> produced = runSubprogram(call, *body, 0, arguments);
    going = truth(node, produced[0], "the body's condition");
    for (size_t j = 0; j < carried; ++j)
      state[j] = std::move(produced[j + 1]);
    for (size_t j = 0; j < scanned; ++j)
      collected[j].push_back(expectTensor(node, produced[j + 1 + carried]));
  }
  for (size_t j = 0; j < carried; ++j)
    call.outputs[j] = std::move(state[j]);
  for (size_t j = 0; j < scanned; ++j)
    call.set(carried + j, stack(node, collected[j], 0));
}

struct ScanOptions {
  std::vector<int64_t> inputAxes, outputAxes, inputDirections, outputDirections;
};

/// One scan over `length` steps; replaces `state` and returns the stacked results.
std::vector<Tensor> scan(KernelCall &call, const Program &body, std::vector<Value> &state,
                         const std::vector<Tensor> &inputs, int64_t length, const ScanOptions &o,
                         size_t outputs) {
  const Node &node = call.node;
  std::vector<std::vector<Tensor>> collected(outputs);
  for (int64_t step = 0; step < length; ++step) {
    std::vector<Value> arguments;
    for (Value &value : state)
      arguments.push_back(std::move(value));
    for (size_t i = 0; i < inputs.size(); ++i)
      arguments.emplace_back(
          takeAt(inputs[i], o.inputAxes[i], o.inputDirections[i] ? length - 1 - step : step));
    std::vector<Value> produced = runSubprogram(call, body, 0, arguments);
    for (size_t i = 0; i < state.size(); ++i)
      state[i] = std::move(produced[i]);
    for (size_t i = 0; i < outputs; ++i)
      collected[i].push_back(expectTensor(node, produced[i + state.size()]));
  }
  std::vector<Tensor> results;
  for (size_t i = 0; i < outputs; ++i) {
    if (o.outputDirections[i])
      std::reverse(collected[i].begin(), collected[i].end());
    results.push_back(stack(node, collected[i], o.outputAxes[i]));
  }
  return results;
}

void runScan(KernelCall &call) {
  const Node &node = call.node;
  auto body = graphOf(node, "body");
  bool batched = node.version < 9; // then a batch dimension and optional lengths come first
  size_t skip = batched ? 1 : 0;
  int64_t scannedAttribute = node.integer("num_scan_inputs", 0);
  check(scannedAttribute > 0 && scannedAttribute + skip <= call.count(),
        "Scan: num_scan_inputs must be in [1, ", call.count() - skip, "], found ",
        scannedAttribute);
  size_t scanned = static_cast<size_t>(scannedAttribute), carried = call.count() - skip - scanned;
  expectCount(node, "the body's inputs", carried + scanned, body->inputSlots.size());
  check(body->outputSlots.size() >= carried, "Scan: the body must have at least ", carried,
        " results, found ", body->outputSlots.size());
  size_t outputs = body->outputSlots.size() - carried;
  expectCount(node, "the results", carried + outputs, call.outputs.size());
  auto list = [&](const char *key, size_t count) {
    auto values = node.integers(key);
    if (values.empty())
      values.assign(count, 0);
    expectCount(node, key, count, values.size());
    return values;
  };
  ScanOptions o;
  o.inputDirections = list(batched ? "directions" : "scan_input_directions", scanned);
  if (!batched) {
    o.inputAxes = list("scan_input_axes", scanned);
    o.outputAxes = list("scan_output_axes", outputs);
    o.outputDirections = list("scan_output_directions", outputs);
  } else {
    o.inputAxes.assign(scanned, 0);
    o.outputAxes.assign(outputs, 0);
    o.outputDirections.assign(outputs, 0);
  }
  std::vector<Value> state;
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < carried; ++i)
    state.push_back(*call.inputs[skip + i]);
  for (size_t i = 0; i < scanned; ++i) {
    inputs.push_back(call.in(skip + carried + i));
    check(inputs.back().rank() >= (batched ? 2 : 1), "Scan: a scanned input has shape ",
          toString(inputs.back().shape()));
    if (!batched)
      o.inputAxes[i] = resolveAxis(node, o.inputAxes[i], inputs.back().rank());
    int64_t axis = batched ? 1 : o.inputAxes[i], first = batched ? 1 : o.inputAxes[0];
    check(inputs[i].shape()[axis] == inputs[0].shape()[first],
          "Scan: all scanned inputs must have the same length, found ", inputs[i].shape()[axis],
          " and ", inputs[0].shape()[first]);
  }
  if (!batched) {
    auto results = scan(call, *body, state, inputs, inputs[0].shape()[o.inputAxes[0]], o, outputs);
    for (size_t i = 0; i < carried; ++i)
      call.outputs[i] = std::move(state[i]);
    for (size_t i = 0; i < outputs; ++i)
      call.set(carried + i, results[i]);
    return;
  }
  int64_t batch = inputs[0].dim(0);
  std::vector<int64_t> lengths(batch, inputs[0].dim(1));
  if (call.has(0))
    lengths = toInts(call.in(0), "Scan: sequence_lens");
  expectCount(node, "sequence_lens", static_cast<size_t>(batch), lengths.size());
  std::vector<std::vector<Tensor>> states(carried), stacked(outputs);
  for (int64_t b = 0; b < batch; ++b) {
    check(lengths[b] >= 0 && lengths[b] <= inputs[0].dim(1), "Scan: sequence_lens must be at most ",
          inputs[0].dim(1), ", found ", lengths[b]);
    std::vector<Value> own;
    std::vector<Tensor> slices;
    for (Value &value : state)
      own.emplace_back(takeAt(expectTensor(node, value), 0, b));
    for (Tensor &input : inputs) {
      check(input.dim(0) == batch, "Scan: all inputs must have the batch ", batch, ", found ",
            input.dim(0));
      slices.push_back(takeAt(input, 0, b));
    }
    auto results = scan(call, *body, own, slices, lengths[b], o, outputs);
    for (size_t i = 0; i < carried; ++i)
      states[i].push_back(expectTensor(node, own[i]));
    for (size_t i = 0; i < outputs; ++i)
      stacked[i].push_back(results[i]);
  }
  for (size_t i = 0; i < carried; ++i)
    call.set(i, stack(node, states[i], 0));
  for (size_t i = 0; i < outputs; ++i)
    call.set(carried + i, stack(node, stacked[i], 0));
}

/// Applies a graph to every element of a sequence; further inputs are sequences of the same length
/// or tensors.
void runSequenceMap(KernelCall &call) {
  const Node &node = call.node;
  auto body = graphOf(node, "body");
  check(call.count() >= 1 && call.inputs[0]->kind == Value::Kind::Sequence,
        "SequenceMap: input 0 must be a sequence");
  expectCount(node, "the body's inputs", call.count(), body->inputSlots.size());
  size_t length = call.inputs[0]->sequence.size();
  for (Value &output : call.outputs)
    output.kind = Value::Kind::Sequence;
  for (size_t i = 0; i < length; ++i) {
    std::vector<Value> arguments;
    for (Value *input : call.inputs) {
      bool sequence = input->kind == Value::Kind::Sequence;
      if (sequence)
        expectCount(node, "the length of every sequence", length, input->sequence.size());
      arguments.push_back(sequence ? Value(input->sequence[i]) : *input);
    }
    std::vector<Value> produced = runSubprogram(call, *body, 0, arguments);
    expectCount(node, "the body's results", call.outputs.size(), produced.size());
    for (size_t j = 0; j < produced.size(); ++j)
      call.outputs[j].sequence.push_back(expectTensor(node, produced[j]));
  }
}

} // namespace

void registerControl(KernelTable &table) {
  table.add("", "If", runIf);
  table.add("", "Loop", runLoop);
  table.add("", "Scan", runScan);
  table.add("", "SequenceMap", runSequenceMap);
}

} // namespace uoe::rt
