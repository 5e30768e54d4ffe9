#include "lib/Execution/Session.h"
#include "dialects/rt/Rt.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Execution/Model.h"
#include "lib/Execution/Translate.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "passes/Passes.h"
#include "runtime/cuda/exec/Executor.h"
#include "runtime/parallel/ShardedExperts.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace mlir;
using namespace uoe;

namespace {

using Clock = std::chrono::steady_clock;

/// Collects diagnostics as text, and keeps them off the terminal.
class Diagnostics {
public:
  explicit Diagnostics(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
            return success();
          llvm::raw_string_ostream out(text);
          if (!text.empty())
            out << '\n';
          if (!isa<UnknownLoc>(diagnostic.getLocation()))
            out << diagnostic.getLocation() << ": ";
          diagnostic.print(out);
          return success();
        }) {}
  std::string text;

private:
  ScopedDiagnosticHandler handler;
};

PortInfo portInfo(Type type, DictionaryAttr attrs) {
  PortInfo port;
  if (auto name = attrs ? attrs.getAs<StringAttr>("onnx.name") : StringAttr())
    port.name = name.str();
  port.optional = attrs && attrs.contains("onnx.default");
  if (auto tensor = dyn_cast<TensorType>(type))
    port.dtype = dtypeOf(tensor.getElementType());
  auto ranked = dyn_cast<RankedTensorType>(type);
  if (!ranked)
    return port;
  port.ranked = true;
  for (auto [axis, size] : llvm::enumerate(ranked.getShape())) {
    port.dims.push_back(ShapedType::isDynamic(size) ? -1 : size);
    port.dimNames.push_back(onnx::dimName(type, axis).str());
  }
  return port;
}

class ProgramSession : public Session {
public:
  const std::vector<PortInfo> &inputs() const override { return inputPorts; }
  const std::vector<PortInfo> &outputs() const override { return outputPorts; }
  double compileSeconds() const override { return seconds; }
  double codegenSeconds() const override { return codegen; }
  size_t generatedKernels() const override { return generated; }
  const rt::Program &program() const override { return *compiled; }

  size_t weightBytes() const override { return weights; }
  size_t shardedLayers() const override { return sharded; }
  std::vector<std::string> deviations() const override { return deviating; }

  std::vector<rt::Value> run(const std::vector<rt::Value> &values) override {
    if (!group) {
      checkInputs(values);
      return runChecked(values);
    }
    try {
      checkInputs(values);
      group->agree("the inputs", hashOf(values));
      return runChecked(values);
    } catch (const std::exception &error) {
      group->fail(error.what());
      throw;
    }
  }

  // Types, shapes, and the elements of small inputs: a cache takes long to hash, and what follows
  // from it is compared in the layers.
  static uint64_t hashOf(const std::vector<rt::Value> &values) {
    constexpr size_t small = 64 << 10;
    uint64_t hash = values.size();
    for (const rt::Value &value : values) {
      const rt::Tensor &tensor = value.tensor;
      const std::string text =
          std::to_string(static_cast<int>(value.kind)) +
          (value.kind == rt::Value::Kind::Tensor ? rt::describe(tensor) : std::string());
      hash = rt::parallel::hashOf(text.data(), text.size(), hash);
      if (tensor.bytes() <= small)
        hash = rt::parallel::hashOf(tensor.raw(), tensor.bytes(), hash);
    }
    return hash;
  }

  std::vector<rt::Value> runChecked(const std::vector<rt::Value> &values) {
    bool anyDefault = false;
    for (size_t i = 0; i < values.size(); ++i)
      anyDefault |= !values[i] && defaults[i].size() > 0;
    if (anyDefault) {
      std::vector<rt::Value> filled = values;
      for (size_t i = 0; i < values.size(); ++i)
        if (!filled[i] && defaults[i].dtype() != rt::DType::None)
          filled[i] = rt::Value(defaults[i]);
      return execute(filled);
    }
    return execute(values);
  }
  std::vector<rt::Value> execute(const std::vector<rt::Value> &values) {
    return onDevice ? onDevice->run(values) : executor->run(values);
  }

