// What a kernel is, and the table in which kernels are found by operator.
#pragma once
#include "Generated.h"
#include "Tensor.h"
#include "ThreadPool.h"
#include <any>
#include <map>
#include <string>
#include <variant>

namespace uoe::rt {

class Program; // a subgraph, see Program.h

/// An attribute's value: ONNX's kinds, with subgraphs as programs.
using Attribute =
    std::variant<int64_t, float, std::string, Tensor, std::vector<int64_t>, std::vector<float>,
                 std::vector<std::string>, std::shared_ptr<const Program>>;

/// One node: what does not change from run to run.
struct Node {
  std::string name;             // for messages
  std::string domain;           // "" for ONNX's own, "com.microsoft", "uoe" for our fused entries
  std::string op;               // "MatMul"
  int version = 0;              // the opset of `domain` that the model imports
  int outputs = 1;              // how many results there are, absent ones included
  std::vector<bool> outputUsed; // false: the result is absent, the kernel may leave its Value empty
  std::map<std::string, Attribute> attributes;
  std::vector<const Tensor *> constants; // per input: its value if that never changes, else null
  std::shared_ptr<const GeneratedKernel> generated; // of uoe.Elementwise

  /// Input i's value if it never changes, else null.
  const Tensor *constant(size_t i) const { return i < constants.size() ? constants[i] : nullptr; }
  bool has(const char *key) const { return attributes.count(key) != 0; }
  int64_t integer(const char *key, int64_t otherwise) const;
  float real(const char *key, float otherwise) const;
  std::string string(const char *key, const char *otherwise) const;
  std::vector<int64_t> integers(const char *key, std::vector<int64_t> otherwise = {}) const;
  std::vector<float> reals(const char *key, std::vector<float> otherwise = {}) const;
  const Tensor *tensor(const char *key) const;
  std::shared_ptr<const Program> program(const char *key) const;
};

/// The arguments of one execution.
struct KernelCall {
  const Node &node;
  std::vector<Value *> inputs; // never null; an absent input is a None value
  std::vector<Value> &outputs; // node.outputs empty values, to be set
  /// True where the kernel may steal the input's storage (its last use, owned by nobody else).
  std::vector<bool> dying;
  /// Kept from run to run for this node: packed weights, JIT code, scratch. Empty at first.
  std::any &state;
  /// Values of the enclosing scopes for subgraphs (If, Loop, Scan); opaque to ordinary kernels.
  void *scope = nullptr;

  size_t count() const { return inputs.size(); }
  bool has(size_t i) const { return i < inputs.size() && *inputs[i]; }
  /// Input i as a tensor; raises Error naming node and index if it is absent or a sequence.
  const Tensor &in(size_t i) const;
  /// Input i or null.
  const Tensor *maybe(size_t i) const;
  bool wants(size_t i) const {
    return i < static_cast<size_t>(node.outputs) && (node.outputUsed.empty() || node.outputUsed[i]);
  }
  /// Allocates output i and returns it.
  Tensor &out(size_t i, DType type, Shape shape);
  /// Output i in input j's storage if that is dying, unique and of equal bytes; freshly allocated
  /// otherwise.
  Tensor &outInPlace(size_t i, size_t j, DType type, Shape shape);
  void set(size_t i, Tensor tensor) {
    check(i < outputs.size(), "output ", i, " does not exist: the node has ", outputs.size());
    outputs[i] = Value(std::move(tensor));
  }
};

using Kernel = void (*)(KernelCall &);

/// Called once at load for a node whose constant inputs are known (node.constants): returns what
/// the kernel finds in KernelCall::state at its first call, say packed weights. An input marked as
/// consumed is absent in every call and its storage is freed if nothing else reads it, so that a
/// model is in memory once. Nodes with the same constants and attributes share what the first of
/// them prepared, if it consumed any: it must not change from call to call.
using Prepare = std::any (*)(const Node &node, std::vector<bool> &consumed);

/// The table: (domain, op) to kernel. One kernel serves all opset versions; it reads node.version
/// where they differ.
class KernelTable {
public:
  void add(const char *domain, const char *op, Kernel kernel, Prepare prepare = nullptr);
  Kernel find(const std::string &domain, const std::string &op) const; // null if there is none
  Prepare findPrepare(const std::string &domain,
                      const std::string &op) const; // null if there is none
  std::vector<std::pair<std::string, std::string>> list() const;
  /// All built-in kernels.
  static const KernelTable &builtin();

private:
  struct Entry {
    Kernel kernel;
    Prepare prepare;
  };
  std::map<std::pair<std::string, std::string>, Entry> kernels;
};

} // namespace uoe::rt
