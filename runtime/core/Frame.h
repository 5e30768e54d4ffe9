// The state of one running program: shared by the executor and by constant propagation.
#pragma once
#include "Program.h"

namespace uoe::rt {

/// Slots, preallocated calls and per-step state of one program. Subprograms have frames of their
/// own.
class Frame {
public:
  /// `fold` frames run single steps of a program that is not finished yet.
  explicit Frame(const Program &program, bool fold = false);
  Frame(const Frame &) = delete;
  Frame &operator=(const Frame &) = delete;

  std::vector<Value> run(const std::vector<Value> &inputs, const Frame *outer);
  /// Runs one step; its results are then in the slots. Raises Error with the node's name and
  /// inputs.
  void runStep(size_t step);
  /// What the kernel of a step keeps from run to run, for executors that prepare late.
  std::any &state(size_t step) { return steps[step].state; }
  /// Drops all values that are not constants.
  void clear();

  const Program &program;
  std::vector<Value> slots;
  const std::function<void(size_t, int64_t)> *profile = nullptr;
  const std::function<void(const Node &, const std::vector<Value> &)> *observe = nullptr;

private:
  friend std::vector<Value> runSubprogram(KernelCall &, const Program &, int,
                                          const std::vector<Value> &);
  struct StepState {
    Frame *frame;
    std::any state;
    std::vector<Value> outputs;
    std::vector<std::unique_ptr<Frame>> subframes;
    std::vector<int> freed; // slots whose last use this step is
    std::unique_ptr<KernelCall> call;
  };
  void addStep(size_t index);

  Value none;
  std::vector<StepState> steps;
  std::vector<bool> constant;
};

/// The subprograms among a node's attributes.
std::vector<const Program *> subprogramsOf(const Node &node);

} // namespace uoe::rt