  void setProfiling(bool on) override {
    times.clear();
    auto &profile = onDevice ? onDevice->profile : executor->profile;
    if (onDevice && on)
      onDevice->resetReport();
    if (!on) {
      profile = nullptr;
      return;
    }
    profile = [this](size_t step, int64_t nanoseconds) {
      const rt::Node &node = compiled->steps[step].node;
      KindTime &time = times[node.domain.empty() ? node.op : node.domain + "." + node.op];
      ++time.calls;
      time.seconds += 1e-9 * static_cast<double>(nanoseconds);
    };
  }

  std::vector<KindTime> profile() const override {
    std::vector<KindTime> list;
    for (const auto &[kind, time] : times) {
      list.push_back(time);
      list.back().kind = kind;
    }
    std::stable_sort(list.begin(), list.end(),
                     [](const KindTime &a, const KindTime &b) { return a.seconds > b.seconds; });
    return list;
  }

  void setProbe(std::function<void(const std::string &, const rt::Tensor &)> probe) override {
    auto &observe = onDevice ? onDevice->observe : executor->observe;
    if (!probe) {
      observe = nullptr;
      return;
    }
    observe = [probe](const rt::Node &node, const std::vector<rt::Value> &outputs) {
      if (node.domain == "uoe" && node.op == kProbeEntry && !outputs.empty())
        probe(node.name, outputs[0].tensor);
    };
  }

  const rt::cuda::DeviceReport *deviceReport() const override {
    return onDevice ? &onDevice->report() : nullptr;
  }

  void checkInputs(const std::vector<rt::Value> &values) const {
    rt::check(values.size() == inputPorts.size(), "the model takes ", inputPorts.size(),
              " inputs, given ", values.size());
    std::map<std::string, std::pair<int64_t, std::string>> named;
    for (size_t i = 0; i < values.size(); ++i) {
      const PortInfo &port = inputPorts[i];
      if (!values[i]) {
        rt::check(port.optional || port.dtype == rt::DType::None, "input '", port.name,
                  "' is missing");
        continue;
      }
      if (values[i].kind != rt::Value::Kind::Tensor)
        continue;
      const rt::Tensor &tensor = values[i].tensor;
      rt::check(port.dtype == rt::DType::None || tensor.dtype() == port.dtype, "input '", port.name,
                "': expected element type ", rt::nameOf(port.dtype), ", found ",
                rt::nameOf(tensor.dtype()));
      if (!port.ranked)
        continue;
      rt::check(tensor.rank() == static_cast<int64_t>(port.dims.size()), "input '", port.name,
                "': expected rank ", port.dims.size(), ", found shape ",
                rt::toString(tensor.shape()));
      for (size_t axis = 0; axis < port.dims.size(); ++axis) {
        int64_t size = tensor.shape()[axis];
        rt::check(port.dims[axis] < 0 || size == port.dims[axis], "input '", port.name,
                  "': expected ", port.dims[axis], " in dimension ", axis, ", found shape ",
                  rt::toString(tensor.shape()));
        const std::string &name = port.dimNames[axis];
        if (name.empty())
          continue;
        auto [entry, fresh] = named.try_emplace(name, size, port.name);
        rt::check(fresh || entry->second.first == size, "input '", port.name, "': dimension '",
                  name, "' is ", size, ", but it is ", entry->second.first, " in input '",
                  entry->second.second, "'");
      }
    }
  }

  std::vector<PortInfo> inputPorts, outputPorts;
  std::vector<rt::Tensor> defaults; // per input, type None where there is none
  std::shared_ptr<rt::Program> compiled;
  std::unique_ptr<rt::Executor> executor; // one of the two
  std::unique_ptr<rt::cuda::Device> device;
  std::unique_ptr<rt::cuda::ModelExecutor> onDevice;
  std::map<std::string, KindTime> times;
  std::vector<std::string> deviating;
  rt::parallel::Group *group = nullptr;
  double seconds = 0, codegen = 0;
  size_t weights = 0, generated = 0, sharded = 0;
};

