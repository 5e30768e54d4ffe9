// Values as ONNX's backend tests store them: serialised TensorProto, SequenceProto or
// OptionalProto.
#pragma once
#include "runtime/core/Tensor.h"
#include <string>
#include <vector>

namespace uoe {

/// What a graph input or output is declared as. The three messages cannot be told apart by their
/// bytes.
enum class PortKind { Tensor, Sequence, Optional, OptionalSequence };

/// A value and the name that the file gives it ("" if none).
struct NamedValue {
  std::string name;
  rt::Value value;
};

/// Reads one .pb file. Raises rt::Error that names the file if it is damaged, if the data do not
/// fit the shape, or if the element type is not executable (strings), and for maps, sparse tensors
/// and external data. An empty optional is a None value.
NamedValue readValueProto(const std::string &path, PortKind kind);
/// Writes a tensor, completely or not at all; raises rt::Error naming the file.
void writeTensorProto(const std::string &path, const rt::Tensor &tensor, const std::string &name);

/// What a backend test needs to know of its model without compiling it.
struct ModelScan {
  struct Port {
    std::string name;
    PortKind kind = PortKind::Tensor;
  };
  std::vector<Port> inputs, outputs; // inputs that are initializers are left out
  bool half = false;      // float16 or bfloat16 occurs among the weights, inputs or outputs
  bool quantized = false; // int4 or int8 quantised weights or operators occur
};
/// Reads an .onnx file; raises rt::Error if it is none.
ModelScan scanModel(const std::string &path);

} // namespace uoe
