#include "BackendTest.h"
#include "lib/TensorIO/Proto.h"
#include "runtime/cuda/exec/Report.h"
#include <algorithm>
#include <chrono>
#include <filesystem>

namespace fs = std::filesystem;

namespace uoe {

std::vector<std::string> findBackendTests(const std::string &root) {
  std::error_code error;
  rt::check(fs::is_directory(root, error), "'", root, "' is not a folder");
  std::vector<std::string> folders;
  if (fs::exists(fs::path(root) / "model.onnx", error))
    folders.push_back(root);
  fs::recursive_directory_iterator walk(root, fs::directory_options::skip_permission_denied, error),
      end;
  for (; !error && walk != end; walk.increment(error))
    if (walk->is_directory(error) && fs::exists(walk->path() / "model.onnx", error))
      folders.push_back(walk->path().string());
  rt::check(!error, "cannot read folder '", root, "': ", error.message());
  rt::check(!folders.empty(), "'", root, "' holds no folder with a model.onnx");
  std::sort(folders.begin(), folders.end());
  return folders;
}

namespace {
/// The test_data_set_N of a folder in the order of N.
std::vector<fs::path> dataSets(const fs::path &folder) {
  std::vector<fs::path> sets;
  std::error_code error;
  for (int i = 0; fs::is_directory(folder / ("test_data_set_" + std::to_string(i)), error); ++i)
    sets.push_back(folder / ("test_data_set_" + std::to_string(i)));
  return sets;
}

/// Files input_0.pb, input_1.pb ... in order; gaps stay empty: that input is absent.
std::vector<fs::path> valueFiles(const fs::path &set, const std::string &prefix, size_t most) {
  std::vector<fs::path> files(most);
  size_t found = 0, expected = 0;
  for (const auto &entry : fs::directory_iterator(set)) {
    std::string name = entry.path().filename().string();
    expected += name.rfind(prefix, 0) == 0 && entry.path().extension() == ".pb";
  }
  for (size_t i = 0; i < most; ++i) {
    fs::path file = set / (prefix + std::to_string(i) + ".pb");
    if (fs::exists(file)) {
      files[i] = file;
      ++found;
    }
  }
  rt::check(found == expected, "holds ", expected, " files ", prefix, "N.pb, but the model has ",
            most, " such ports");
  return files;
}

template <typename Ports> PortKind kindIn(const Ports &ports, const std::string &name) {
  for (const auto &port : ports)
    if (port.name == name)
      return port.kind;
  return PortKind::Tensor;
}

void runSet(Session &session, const ModelScan &scan, const fs::path &set,
            const BackendTestOptions &options, BackendTestResult &result) {
  std::string name = set.filename().string();
  auto fail = [&](const std::string &reason) {
    if (result.failure.empty())
      result.failure = name + ": " + reason;
  };
  // Inputs with a default have no file unless it is given; files count those without, in order.
  std::vector<size_t> required;
  for (size_t i = 0; i < session.inputs().size(); ++i)
    if (!session.inputs()[i].optional)
      required.push_back(i);
  std::vector<rt::Value> values(session.inputs().size()), results;
  std::vector<fs::path> outputs;
  try {
    std::vector<fs::path> files = valueFiles(set, "input_", required.size());
    outputs = valueFiles(set, "output_", session.outputs().size());
    for (size_t i = 0; i < files.size(); ++i)
      if (!files[i].empty())
        values[required[i]] =
            readValueProto(files[i].string(),
                           kindIn(scan.inputs, session.inputs()[required[i]].name))
                .value;
    results = session.run(values);
  } catch (const std::exception &error) {
    return fail(error.what());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty())
      continue;
    std::string output = "output '" + session.outputs()[i].name + "'";
    try {
      NamedValue expected =
          readValueProto(outputs[i].string(), kindIn(scan.outputs, session.outputs()[i].name));
      Difference found = difference(expected.value, results[i]);
      if (!found.mismatch.empty()) {
        fail(output + ": " + found.mismatch);
        continue;
      }
      if (result.worst.empty() || found.relative() > result.relative) {
        result.relative = found.relative();
        result.worst = name;
        result.worst += ", ";
        result.worst += output;
      }
      result.maxAbs = std::max(result.maxAbs, found.maxAbs);
      if (!(found.relative() <= result.tolerance))
        fail(output + ": relative error above the tolerance");
      else if (options.maxAbs > 0 && !(found.maxAbs <= options.maxAbs))
        fail(output + ": absolute error above the limit");
    } catch (const std::exception &error) {
      fail(error.what());
    }
  }
}

/// All data sets in one reading of the model.
void runReading(const std::string &model, const ModelScan &scan, const std::vector<fs::path> &sets,
                const BackendTestOptions &options, BackendTestResult &result) {
  std::string error;
  std::unique_ptr<Session> session = Session::load(model, options.session, error);
  if (!session)
    rt::fail(error);
  for (const fs::path &set : sets) {
    runSet(*session, scan, set, options, result);
    ++result.sets;
  }
  result.deviations = session->deviations();
  if (const rt::cuda::DeviceReport *device = session->deviceReport())
    result.device = rt::cuda::describe(*device);
}
} // namespace

BackendTestResult runBackendTest(const std::string &folder, const BackendTestOptions &options) {
  BackendTestResult result;
  auto begin = std::chrono::steady_clock::now();
  try {
    std::string model = (fs::path(folder) / "model.onnx").string();
    ModelScan scan = scanModel(model);
    bool loose = scan.half || scan.quantized;
    result.precision = options.tolerance > 0 ? "given"
                       : scan.quantized      ? "quantized"
                       : scan.half           ? "half"
                                             : "float";
    result.tolerance = options.tolerance > 0 ? options.tolerance : loose ? 1e-3 : 1e-4;
    std::vector<fs::path> sets = dataSets(folder);
    rt::check(!sets.empty(), "no test_data_set_0");
    BackendTestResult untried = result;
    runReading(model, scan, sets, options, result);
    if (!result.failure.empty() && !result.worst.empty() && loose && options.otherReading &&
        options.session.reading == Reading::Onnx) {
      BackendTestOptions other = options;
      other.session.reading = Reading::OnnxRuntime;
      untried.onnxError = result.relative;
      runReading(model, scan, sets, other, untried);
      if (untried.failure.empty() && !untried.deviations.empty())
        result = untried;
    }
  } catch (const std::exception &error) {
    if (result.failure.empty())
      result.failure = error.what();
  }
  result.passed = result.failure.empty();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

} // namespace uoe