/// The kernels of the CPU, experts over ranks included.
const rt::KernelTable &cpuKernels() {
  static const rt::KernelTable table = [] {
    rt::KernelTable all = rt::KernelTable::builtin();
    rt::parallel::addShardedExperts(all);
    return all;
  }();
  return table;
}

/// A hash of a model as it was read: ops, types and attributes; of weights in files what they are,
/// not where, nor their elements.
uint64_t hashOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  uint64_t hash = 0;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    text.clear();
    out << op->getName() << op->getNumOperands();
    llvm::interleaveComma(op->getResultTypes(), out);
    for (NamedAttribute named : op->getAttrs()) {
      out << named.getName().getValue();
      if (auto file = dyn_cast<onnx::FileAttr>(named.getValue()))
        out << file.getType();
      else
        out << named.getValue();
    }
    hash = rt::parallel::hashOf(text.data(), text.size(), hash);
  });
  return hash;
}

LogicalResult runPipeline(ModuleOp module, const SessionOptions &options) {
  PassManager passes(module.getContext());
  passes.enableVerifier(false); // it ran on import; this is a hot path at load
  std::string pipeline = options.pipeline;
  if (pipeline.empty() && !options.fuse) {
    pipeline = "execute-reference";
  } else if (pipeline.empty()) {
    // Generated loops are the CPU's so far, and so are ranks: the device runs operators one by one.
    const bool cpu = options.device == "cpu";
    pipeline = "execute{generate=" + std::string(options.generate && cpu ? "true" : "false");
    if (cpu)
      pipeline += " rank=" + std::to_string(options.group ? options.group->rank() : 0) +
                  " ranks=" + std::to_string(options.group ? options.group->ranks() : 1);
    pipeline += "}";
  }
  if (options.reading == Reading::OnnxRuntime)
    pipeline = "inline-functions,normalize-opset,infer-shapes,read-as-onnxruntime," + pipeline;
  if (failed(parsePassPipeline(pipeline, passes, llvm::errs())))
    return module.emitError("cannot parse the pass pipeline '") << pipeline << "'";
  return passes.run(module);
}

std::unique_ptr<Session> build(ModuleOp module, const SessionOptions &options,
                               std::unique_ptr<rt::cuda::Device> device, Clock::time_point start) {
  auto function = module.lookupSymbol<func::FuncOp>(onnx::kMainGraph);
  if (!function)
    return module.emitError("has no function '") << onnx::kMainGraph << "' to run", nullptr;
  auto session = std::make_unique<ProgramSession>();
  session->group = options.group;
  const uint64_t hash = options.group ? hashOf(module) : 0;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    session->inputPorts.push_back(
        portInfo(function.getArgumentTypes()[i], function.getArgAttrDict(i)));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    session->outputPorts.push_back(
        portInfo(function.getResultTypes()[i], function.getResultAttrDict(i)));
  if (failed(runPipeline(module, options)))
    return nullptr;
  if (auto list = module->getAttrOfType<ArrayAttr>("uoe.deviations"))
    for (auto text : list.getAsRange<StringAttr>())
      session->deviating.push_back(text.str());
  function = module.lookupSymbol<func::FuncOp>(onnx::kMainGraph);
  std::string listing;
  llvm::raw_string_ostream listed(listing);
  FailureOr<codegen::HostKernels> kernels =
      codegen::compileForHost(module, options.listing ? &listed : nullptr);
  if (failed(kernels))
    return nullptr;
  if (options.listing)
    *options.listing = std::move(listing);
  session->codegen = kernels->seconds;
  session->generated = kernels->distinct;
  WeightReader weights;
  auto program = translateToProgram(function, weights, *kernels);
  if (failed(program))
    return nullptr;
  session->defaults.resize(session->inputPorts.size());
  for (unsigned i = 0; i < session->inputPorts.size(); ++i)
    if (auto symbol = function.getArgAttrOfType<FlatSymbolRefAttr>(i, "onnx.default"))
      if (auto init = module.lookupSymbol<onnx::InitializerOp>(symbol.getAttr()))
        if (auto value = dyn_cast<TypedAttr>(init.getValue())) {
          llvm::Expected<rt::Tensor> tensor = readTensor(value, weights);
          if (!tensor) {
            init.emitError("cannot read the default: ") << llvm::toString(tensor.takeError());
            return nullptr;
          }
          session->defaults[i] = std::move(*tensor);
        }
  session->compiled = *program;
  // Before folding and packing take them over.
  for (const auto &entry : session->compiled->constants)
    session->weights += entry.second.bytes();
  try {
    const rt::KernelTable &cpu = cpuKernels();
    rt::parallel::CurrentGroup current(options.group);
    session->device = std::move(device);
    if (session->device) {
      session->compiled->finish(rt::cuda::tableForDevice(cpu), &cpu);
      session->onDevice =
          std::make_unique<rt::cuda::ModelExecutor>(*session->device, *session->compiled, cpu);
    } else {
      session->compiled->finish(cpu);
      session->executor = std::make_unique<rt::Executor>(*session->compiled);
    }
    // Of weights that were folded and packed.
    rt::releaseRetainedMemory();
  } catch (const std::exception &error) {
    module.emitError(error.what());
    return nullptr;
  }
  for (const rt::Program::Step &step : session->compiled->steps)
    session->sharded += step.node.domain == "uoe" && step.node.op == "ShardedExperts";
  if (options.group)
    options.group->agree("the model", hash);
  session->seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return session;
}

