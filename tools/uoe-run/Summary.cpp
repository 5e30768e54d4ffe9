// uoe-run summary: a dense model and what was made of it, side by side.
#include "Common.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Conversion/Report.h"
#include "lib/Evaluation/Embedding.h"
#include "lib/Evaluation/Perplexity.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Evaluation/Statistics.h"
#include "lib/Execution/Model.h"
#include "lib/Report/Table.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include <cerrno>
#include <cstring>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

using namespace uoe;
using namespace uoe::run;

namespace {

struct SummaryArguments {
  Common common;
  InputArguments inputs;
  std::string dense, converted, tokens;
  int64_t windows = 4, window = 512;
};

struct Timing {
  Sample dense, converted;
  double ratio = 0; // median over turns of converted / dense
  int64_t rows = 0; // tokens of a run
};

// Parameters and multiply-adds from the raised form.
ConversionReport account(const std::string &path) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  loadModelDialects(context);
  std::string text;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    text += diagnostic.str() + "\n";
    return mlir::success();
  });
  auto module = readModel(path, context);
  rt::check(static_cast<bool>(module), text);
  bool raised = false;
  module->walk([&](mlir::Operation *op) { raised |= llvm::isa<FfnOp, ExpertsOp>(op); });
  if (!raised) {
    mlir::PassManager passes(&context);
    buildRaisePipeline(passes);
    rt::check(mlir::succeeded(passes.run(*module)), text);
  }
  return measureModel(*module);
}

InputOptions inputsFor(const Session &session, const SummaryArguments &arguments) {
  InputOptions inputs = arguments.inputs.read();
  // What a routed model skips depends on the text.
  if (!arguments.tokens.empty())
    inputs.tokens = textOf(arguments.tokens, session);
  return inputs;
}

struct Load {
  double compileSeconds = 0, peak = 0; // peak: bytes above what the process itself takes
};

Load loadAndRun(const std::string &path, const SummaryArguments &arguments) {
  // With its libraries.
  const double before = static_cast<double>(memory().anonymous + memory().file);
  auto session = load(path, arguments.common);
  BoundInputs bound = bindInputs(*session, inputsFor(*session, arguments));
  for (int run = 0; run < 3; ++run)
    session->run(bound.values);
  return {session->compileSeconds(), std::max(0.0, static_cast<double>(memory().peak) - before)};
}

