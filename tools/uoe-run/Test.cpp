// uoe-run test: folders in the layout of ONNX's backend tests.
#include "Common.h"
#include "lib/Evaluation/BackendTest.h"
#include "lib/Report/Table.h"
#include <fnmatch.h>
#include <iostream>

using namespace uoe;
using namespace uoe::run;

namespace {
struct TestArguments {
  Common common;
  BackendTestOptions options;
  std::vector<std::string> folders, filters;
  bool quiet = false;
};

/// The first line, shortened: diagnostics may be long.
std::string brief(const std::string &text) {
  std::string line = text.substr(0, text.find('\n'));
  return line.size() > 300 ? line.substr(0, 297) + "..." : line;
}

bool chosen(const std::string &folder, const std::vector<std::string> &filters) {
  std::string name = folder.substr(folder.find_last_of('/') + 1);
  for (const std::string &filter : filters)
    if (fnmatch(filter.c_str(), name.c_str(), 0) == 0)
      return true;
  return filters.empty();
}

const char *readingName(const TestArguments &arguments) {
  return arguments.common.session.reading == Reading::Onnx ? "onnx" : "onnxruntime";
}

int executeTest(TestArguments &arguments) {
  refuseRanks("test");
  arguments.options.session = arguments.common.session;
  arguments.options.otherReading = !arguments.common.readingGiven;
  std::vector<std::string> folders;
  for (std::string root : arguments.folders) {
    while (root.size() > 1 && root.back() == '/')
      root.pop_back();
    for (std::string &folder : findBackendTests(root))
      if (chosen(folder, arguments.filters))
        folders.push_back(std::move(folder));
  }
  rt::check(!folders.empty(), "no folder matches the given patterns");
  int passed = 0, failed = 0, otherwise = 0;
  report::Json list = report::Json::array();
  // Lines are printed as they come: a long suite is watched.
  for (const std::string &folder : folders) {
    BackendTestResult result = runBackendTest(folder, arguments.options);
    ++(result.passed ? passed : failed);
    otherwise += result.onnxError > 0;
    if (arguments.common.json) {
      list.push_back({{"folder", folder},
                      {"passed", result.passed},
                      {"max_abs", report::json(result.maxAbs)},
                      {"relative", report::json(result.relative)},
                      {"worst", result.worst},
                      {"tolerance", result.tolerance},
                      {"precision", result.precision},
                      {"sets", result.sets},
                      {"reading", result.onnxError > 0 ? "onnxruntime" : readingName(arguments)},
                      {"deviations", result.deviations},
                      {"seconds", result.seconds},
                      {"device", result.device},
                      {"failure", result.failure}});
      continue;
    }
    if (result.passed && arguments.quiet)
      continue;
    std::cout << (result.passed ? "pass  " : "FAIL  ") << folder;
    if (!result.worst.empty())
      std::cout << "  abs " << report::number(result.maxAbs, 3) << "  rel "
                << report::number(result.relative, 3) << "  (tolerance "
                << report::number(result.tolerance) << ", " << result.precision << ")";
    if (!result.device.empty())
      std::cout << "\n      " << result.device;
    if (!result.passed)
      std::cout << "\n      " << brief(result.failure);
    if (result.onnxError > 0) {
      std::cout << "\n      in ONNX Runtime's reading (rel " << report::number(result.onnxError, 3)
                << " in ONNX's): ";
      for (size_t i = 0; i < result.deviations.size(); ++i)
        std::cout << (i ? "; " : "") << result.deviations[i];
    }
    std::cout << '\n' << std::flush;
  }
  if (arguments.common.json)
    print({{"passed", passed}, {"failed", failed}, {"tests", list}});
  else
    std::cout << passed << " passed, " << failed << " failed"
              << (otherwise ? " (" + std::to_string(otherwise) + " in ONNX Runtime's reading)" : "")
              << '\n'
              << std::flush;
  return failed ? 1 : 0;
}
} // namespace

void run::addTest(CLI::App &program, int &status) {
  auto arguments = std::make_shared<TestArguments>();
  CLI::App *command =
      program.add_subcommand("test", "Run tests in ONNX's backend-test layout and count them");
  command
      ->add_option("folders", arguments->folders,
                   "folders, searched for model.onnx and test_data_set_N recursively")
      ->required();
  command
      ->add_option(
          "--tolerance", arguments->options.tolerance,
          "largest error allowed, relative to the output's largest magnitude; otherwise 1e-4, "
          "and 1e-3 for models with float16, bfloat16, int8 or int4 arithmetic")
      ->check(CLI::PositiveNumber);
  command->add_option("--max-abs", arguments->options.maxAbs, "largest absolute error allowed")
      ->check(CLI::PositiveNumber);
  command->add_option("--filter", arguments->filters,
                      "only folders whose name matches one of these patterns (as of a shell)");
  command->add_flag("-q,--quiet", arguments->quiet, "print failures and the count alone");
  addCommon(*command, arguments->common);
  command->footer("Example: uoe-run test exports --filter 'bert-*'");
  command->callback([arguments, &status] { status = executeTest(*arguments); });
}
