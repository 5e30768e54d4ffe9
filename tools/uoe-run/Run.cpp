// uoe-run run: executes a model once.
#include "Common.h"
#include "Ranks.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Report/Table.h"
#include "lib/TensorIO/Npy.h"
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>

using namespace uoe;
using namespace uoe::run;

namespace {
struct RunArguments {
  Common common;
  InputArguments inputs;
  std::string model, folder;
};

/// An output's name as a file name: names may hold slashes.
std::string fileName(std::string name) {
  for (char &c : name)
    if (c == '/' || c == '\\' || c == '\0')
      c = '_';
  return (name.empty() || name[0] == '.' ? "_" + name : name) + ".npy";
}

void save(const std::string &folder, const Session &session,
          const std::vector<rt::Value> &results) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  rt::check(!error, "cannot create folder '", folder, "': ", error.message());
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string &name = session.outputs()[i].name;
    auto path = [&](const std::string &suffix) {
      return (std::filesystem::path(folder) / fileName(name + suffix)).string();
    };
    if (results[i].kind == rt::Value::Kind::Tensor)
      writeNpy(path(""), results[i].tensor);
    for (size_t k = 0; k < results[i].sequence.size(); ++k)
      writeNpy(path("." + std::to_string(k)), results[i].sequence[k]);
  }
}

/// One row of the answer for each tensor: sequences have several.
void describe(const std::string &name, const rt::Tensor &tensor, report::Table &table,
              report::Json &list) {
  Summary summary = summarize(tensor);
  std::string odd = summary.nans || summary.infinities
                        ? std::to_string(summary.nans) + " / " + std::to_string(summary.infinities)
                        : "";
  table.row({name, rt::nameOf(tensor.dtype()), report::shape(tensor.shape()),
             report::number(summary.min), report::number(summary.mean), report::number(summary.max),
             odd});
  list.push_back({{"name", name},
                  {"type", rt::nameOf(tensor.dtype())},
                  {"shape", tensor.shape()},
                  {"min", summary.min},
                  {"mean", summary.mean},
                  {"max", summary.max},
                  {"nans", summary.nans},
                  {"infinities", summary.infinities}});
}

int executeRun(const RunArguments &arguments) {
  InputOptions options = arguments.inputs.read();
  auto session = load(arguments.model, arguments.common);
  checkShared({session.get()});
  BoundInputs bound = bindInputs(*session, options);
  auto begin = std::chrono::steady_clock::now();
  std::vector<rt::Value> results = session->run(bound.values);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!arguments.folder.empty() && Ranks::first())
    save(arguments.folder, *session, results);

  report::Table table({"output", "type", "shape", ">min", ">mean", ">max", ">NaN / Inf"});
  report::Json list = report::Json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string &name = session->outputs()[i].name;
    if (results[i].kind == rt::Value::Kind::Tensor)
      describe(name, results[i].tensor, table, list);
    else if (results[i].kind == rt::Value::Kind::None)
      table.row({name, "absent"});
    for (size_t k = 0; k < results[i].sequence.size(); ++k)
      describe(name + "[" + std::to_string(k) + "]", results[i].sequence[k], table, list);
  }
  const rt::cuda::DeviceReport *device = session->deviceReport();
  if (arguments.common.json) {
    report::Json json = {{"model", arguments.model},
                         {"dims", dimsJson(bound)},
                         {"assumed", bound.assumed},
                         {"generated", bound.generated},
                         {"compile_seconds", session->compileSeconds()},
                         {"run_seconds", seconds},
                         {"outputs", list}};
    if (device)
      json["device"] = deviceJson(*device);
    if (Ranks::group())
      json["ranks"] = Ranks::group()->ranks();
    print(json);
    return 0;
  }
  if (!bound.dims.empty())
    std::cout << "dimensions: " << describeDims(bound) << '\n';
  if (!bound.generated.empty()) {
    std::cout << "generated inputs (seed " << options.seed << "):";
    for (const std::string &name : bound.generated)
      std::cout << ' ' << name;
    std::cout << '\n';
  }
  table.print(std::cout);
  std::cout << "compiled in " << report::duration(session->compileSeconds()) << ", ran in "
            << report::duration(seconds);
  if (Ranks::group())
    std::cout << " on " << Ranks::group()->ranks() << " ranks";
  std::cout << '\n';
  if (device)
    std::cout << "device: " << rt::cuda::describe(*device) << '\n';
  return 0;
}
} // namespace

void run::addRun(CLI::App &program, int &status) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App *command = program.add_subcommand("run", "Run a model once");
  command->add_option("model", arguments->model, "model file")->required();
  addInputs(*command, arguments->inputs);
  command->add_option("--output-dir", arguments->folder, "folder for NAME.npy of every output");
  addCommon(*command, arguments->common);
  command->footer("Example: uoe-run run model.onnx --input input_ids=ids.npy --dim batch=2 "
                  "--output-dir out");
  command->callback([arguments, &status] { status = executeRun(*arguments); });
}
