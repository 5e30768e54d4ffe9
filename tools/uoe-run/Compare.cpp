// uoe-run compare: two models on the same inputs.
#include "Common.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Report/Table.h"
#include <algorithm>
#include <cmath>
#include <iostream>

using namespace uoe;
using namespace uoe::run;

namespace {
struct CompareArguments {
  Common common;
  InputArguments inputs;
  std::string first, second;
  int runs = 1;
  double tolerance = 0;
};

/// What was found for one output over all runs.
struct Comparison {
  std::string name, mismatch;
  double maxAbs = 0, relative = 0, cosine = 0, agreement = 0;
  int rows = 0; // runs that the two means are over
};

/// Indices of the outputs of both that belong together: by name, or by order if no name is shared.
std::vector<std::pair<size_t, size_t>> pairOutputs(const Session &a, const Session &b) {
  std::vector<std::pair<size_t, size_t>> pairs;
  for (size_t i = 0; i < a.outputs().size(); ++i)
    for (size_t k = 0; k < b.outputs().size(); ++k)
      if (a.outputs()[i].name == b.outputs()[k].name)
        pairs.push_back({i, k});
  if (pairs.empty() && a.outputs().size() == b.outputs().size())
    for (size_t i = 0; i < a.outputs().size(); ++i)
      pairs.push_back({i, i});
  rt::check(!pairs.empty(), "the models have no output in common");
  return pairs;
}

/// The inputs of `session` from those of another model; what that lacks is generated.
std::vector<rt::Value> transfer(const Session &from, const BoundInputs &bound,
                                const Session &session, InputOptions options) {
  options.given.clear();
  options.dims.clear();
  for (const PortInfo &port : session.inputs())
    for (size_t i = 0; i < from.inputs().size(); ++i)
      if (from.inputs()[i].name == port.name && bound.values[i])
        options.given[port.name] = bound.values[i];
  for (const PortInfo &port : session.inputs())
    for (const std::string &name : port.dimNames)
      if (auto known = bound.dims.find(name); known != bound.dims.end())
        options.dims.insert(*known);
  return bindInputs(session, options).values;
}

void add(Comparison &row, const rt::Value &a, const rt::Value &b) {
  Difference found = difference(a, b);
  if (!found.mismatch.empty()) {
    row.mismatch = found.mismatch;
    return;
  }
  row.maxAbs = std::max(row.maxAbs, found.maxAbs);
  row.relative = std::max(row.relative, found.relative());
  if (a.kind == rt::Value::Kind::Tensor && a.tensor.size() > 0) {
    row.cosine += meanCosine(a.tensor, b.tensor);
    row.agreement += argmaxAgreement(a.tensor, b.tensor);
    ++row.rows;
  }
}

int executeCompare(const CompareArguments &arguments) {
  InputOptions options = arguments.inputs.read();
  auto a = load(arguments.first, arguments.common);
  auto b = load(arguments.second, arguments.common);
  checkShared({a.get(), b.get()});
  auto pairs = pairOutputs(*a, *b);
  std::vector<Comparison> rows;
  for (auto [i, k] : pairs)
    rows.push_back({a->outputs()[i].name, "", 0, 0, 0, 0, 0});
  BoundInputs bound;
  for (int turn = 0; turn < arguments.runs; ++turn, ++options.seed) {
    bound = bindInputs(*a, options);
    std::vector<rt::Value> theirs = transfer(*a, bound, *b, options);
    std::vector<rt::Value> left = a->run(bound.values), right = b->run(theirs);
    for (size_t n = 0; n < pairs.size(); ++n)
      add(rows[n], left[pairs[n].first], right[pairs[n].second]);
  }

  bool within = true;
  report::Table table({"output", ">max abs", ">relative", ">cosine", ">same argmax"});
  report::Json list = report::Json::array();
  for (const Comparison &row : rows) {
    double cosine = row.rows ? row.cosine / row.rows : std::nan("");
    double agreement = row.rows ? row.agreement / row.rows : std::nan("");
    within &=
        row.mismatch.empty() && (arguments.tolerance <= 0 || row.relative <= arguments.tolerance);
    report::Json one = {{"name", row.name}};
    if (row.mismatch.empty()) {
      table.row({row.name, report::number(row.maxAbs, 3), report::number(row.relative, 3),
                 report::number(cosine, 7), report::percent(agreement, 2)});
      one["max_abs"] = report::json(row.maxAbs);
      one["relative"] = report::json(row.relative);
      one["cosine"] = report::json(cosine);
      one["argmax_agreement"] = report::json(agreement);
    } else {
      table.row({row.name, row.mismatch});
      one["mismatch"] = row.mismatch;
    }
    list.push_back(one);
  }
  if (arguments.common.json) {
    print({{"first", arguments.first},
           {"second", arguments.second},
           {"dims", dimsJson(bound)},
           {"runs", arguments.runs},
           {"within_tolerance", within},
           {"outputs", list}});
  } else {
    if (!bound.dims.empty())
      std::cout << "dimensions: " << describeDims(bound) << '\n';
    table.print(std::cout);
    if (!within)
      std::cout << "the outputs differ"
                << (arguments.tolerance > 0 ? " by more than " + report::number(arguments.tolerance)
                                            : std::string(" in type or shape"))
                << '\n';
  }
  return within ? 0 : 1;
}
} // namespace

void run::addCompare(CLI::App &program, int &status) {
  auto arguments = std::make_shared<CompareArguments>();
  CLI::App *command = program.add_subcommand("compare", "Run two models on the same inputs");
  command->add_option("first", arguments->first, "model whose outputs are the reference")
      ->required();
  command->add_option("second", arguments->second, "model that is compared with it")->required();
  addInputs(*command, arguments->inputs);
  command->add_option("--runs", arguments->runs, "runs, each on inputs of its own seed")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command
      ->add_option(
          "--tolerance", arguments->tolerance,
          "exit with status 1 if an error, relative to the output's largest magnitude, is above")
      ->check(CLI::PositiveNumber);
  addCommon(*command, arguments->common);
  command->footer("Example: uoe-run compare dense.onnx moe.onnx --seq 128 --tolerance 1e-4");
  command->callback([arguments, &status] { status = executeCompare(*arguments); });
}
