// Folders in the layout of ONNX's backend tests: model.onnx and
// test_data_set_N/{input,output}_J.pb.
#pragma once
#include "Metrics.h"
#include "lib/Execution/Session.h"

namespace uoe {

/// Folders with a model.onnx at or below `root`, sorted. Raises rt::Error if there are none.
std::vector<std::string> findBackendTests(const std::string &root);

struct BackendTestOptions {
  SessionOptions session;
  bool otherReading = true; // where ONNX's reading fails, try ONNX Runtime's
  double tolerance = 0;     // on the relative error; 0: chosen by the model's element types
  double maxAbs = 0;        // on the absolute error as well; 0: no limit
};

struct BackendTestResult {
  bool passed = false;
  std::string failure;             // the first reason; empty if passed
  double maxAbs = 0, relative = 0; // the worst of all outputs of all data sets
  std::string worst;               // where: "test_data_set_1, output 'logits'"
  double tolerance = 0;
  const char *precision = ""; // why this tolerance: "float", "half", "quantized", or "given"
  int sets = 0;
  /// Not empty: passed in ONNX Runtime's reading, which deviates so; ONNX's was off by `onnxError`.
  std::vector<std::string> deviations;
  double onnxError = 0;
  double seconds = 0;
  std::string device; // not empty: how the runs on a device went
};

/// Compiles the folder's model and runs all its data sets. Never raises: whatever goes wrong is the
/// result's failure.
BackendTestResult runBackendTest(const std::string &folder, const BackendTestOptions &options);

} // namespace uoe