/// In a process of its own: what another model left in the allocator would be taken again without
/// being counted. To be called before there are threads, which a fork does not take along.
Load measureAlone(const std::string &path, const SummaryArguments &arguments) {
  int ends[2];
  rt::check(pipe(ends) == 0, "cannot make a pipe: ", std::strerror(errno));
  const pid_t child = fork();
  rt::check(child >= 0, "cannot start a process: ", std::strerror(errno));
  if (child == 0) {
    std::string answer;
    try {
      Load found = loadAndRun(path, arguments);
      answer = report::Json{{"compile", found.compileSeconds}, {"peak", found.peak}}.dump();
    } catch (const std::exception &error) {
      answer = report::Json{{"error", error.what()}}.dump();
    }
    for (size_t sent = 0; sent < answer.size();) {
      ssize_t count = write(ends[1], answer.data() + sent, answer.size() - sent);
      if (count <= 0)
        break;
      sent += static_cast<size_t>(count);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string answer;
  char part[512];
  for (ssize_t count; (count = read(ends[0], part, sizeof part)) > 0;)
    answer.append(part, static_cast<size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  rt::check(WIFEXITED(status) && !answer.empty(), "'", path, "': the process that ran it ended ",
            WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "early");
  report::Json json = report::Json::parse(answer);
  rt::check(!json.contains("error"), json.value("error", ""));
  return {json["compile"], json["peak"]};
}

/// Both models by turns, so that what else the machine does meets both.
Timing timeBoth(Session &dense, Session &converted, const InputOptions &inputs) {
  constexpr int turns = 12;
  BoundInputs x = bindInputs(dense, inputs), y = bindInputs(converted, inputs);
  Timing timing;
  int ids = inputOf(dense, Role::Ids);
  timing.rows = ids >= 0 ? x.values[ids].tensor.size() : 0;
  std::vector<double> all[2], ratios;
  for (int turn = 0; turn < turns; ++turn) {
    const Repetition some{1, 3, 0.2, 1000};
    double median[2] = {};
    for (int step = 0; step < 2; ++step) {
      const int which = (turn + step) % 2;
      auto seconds =
          repeat(some, [&] { which == 0 ? dense.run(x.values) : converted.run(y.values); });
      median[which] = Sample(seconds).median();
      all[which].insert(all[which].end(), seconds.begin(), seconds.end());
    }
    ratios.push_back(median[1] / median[0]);
  }
  timing.dense = Sample(all[0]);
  timing.converted = Sample(all[1]);
  timing.ratio = Sample(ratios).median();
  return timing;
}

std::string change(double dense, double converted) {
  return dense > 0 ? report::percent(converted / dense) : "";
}

int executeSummary(const SummaryArguments &arguments) {
  refuseRanks("summary");
  const Load x = measureAlone(arguments.dense, arguments),
             y = measureAlone(arguments.converted, arguments);
  const ConversionReport a = account(arguments.dense), b = account(arguments.converted);
  auto dense = load(arguments.dense, arguments.common),
       converted = load(arguments.converted, arguments.common);
  const Timing timing = timeBoth(*dense, *converted, inputsFor(*dense, arguments));
  report::Table table({"", ">dense", ">converted", ">share"});
  auto row = [&](const std::string &name, double before, double after,
                 std::string (*format)(double)) {
    table.row({name, format(before), format(after), change(before, after)});
  };
  row("parameters", a.parameters, b.parameters, report::quantity);
  row("multiply-adds a token, products with weights", a.matmulMultiplyAdds, b.matmulMultiplyAdds,
      report::quantity);
  table.row({"time of a run, median", report::duration(timing.dense.median()),
             report::duration(timing.converted.median()), report::percent(timing.ratio)});
  row("file to ready", x.compileSeconds, y.compileSeconds, report::duration);
  row("peak memory", x.peak, y.peak, report::bytes);
  report::Json json = {{"dense", arguments.dense},
                       {"converted", arguments.converted},
                       {"parameters", {a.parameters, b.parameters}},
                       {"multiply_adds_per_token", {a.matmulMultiplyAdds, b.matmulMultiplyAdds}},
                       {"seconds", {timing.dense.median(), timing.converted.median()}},
                       {"seconds_spread", {timing.dense.spread(), timing.converted.spread()}},
                       {"seconds_ratio", timing.ratio},
                       {"compile_seconds", {x.compileSeconds, y.compileSeconds}},
                       {"peak_bytes", {x.peak, y.peak}},
                       {"tokens_per_run", timing.rows}};
  if (!arguments.tokens.empty()) {
    TokenFile tokens = readTokens(arguments.tokens);
    int ids = inputOf(*dense, Role::Ids);
    int64_t vocabulary =
        ids >= 0 ? vocabularyOf(dense->program(), dense->program().inputSlots[ids]) : -1;
    if (logitsOf(*dense, vocabulary) >= 0) {
      Decoder reference(*dense), model(*converted);
      PerplexityOptions options;
      options.window = arguments.window;
      options.windows = arguments.windows;
      Perplexity result = perplexity(model, &reference, tokens, options);
      row("perplexity", std::exp(result.referenceLoss), std::exp(result.loss),
          [](double value) { return report::number(value); });
      table.row({"same next token", "", report::percent(result.agreement)});
      json["perplexity"] = {std::exp(result.referenceLoss), std::exp(result.loss)};
      json["agreement"] = result.agreement;
    } else {
      EmbeddingAgreement result = compareEmbeddings(*converted, *dense, tokens, {});
      table.row({"mean cosine of sentence embeddings", "1", report::number(result.mean, 4)});
      table.row({"5th percentile", "1", report::number(result.fifth, 4)});
      json["cosine"] = result.mean;
      json["cosine_5th_percentile"] = result.fifth;
    }
  }
  if (arguments.common.json)
    print(json);
  else {
    table.print(std::cout);
    std::cout << "a run is " << timing.rows << " tokens; " << timing.dense.count() << " and "
              << timing.converted.count() << " runs by turns, spread "
              << report::percent(timing.dense.spread() / timing.dense.median()) << " and "
              << report::percent(timing.converted.spread() / timing.converted.median())
              << "; the share of time is the median over turns\n";
  }
  return 0;
}
} // namespace

void run::addSummary(CLI::App &program, int &status) {
  auto arguments = std::make_shared<SummaryArguments>();
  CLI::App *command = program.add_subcommand(
      "summary", "Table of a dense and a converted model: size, work, time, memory, agreement");
  command->add_option("dense", arguments->dense, "the dense model")->required();
  command->add_option("converted", arguments->converted, "what was made of it")->required();
  addInputs(*command, arguments->inputs);
  command->add_option(
      "--tokens", arguments->tokens,
      "token ids (.npy) on which agreement is measured, and the first of them timed");
  command->add_option("--window", arguments->window, "tokens of a window, for decoders")
      ->check(CLI::Range(2, 1000000))
      ->capture_default_str();
  command->add_option("--windows", arguments->windows, "windows, for decoders")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  addCommon(*command, arguments->common);
  command->footer("Example: uoe-run summary dense.onnx converted.mlir --tokens text.npy --seq 128");
  command->callback([arguments, &status] { status = executeSummary(*arguments); });
}
