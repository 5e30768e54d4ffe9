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

/// Compiles a model, on all ranks together where there are several; raises rt::Error with the
/// diagnostics.
std::unique_ptr<Session> load(const std::string &path, const Common &common);
/// Raises rt::Error if several processes run models of which none shares its experts among them.
void checkShared(std::initializer_list<const Session *> sessions);
/// Raises rt::Error if the command was started as several processes, which it makes no use of.
void refuseRanks(const char *command);

/// "batch=1 sequence=8", with the assumed ones marked.
std::string describeDims(const BoundInputs &bound);
report::Json dimsJson(const BoundInputs &bound);
/// What ran on a device and what fell back, of one run.
report::Json deviceJson(const rt::cuda::DeviceReport &device);
/// One line on stdout.
void print(const report::Json &json);

} // namespace uoe::run
