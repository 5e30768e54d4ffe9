// uoe-run: executes, tests, compares, times and evaluates models.
#include "Commands.h"
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <new>

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
  try {
    return runProgram(argc, argv);
  } catch (const std::bad_alloc &) {
    std::fputs("error: out of memory\n", stderr);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 1;
}
