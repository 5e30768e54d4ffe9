// uoe-run: executes, tests, compares, times and evaluates models.
#include "Commands.h"
#include "Ranks.h"
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <new>

static void complain(const std::string &text) {
  std::fprintf(stderr, "error: %s\n", text.c_str());
}

/// What `body` returns, or 1 with a message for what it raises, as `tell` puts it.
template <typename Body, typename Tell> static int guarded(Body body, Tell tell) {
  std::string text;
  try {
    return body();
  } catch (const std::bad_alloc &) {
    text = "out of memory";
  } catch (const std::exception &error) {
    text = error.what();
  }
  complain(tell(text));
  return 1;
}

static int runProgram(int argc, char **argv) {
  CLI::App program("Runs ONNX models (.onnx, .mlir, .mlirbc) on the CPU or, with --device cuda, on "
                   "a CUDA device.",
                   "uoe-run");
  program.require_subcommand(1);
  program.footer("Example: uoe-run run model.onnx --input input_ids=ids.npy --output-dir out\n"
                 "`uoe-run COMMAND --help` tells more of each command.");
  int status = 0;
  uoe::run::addRun(program, status);
  uoe::run::addTest(program, status);
  uoe::run::addCompare(program, status);
  uoe::run::addBench(program, status);
  uoe::run::addEval(program, status);
  uoe::run::addInfo(program, status);
  uoe::run::addSummary(program, status);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    uoe::rt::check(!uoe::run::Ranks::group() || error.get_exit_code() == 0,
                   "the command line: ", error.what());
    return program.exit(error) ? 1 : 0;
  }
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "error: cannot write to standard output\n";
    return 1;
  }
  return status;
}

int main(int argc, char **argv) {
  return guarded(
      [&] {
        uoe::run::Ranks ranks(&argc, &argv);
        int status = guarded([&] { return runProgram(argc, argv); },
                             [&](const std::string &why) { return ranks.fail(why); });
        return ranks.finish(status, complain);
      },
      [](const std::string &why) { return why; });
}
