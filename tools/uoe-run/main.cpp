// uoe-run: executes, tests, compares, times and evaluates models.
#include "Commands.h"
#include <CLI/CLI.hpp>
#include <iostream>
#include <new>

int main(int argc, char **argv) {
  CLI::App program("Runs ONNX models (.onnx, .mlir, .mlirbc) on the CPU.", "uoe-run");
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
    std::cout.flush();
    if (!std::cout) {
      std::cerr << "error: cannot write to standard output\n";
      return 1;
    }
    return status;
  } catch (const CLI::ParseError &error) {
    return program.exit(error) ? 1 : 0;
  } catch (const std::bad_alloc &) {
    std::cerr << "error: out of memory\n";
  } catch (const std::exception &error) {
    std::cerr << "error: " << error.what() << '\n';
  }
  return 1;
}
