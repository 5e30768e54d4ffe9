// The commands of uoe-run: each adds itself to the program, and sets `status` to its exit status
// when it runs.
#pragma once

namespace CLI {
class App;
}

namespace uoe::run {

void addRun(CLI::App &program, int &status);
void addTest(CLI::App &program, int &status);
void addCompare(CLI::App &program, int &status);
void addBench(CLI::App &program, int &status);
void addEval(CLI::App &program, int &status);
void addInfo(CLI::App &program, int &status);
void addSummary(CLI::App &program, int &status);

} // namespace uoe::run
