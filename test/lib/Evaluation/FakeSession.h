// A session without a compiler: ports are listed, a function is the model.
#pragma once
#include "lib/Execution/Session.h"
#include <functional>

namespace uoe {

/// The elements of an integer tensor of any shape.
inline std::vector<int64_t> integersOf(const rt::Tensor &tensor) {
  return rt::toInts(tensor.reshaped({tensor.size()}), "tensor");
}

class FakeSession : public Session {
public:
  using Model = std::function<std::vector<rt::Value>(const std::vector<rt::Value> &)>;

  void input(const std::string &name, rt::DType type, std::vector<std::string> dims) {
    in.push_back(port(name, type, std::move(dims)));
    compiled.inputNames.push_back(name);
    compiled.inputSlots.push_back(compiled.slots++);
  }
  void output(const std::string &name, rt::DType type, std::vector<std::string> dims) {
    out.push_back(port(name, type, std::move(dims)));
  }
  /// A lookup of input `index` in a table of `rows`, as an embedding is.
  void gather(size_t index, int64_t rows) {
    tables.push_back(std::make_unique<rt::Tensor>(rt::DType::F32, rt::Shape{rows, 2}));
    rt::Program::Step step;
    step.node.op = "Gather";
    step.node.constants = {tables.back().get(), nullptr};
    step.inputs = {compiled.slots++, compiled.inputSlots[index]};
    step.outputs = {compiled.slots++};
    compiled.steps.push_back(step);
  }

  /// A convolution of `slot` with a constant weight; gives the slot of its result.
  int convolve(int slot, rt::Shape weight, int64_t stride, int64_t pad) {
    std::vector<int64_t> strides(weight.size() - 2, stride), pads(2 * (weight.size() - 2), pad);
    int result = withConstant("Conv", slot, std::move(weight));
    compiled.steps.back().node.attributes["strides"] = strides;
    compiled.steps.back().node.attributes["pads"] = pads;
    return result;
  }
  /// A step of `op` on `slot` and a constant of this shape; gives the slot of its result.
  int withConstant(const char *op, int slot, rt::Shape shape) {
    tables.push_back(std::make_unique<rt::Tensor>(rt::DType::F32, std::move(shape)));
    rt::Program::Step step;
    step.node.op = op;
    step.node.constants = {nullptr, tables.back().get()};
    step.inputs = {slot, compiled.slots++};
    step.outputs = {compiled.slots++};
    compiled.steps.push_back(step);
    return step.outputs[0];
  }

  const std::vector<PortInfo> &inputs() const override { return in; }
  const std::vector<PortInfo> &outputs() const override { return out; }
  std::vector<rt::Value> run(const std::vector<rt::Value> &values) override {
    return model(values);
  }
  double compileSeconds() const override { return 0; }
  double codegenSeconds() const override { return 0; }
  size_t generatedKernels() const override { return 0; }
  size_t weightBytes() const override { return 0; }
  void setProfiling(bool) override {}
  std::vector<KindTime> profile() const override { return {}; }
  void setProbe(std::function<void(const std::string &, const rt::Tensor &)>) override {}
  const rt::Program &program() const override { return compiled; }

  Model model;
  std::vector<PortInfo> in, out;
  rt::Program compiled;

private:
  /// Numbers are fixed sizes, anything else is a symbolic dimension, "" one without a name.
  static PortInfo port(const std::string &name, rt::DType type, std::vector<std::string> dims) {
    PortInfo info;
    info.name = name;
    info.dtype = type;
    info.ranked = true;
    for (const std::string &dim : dims) {
      bool fixed = !dim.empty() && dim.find_first_not_of("0123456789") == std::string::npos;
      info.dims.push_back(fixed ? std::stoll(dim) : -1);
      info.dimNames.push_back(fixed ? "" : dim);
    }
    return info;
  }
  std::vector<std::unique_ptr<rt::Tensor>> tables;
};

} // namespace uoe
