// A program: the nodes of a graph in execution order over numbered slots, and the executor that
// runs it.
#pragma once
#include "Kernel.h"
#include <functional>

namespace uoe::rt {

/// A straight sequence of nodes over value slots. Built once, then immutable; run by an Executor.
/// Slots are numbered from 0: inputs first, then whatever the nodes define. Slot -1 is an absent
/// value.
class Program {
public:
  struct Step {
    Node node;
    Kernel kernel = nullptr;
    std::vector<int> inputs, outputs; // slots; -1 where absent
    std::vector<bool> dying;          // per input: nothing reads the slot after this step
    std::any prepared;                // the state that the node starts with, see Prepare
    bool keep = false;                // runs in every run, though nothing may read its outputs
  };
  std::vector<std::string> inputNames, outputNames;
  std::vector<int> inputSlots, outputSlots;
  std::vector<Step> steps;
  int slots = 0;
  std::vector<std::pair<int, Tensor>> constants; // slots that never change
  /// Slots read from the enclosing program, for subgraphs: (slot here, slot there).
  std::vector<std::pair<int, int>> captures;

  /// Finds kernels, evaluates steps whose inputs are all constant (once, in order), drops what
  /// nothing uses and computes last uses. Raises Error naming the node for an operator without
  /// kernel. Subprograms are finished too, those of loops with a table of their own if one is
  /// given.
  void finish(const KernelTable &table, const KernelTable *subprograms = nullptr);

private:
  std::shared_ptr<const std::vector<Tensor>> pinned; // what Node::constants points to
};

/// Runs a finished program. Holds the per-node state, so that packed weights live as long as the
/// executor. Not thread-safe: one executor runs one call at a time.
class Executor {
public:
  explicit Executor(const Program &program);
  ~Executor();
  /// Inputs in the order of program.inputNames. Raises Error prefixed with the failing node's name.
  std::vector<Value> run(const std::vector<Value> &inputs);
  /// Called around every step if set: index of the step, nanoseconds taken.
  std::function<void(size_t step, int64_t nanoseconds)> profile;
  /// Called after every step if set, those of subprograms included, with its outputs; for
  /// calibration.
  std::function<void(const Node &node, const std::vector<Value> &outputs)> observe;
  const Program &program() const;

  struct Impl;

private:
  Impl *impl;
};

/// Runs a subgraph attribute (If, Loop, Scan) from inside a kernel: `call.scope` gives the captured
/// values. `slot` tells the subprograms of one node apart (then 0, else 1; body 0), so that each
/// keeps its state.
std::vector<Value> runSubprogram(KernelCall &call, const Program &program, int slot,
                                 const std::vector<Value> &inputs);

} // namespace uoe::rt
