// A session: a model file, compiled in memory and ready to run. What uoe-run, the calibration run
// and tests stand on.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "runtime/core/Program.h"
#include <memory>

namespace uoe::rt::cuda {
struct DeviceReport;
}
namespace uoe::rt::parallel {
class Group;
}

namespace uoe {

/// How a model is understood: as ONNX defines it, or as ONNX Runtime's optimised graph computes it
/// on x86 without VNNI where that differs (pass read-as-onnxruntime).
enum class Reading { Onnx, OnnxRuntime };

struct SessionOptions {
  int threads = 0;  // 0: all cores of the process
  bool fuse = true; // raise blocks and use fused kernels; false runs node by node (the reference)
  Reading reading = Reading::Onnx;
  std::string device = "cpu";
  std::string pipeline; // a textual pass pipeline instead of the built-in one, for experiments
  bool generate = true; // kernels for chains of elementwise operators; not without fuse
  std::string *listing = nullptr; // if given, gets the generated kernels as MLIR
  /// Ranks that run the model together, each with the weights of its own experts
  /// (docs/parallel.md). Loading and running are then collective: all ranks do the same, with the
  /// same inputs, and what fails on one is an error on all. Outlives the session. Null: this
  /// process alone.
  rt::parallel::Group *group = nullptr;
};

/// A graph input or output as the model declares it.
struct PortInfo {
  std::string name;
  rt::DType dtype = rt::DType::None; // None: not a tensor, or not declared
  bool ranked = false;
  std::vector<int64_t> dims;         // -1: dynamic
  std::vector<std::string> dimNames; // "" where the model gives no name
  bool optional = false;             // an input with a default (an initializer of the same name)
};

/// Time spent in one kind of operation ("MatMul", "uoe.Attention") over the runs since the profile
/// was reset.
struct KindTime {
  std::string kind;
  int64_t calls = 0;
  double seconds = 0;
};

class Session {
public:
  virtual ~Session() = default;

  /// Loads .onnx, .mlir or .mlirbc. On failure returns null and sets `error` to the diagnostics'
  /// text.
  static std::unique_ptr<Session> load(const std::string &path, const SessionOptions &options,
                                       std::string &error);
  /// The same from a module in memory, which is consumed.
  static std::unique_ptr<Session> create(mlir::OwningOpRef<mlir::ModuleOp> module,
                                         const SessionOptions &options, std::string &error);

  virtual const std::vector<PortInfo> &inputs() const = 0;
  virtual const std::vector<PortInfo> &outputs() const = 0;
  /// Runs once. Inputs in order of inputs(); a None value for an optional one. Checks types, ranks,
  /// static sizes and that equal dimension names are equal sizes. Raises rt::Error with a message
  /// that names the input or node.
  virtual std::vector<rt::Value> run(const std::vector<rt::Value> &inputs) = 0;

  virtual double compileSeconds() const = 0;         // file to ready, import included
  virtual double codegenSeconds() const = 0;         // of these, for generated kernels
  virtual size_t generatedKernels() const = 0;       // how many distinct ones
  virtual size_t weightBytes() const = 0;            // bytes of the weights that the model uses
  virtual void setProfiling(bool on) = 0;            // resets the counters as well
  virtual std::vector<KindTime> profile() const = 0; // most expensive first
  /// Layers of experts that ranks share by their placement, one process counted as a rank.
  virtual size_t shardedLayers() const { return 0; }
  /// How the runs on a device went since the profile was reset; null for the CPU.
  virtual const rt::cuda::DeviceReport *deviceReport() const { return nullptr; }
  /// Called with (probe name, value) for every value that carries a probe, in order; for
  /// calibration.
  virtual void setProbe(std::function<void(const std::string &, const rt::Tensor &)> probe) = 0;
  virtual const rt::Program &program() const = 0;
  /// Where the reading deviates from ONNX, one text each; empty if it does not.
  virtual std::vector<std::string> deviations() const { return {}; }
};

} // namespace uoe
