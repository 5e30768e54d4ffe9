// What every command of uoe-run takes, and how it answers.
#pragma once
#include "Commands.h"
#include "lib/Evaluation/Inputs.h"
#include "lib/Report/Number.h"
#include "runtime/cuda/exec/Report.h"
#include <CLI/CLI.hpp>

namespace uoe::run {

/// Options of every command.
struct Common {
  bool json = false;
  bool readingGiven = false;
  bool printKernels = false;
  SessionOptions session;
};
void addCommon(CLI::App &command, Common &common);

/// How inputs are given: --input, --dim, --seed and sizes of what remains.
struct InputArguments {
  std::vector<std::string> inputs, dims; // NAME=FILE, NAME=SIZE
  InputOptions options;
  /// Reads the files; raises rt::Error naming the argument that is wrong.
  InputOptions read() const;
};
void addInputs(CLI::App &command, InputArguments &arguments);

/// Compiles a model; raises rt::Error with the diagnostics.
std::unique_ptr<Session> load(const std::string &path, const Common &common);

/// "batch=1 sequence=8", with the assumed ones marked.
std::string describeDims(const BoundInputs &bound);
report::Json dimsJson(const BoundInputs &bound);
/// What ran on a device and what fell back, of one run.
report::Json deviceJson(const rt::cuda::DeviceReport &device);
/// One line on stdout.
void print(const report::Json &json);

} // namespace uoe::run
