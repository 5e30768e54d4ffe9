// uoe-run bench: latency, throughput, memory, and where the time goes.
#include "Common.h"
#include "Ranks.h"
#include "lib/Evaluation/DecodeTiming.h"
#include "lib/Evaluation/Ports.h"
#include "lib/Evaluation/Statistics.h"
#include "lib/Report/Table.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <array>
#include <iostream>
#include <optional>
#include <sstream>

using namespace uoe;
using namespace uoe::run;

namespace {
struct BenchArguments {
  Common common;
  InputArguments inputs;
  Repetition repetition;
  std::string model;
  int64_t decode = 0;
  bool serve = false;
  std::string tokens;
};

/// A series of latencies; `tokens` are those of one run, 0 if the model takes none.
report::Json latencyJson(const Sample &sample, int64_t tokens) {
  report::Json json = {{"runs", sample.count()},      {"median", sample.median()},
                       {"p10", sample.quantile(0.1)}, {"p90", sample.quantile(0.9)},
                       {"iqr", sample.spread()},      {"min", sample.min()},
                       {"mean", sample.mean()},       {"per_second", 1 / sample.median()}};
  if (tokens > 0)
    json["tokens_per_second"] = static_cast<double>(tokens) / sample.median();
  return json;
}

std::string latencyText(const Sample &sample, int64_t tokens) {
  std::string text =
      report::duration(sample.median()) + " median of " + std::to_string(sample.count()) + ", " +
      report::duration(sample.quantile(0.1)) + " to " + report::duration(sample.quantile(0.9)) +
      " (10% to 90%), spread " + report::percent(sample.spread() / sample.median());
  if (tokens > 0)
    text +=
        ", " + report::number(static_cast<double>(tokens) / sample.median()) + " tokens a second";
  return text;
}

/// How runs on a device have gone so far; none for the CPU. Profiled runs are counted anew, and are
/// not replayed.
std::optional<rt::cuda::DeviceReport> deviceOf(const Session &session) {
  const rt::cuda::DeviceReport *device = session.deviceReport();
  return device ? std::optional(*device) : std::nullopt;
}

/// The peak memory of every rank; empty in a process of its own. Collective.
std::vector<int64_t> peaks(const Memory &own) {
  if (!Ranks::group())
    return {};
  return Ranks::group()->gather("the memory", static_cast<int64_t>(own.peak));
}

/// How often to run is rank 0's choice.
Repetition together(Repetition repetition) {
  if (rt::parallel::Group *group = Ranks::group())
    repetition.agreed = [group](bool again) { return group->share("the runs", again) != 0; };
  return repetition;
}

/// Compile time, weights and memory: what does not depend on the mode. Collective.
void addCosts(report::Json &json, const Session &session,
              const std::optional<rt::cuda::DeviceReport> &device) {
  Memory use = memory();
  json["compile_seconds"] = session.compileSeconds();
  json["codegen_seconds"] = session.codegenSeconds();
  json["generated_kernels"] = session.generatedKernels();
  json["weight_bytes"] = session.weightBytes();
  json["memory"] = {{"peak", use.peak}, {"anonymous", use.anonymous}, {"file", use.file}};
  if (const auto all = peaks(use); !all.empty())
    json["ranks"] = {{"count", all.size()}, {"peaks", all}, {"layers", session.shardedLayers()}};
  if (device)
    json["device"] = deviceJson(*device);
}

void printCosts(const Session &session, const std::optional<rt::cuda::DeviceReport> &device) {
  Memory use = memory();
  std::cout << "compile     " << report::duration(session.compileSeconds());
  if (size_t kernels = session.generatedKernels())
    std::cout << ", of which " << report::duration(session.codegenSeconds()) << " for " << kernels
              << (kernels == 1 ? " generated kernel" : " generated kernels");
  std::cout << "\nweights     " << report::bytes(static_cast<double>(session.weightBytes()))
            << "\nmemory      " << report::bytes(static_cast<double>(use.peak)) << " peak; now "
            << report::bytes(static_cast<double>(use.anonymous)) << " allocated, "
            << report::bytes(static_cast<double>(use.file)) << " mapped files\n";
  if (const auto all = peaks(use); !all.empty()) {
    std::cout << "ranks       " << all.size() << ", which share " << session.shardedLayers()
              << (session.shardedLayers() == 1 ? " layer" : " layers") << "; peak memory";
    for (size_t r = 0; r < all.size(); ++r)
      std::cout << (r ? ", " : " ") << report::bytes(static_cast<double>(all[r]));
    std::cout << '\n';
  }
  if (device)
    std::cout << "device      " << rt::cuda::describe(*device) << '\n';
}

/// Time per kind of operation, per run.
report::Json kindsJson(const std::vector<KindTime> &kinds, int runs) {
  report::Json list = report::Json::array();
  double total = 0;
  for (const KindTime &kind : kinds)
    total += kind.seconds;
  for (const KindTime &kind : kinds)
    list.push_back({{"kind", kind.kind},
                    {"calls", kind.calls / runs},
                    {"seconds", kind.seconds / runs},
                    {"share", total > 0 ? kind.seconds / total : 0}});
  return list;
}

void printKinds(const report::Json &kinds) {
  report::Table table({"operation", ">calls", ">time", ">share"});
  int64_t calls = 0;
  double seconds = 0;
  for (const auto &kind : kinds) {
    table.row({kind["kind"].get<std::string>(), std::to_string(kind["calls"].get<int64_t>()),
               report::duration(kind["seconds"].get<double>()),
               report::percent(kind["share"].get<double>())});
    calls += kind["calls"].get<int64_t>();
    seconds += kind["seconds"].get<double>();
  }
  table.rule();
  table.row({"all", std::to_string(calls), report::duration(seconds)});
  table.print(std::cout);
}

int decode(const BenchArguments &arguments, Session &session, const InputOptions &options) {
  Decoder decoder(session, options);
  int64_t past = std::max<int64_t>(options.past, 1);
  std::vector<double> prefills, steps;
  const Repetition &wanted = arguments.repetition;
  timeDecoding(decoder, past, std::min<int64_t>(arguments.decode, 4), options.seed, options.tokens);
  // A decoding run is long: fewer of them suffice, and each gives many steps.
  for (int turn = 0; turn < std::min(wanted.runs, 3); ++turn) {
    DecodeTiming timing =
        timeDecoding(decoder, past, arguments.decode, options.seed + turn, options.tokens);
    prefills.push_back(timing.prefill);
    steps.insert(steps.end(), timing.steps.begin(), timing.steps.end());
  }
  const auto device = deviceOf(session);
  session.setProfiling(true);
  timeDecoding(decoder, past, 0, options.seed, options.tokens);
  session.setProfiling(true); // counts from here: the steps alone
  int profiled = static_cast<int>(std::min<int64_t>(arguments.decode, 8));
  // Continues the past that the prefill has just left.
  const std::vector<int64_t> &text = options.tokens;
  for (int64_t i = 0; i < profiled; ++i)
    decoder.run({text.empty() ? 0 : text[static_cast<size_t>(past + i) % text.size()]});
  report::Json kinds = kindsJson(session.profile(), profiled);
  session.setProfiling(false);
  Sample prefill(prefills), step(steps);
  if (arguments.common.json) {
    report::Json json = {{"model", arguments.model},
                         {"threads", rt::ThreadPool::global().threads()},
                         {"past", past},
                         {"prefill", latencyJson(prefill, past)},
                         {"decode", latencyJson(step, 1)}};
    addCosts(json, session, device);
    json["kinds"] = kinds;
    print(json);
    return 0;
  }
  std::cout << "threads     " << rt::ThreadPool::global().threads() << "\nprefill     " << past
            << " tokens: " << latencyText(prefill, past) << "\ndecode      " << latencyText(step, 1)
            << '\n';
  printCosts(session, device);
  std::cout << "\none token after " << past << ":\n";
  printKinds(kinds);
  return 0;
}

/// The next line of stdin, as rank 0 reads it: a word and a number, 1 if there is none. "quit" at
/// the end.
std::pair<std::string, int> nextRequest() {
  static const std::array<const char *, 5> known = {"", "run", "decode", "memory", "quit"};
  int64_t kind = 4, count = 1;
  if (std::string line; Ranks::first() && std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string request;
    if (words >> request)
      words >> count;
    kind = std::find(known.begin(), known.end(), request) - known.begin();
    kind = kind == static_cast<int64_t>(known.size()) ? 0 : kind;
  }
  if (rt::parallel::Group *group = Ranks::group()) {
    kind = group->share("a request", kind);
    count = group->share("a request's number", count);
  }
  return {known[static_cast<size_t>(kind)], static_cast<int>(count)};
}

/// Answers requests on stdin with one line of JSON each, so that a driver can take turns between
/// several programs without loading their models again.
int serve(const BenchArguments &arguments, Session &session, const InputOptions &options) {
  BoundInputs bound;
  if (arguments.decode == 0)
    bound = bindInputs(session, options);
  report::Json ready = {{"ready", true}, {"threads", rt::ThreadPool::global().threads()}};
  addCosts(ready, session, deviceOf(session));
  print(ready);
  std::unique_ptr<Decoder> decoder;
  for (;;) {
    auto [request, count] = nextRequest();
    if (request == "quit")
      break;
    if (request == "run" && arguments.decode == 0 && count > 0) {
      std::vector<double> times = repeat({0, count, 0, count}, [&] { session.run(bound.values); });
      print({{"latency", times}});
    } else if (request == "decode" && arguments.decode > 0) {
      if (!decoder)
        decoder = std::make_unique<Decoder>(session, options);
      DecodeTiming timing = timeDecoding(*decoder, std::max<int64_t>(options.past, 1),
                                         arguments.decode, options.seed, options.tokens);
      print({{"prefill", timing.prefill}, {"latency", timing.steps}});
    } else if (request == "memory") {
      report::Json json = report::Json::object();
      addCosts(json, session, deviceOf(session));
      print(json);
    } else {
      print({{"error",
              "expected 'run N' (without --decode), 'decode' (with it), 'memory' or 'quit'"}});
    }
  }
  return 0;
}

int executeBench(const BenchArguments &arguments) {
  InputOptions options = arguments.inputs.read();
  auto session = load(arguments.model, arguments.common);
  checkShared({session.get()});
  if (!arguments.tokens.empty())
    options.tokens = textOf(arguments.tokens, *session);
  if (arguments.serve)
    return serve(arguments, *session, options);
  if (arguments.decode > 0)
    return decode(arguments, *session, options);

  BoundInputs bound = bindInputs(*session, options);
  int64_t tokens = 0;
  if (int ids = inputOf(*session, Role::Ids); ids >= 0)
    tokens = bound.values[ids].tensor.size();
  Sample first(repeat({0, 1, 0, 1}, [&] { session->run(bound.values); }));
  Sample sample(repeat(together(arguments.repetition), [&] { session->run(bound.values); }));
  const auto device = deviceOf(*session);
  int profiled = std::clamp(arguments.repetition.runs, 1, 5);
  session->setProfiling(true);
  for (int i = 0; i < profiled; ++i)
    session->run(bound.values);
  report::Json kinds = kindsJson(session->profile(), profiled);
  session->setProfiling(false);

  if (arguments.common.json) {
    report::Json json = {{"model", arguments.model},
                         {"threads", rt::ThreadPool::global().threads()},
                         {"dims", dimsJson(bound)},
                         {"latency", latencyJson(sample, tokens)},
                         {"first_run_seconds", first.median()}};
    addCosts(json, *session, device);
    json["kinds"] = kinds;
    print(json);
    return 0;
  }
  if (!bound.dims.empty())
    std::cout << "dimensions  " << describeDims(bound) << '\n';
  std::cout << "threads     " << rt::ThreadPool::global().threads() << "\nlatency     "
            << latencyText(sample, tokens) << "\nfirst run   " << report::duration(first.median())
            << '\n';
  printCosts(*session, device);
  std::cout << '\n';
  printKinds(kinds);
  return 0;
}
} // namespace

void run::addBench(CLI::App &program, int &status) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App *command = program.add_subcommand(
      "bench", "Latency, throughput, compile time, memory, and time per kind of operation");
  command->add_option("model", arguments->model, "model file")->required();
  addInputs(*command, arguments->inputs);
  command->add_option("--tokens", arguments->tokens,
                      "text for the token ids, as .npy: a stream, or sentences padded with 0; "
                      "without, ids are random (what a routed model skips depends on them)");
  command->add_option("--warmup", arguments->repetition.warmup, "runs before counting")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  command->add_option("--runs", arguments->repetition.runs, "counted runs at least")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command
      ->add_option("--min-time", arguments->repetition.seconds, "seconds of counted runs at least")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--decode", arguments->decode,
                   "time a decoder: a prefill of --past tokens, then this many one by one")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--serve", arguments->serve,
                    "answer lines on stdin, each with a line of JSON: run N, decode, memory, quit");
  addCommon(*command, arguments->common);
  command->footer("Example: uoe-run bench model.onnx --batch 8 --seq 128\n"
                  "         uoe-run bench decoder.onnx --past 128 --decode 64 --tokens text.npy");
  command->callback([arguments, &status] { status = executeBench(*arguments); });
}
