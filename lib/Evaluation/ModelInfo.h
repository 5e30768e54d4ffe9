// What a model file holds, read without compiling it.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace uoe {

struct ModelInfo {
  struct Port {
    std::string name, type; // type as in "float[batch,seq,384]"
  };
  std::vector<Port> inputs, outputs;
  std::vector<std::pair<std::string, int64_t>> opsets; // domain ("ai.onnx") and version
  std::vector<std::pair<std::string, int64_t>>
      operators; // name with domain, nodes; most frequent first
  std::string producer;
  int64_t nodes = 0;
  int64_t parameters = 0; // elements of all initializers of a number type
  int64_t parameterBytes = 0;
  int64_t initializers = 0;
};

/// Reads .onnx, .mlir or .mlirbc; raises rt::Error with the diagnostics.
ModelInfo modelInfo(const std::string &path);

} // namespace uoe