/// Opens the device that a model is to run on; null for the CPU.
FailureOr<std::unique_ptr<rt::cuda::Device>> openDevice(const SessionOptions &options,
                                                        std::string &error) {
  if (options.group && options.group->ranks() > 1 && (options.device != "cpu" || !options.fuse)) {
    error = options.fuse ? "experts over several processes run on the CPU: --device " +
                               options.device + " runs in one process, without mpirun"
                         : "without fused kernels every process computes all experts: --no-fuse "
                           "runs in one process, without mpirun";
    return failure();
  }
  if (options.device == "cpu")
    return std::unique_ptr<rt::cuda::Device>();
  if (options.device != "cuda") {
    error = "unknown device '" + options.device + "': expected cpu or cuda";
    return failure();
  }
  try {
    return std::make_unique<rt::cuda::Device>(rt::cuda::Driver::load());
  } catch (const rt::Error &refusal) {
    error = refusal.what();
    return failure();
  }
}

/// Loads by `make`, which is given the device and the time of the start. What fails on one rank is
/// told to the others, and what they say is the error.
template <typename Make>
std::unique_ptr<Session> together(const SessionOptions &options, std::string &error, Make make) {
  rt::parallel::Group *group = options.group;
  std::unique_ptr<Session> session;
  try {
    const Clock::time_point start = Clock::now();
    auto device = openDevice(options, error);
    if (succeeded(device)) {
      rt::ThreadPool::setGlobalThreads(options.threads);
      static std::once_flag once;
      std::call_once(once, registerAllPasses);
      session = make(std::move(*device), start);
    }
    if (!session && group)
      group->fail(error);
  } catch (const std::exception &refusal) {
    if (!group)
      throw;
    group->fail(refusal.what());
    error = refusal.what();
  }
  return session;
}

} // namespace

std::unique_ptr<Session> Session::load(const std::string &path, const SessionOptions &options,
                                       std::string &error) {
  return together(options, error, [&](auto device, Clock::time_point start) {
    MLIRContext context(MLIRContext::Threading::DISABLED);
    loadModelDialects(context);
    Diagnostics diagnostics(&context);
    OwningOpRef<ModuleOp> module = readModel(path, context);
    std::unique_ptr<Session> session =
        module ? build(*module, options, std::move(device), start) : nullptr;
    if (!session)
      error = diagnostics.text.empty() ? path + ": cannot be loaded" : diagnostics.text;
    return session;
  });
}

std::unique_ptr<Session> Session::create(OwningOpRef<ModuleOp> module,
                                         const SessionOptions &options, std::string &error) {
  return together(options, error, [&](auto device, Clock::time_point start) {
    Diagnostics diagnostics(module->getContext());
    std::unique_ptr<Session> session = build(*module, options, std::move(device), start);
    if (!session)
      error = diagnostics.text.empty() ? "the module cannot be executed" : diagnostics.text;
    return session;
  });
}
