// uoe-run info: what a model file holds.
#include "Common.h"
#include "lib/Evaluation/ModelInfo.h"
#include "lib/Report/Table.h"
#include <iostream>

using namespace uoe;
using namespace uoe::run;

namespace {
struct InfoArguments {
  Common common;
  std::string model;
};

int executeInfo(const InfoArguments &arguments) {
  ModelInfo info = modelInfo(arguments.model);
  if (arguments.common.json) {
    auto ports = [](const std::vector<ModelInfo::Port> &list) {
      report::Json json = report::Json::array();
      for (const auto &port : list)
        json.push_back({{"name", port.name}, {"type", port.type}});
      return json;
    };
    report::Json opsets = report::Json::object(), operators = report::Json::object();
    for (const auto &[domain, version] : info.opsets)
      opsets[domain] = version;
    for (const auto &[name, count] : info.operators)
      operators[name] = count;
    print({{"model", arguments.model},
           {"producer", info.producer},
           {"opsets", opsets},
           {"inputs", ports(info.inputs)},
           {"outputs", ports(info.outputs)},
           {"initializers", info.initializers},
           {"parameters", info.parameters},
           {"parameter_bytes", info.parameterBytes},
           {"nodes", info.nodes},
           {"operators", operators}});
    return 0;
  }
  if (!info.producer.empty())
    std::cout << "producer    " << info.producer << '\n';
  std::cout << "opsets     ";
  for (const auto &[domain, version] : info.opsets)
    std::cout << ' ' << domain << ' ' << version;
  std::cout << "\nparameters  " << report::count(info.parameters) << " in "
            << report::count(info.initializers) << " initializers, "
            << report::bytes(static_cast<double>(info.parameterBytes)) << "\n\n";
  report::Table ports({"port", "name", "type"});
  for (const auto &port : info.inputs)
    ports.row({"input", port.name, port.type});
  for (const auto &port : info.outputs)
    ports.row({"output", port.name, port.type});
  ports.print(std::cout);
  std::cout << '\n';
  report::Table operators({"operator", ">nodes"});
  for (const auto &[name, count] : info.operators)
    operators.row({name, report::count(count)});
  operators.rule();
  operators.row({"all", report::count(info.nodes)});
  operators.print(std::cout);
  return 0;
}
} // namespace

void run::addInfo(CLI::App &program, int &status) {
  auto arguments = std::make_shared<InfoArguments>();
  CLI::App *command =
      program.add_subcommand("info", "Inputs, outputs, parameters and operators of a model");
  command->add_option("model", arguments->model, "model file")->required();
  addCommon(*command, arguments->common);
  command->footer("Example: uoe-run info model.onnx");
  command->callback([arguments, &status] { status = executeInfo(*arguments); });
}
