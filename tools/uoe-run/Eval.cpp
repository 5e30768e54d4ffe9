// uoe-run eval: the quality of a model on text.
#include "Common.h"
#include "lib/Evaluation/Embedding.h"
#include "lib/Evaluation/Perplexity.h"
#include "lib/Report/Table.h"
#include <cmath>
#include <iostream>

using namespace uoe;
using namespace uoe::run;

namespace {
struct EvalArguments {
  Common common;
  std::string model, reference, tokens, kind = "auto";
  PerplexityOptions perplexity;
  EmbeddingOptions embedding;
  std::vector<std::string> dims;
};

/// Rows of two columns: what, value.
void printRows(const std::vector<std::pair<std::string, std::string>> &rows) {
  size_t width = 0;
  for (const auto &[what, value] : rows)
    width = std::max(width, what.size());
  for (const auto &[what, value] : rows)
    std::cout << what << std::string(width - what.size() + 2, ' ') << value << '\n';
}

int decoder(const EvalArguments &arguments, Session &session, Session *reference,
            const TokenFile &tokens) {
  InputArguments dims;
  dims.dims = arguments.dims;
  InputOptions options = dims.read();
  Decoder model(session, options);
  checkTokens(tokens, arguments.tokens, model.vocabulary());
  std::unique_ptr<Decoder> other;
  if (reference)
    other = std::make_unique<Decoder>(*reference, options);
  Perplexity result = perplexity(model, other.get(), tokens, arguments.perplexity);
  double speed = static_cast<double>(result.predictions + result.windows) / result.seconds;
  if (arguments.common.json) {
    report::Json json = {
        {"model", arguments.model},          {"kind", "decoder"},
        {"windows", result.windows},         {"predictions", result.predictions},
        {"loss", report::json(result.loss)}, {"perplexity", report::json(std::exp(result.loss))},
        {"seconds", result.seconds},         {"tokens_per_second", speed}};
    if (result.compared) {
      json["reference"] = arguments.reference;
      json["reference_perplexity"] = report::json(std::exp(result.referenceLoss));
      json["kl_divergence"] = report::json(result.divergence);
      json["top1_agreement"] = report::json(result.agreement);
    }
    print(json);
    return 0;
  }
  std::vector<std::pair<std::string, std::string>> rows = {
      {"perplexity", report::number(std::exp(result.loss), 6)},
      {"loss", report::number(result.loss, 6) + " nats a token"},
      {"scored", report::count(result.predictions) + " tokens in " + report::count(result.windows) +
                     " windows"},
      {"time",
       report::duration(result.seconds) + ", " + report::number(speed, 4) + " tokens a second"}};
  if (result.compared) {
    double ratio = std::exp(result.loss - result.referenceLoss);
    rows.push_back({"reference", report::number(std::exp(result.referenceLoss), 6) + " (" +
                                     (ratio >= 1 ? "+" : "") + report::percent(ratio - 1, 2) +
                                     " here)"});
    rows.push_back({"KL divergence", report::number(result.divergence) + " nats a token"});
    rows.push_back({"same top token", report::percent(result.agreement, 2)});
  }
  printRows(rows);
  return 0;
}

int encoder(const EvalArguments &arguments, Session &session, Session &reference,
            const TokenFile &tokens) {
  int ids = inputOf(session, Role::Ids);
  if (ids >= 0)
    checkTokens(tokens, arguments.tokens,
                vocabularyOf(session.program(), session.program().inputSlots[ids]));
  EmbeddingAgreement result = compareEmbeddings(session, reference, tokens, arguments.embedding);
  double speed = static_cast<double>(result.tokens) / result.seconds;
  if (arguments.common.json) {
    print({{"model", arguments.model},
           {"kind", "encoder"},
           {"reference", arguments.reference},
           {"sentences", result.sentences},
           {"tokens", result.tokens},
           {"mean_cosine", report::json(result.mean)},
           {"min_cosine", report::json(result.min)},
           {"p5_cosine", report::json(result.fifth)},
           {"seconds", result.seconds},
           {"tokens_per_second", speed}});
    return 0;
  }
  printRows({{"mean cosine", report::number(result.mean, 6)},
             {"5th percentile", report::number(result.fifth, 6)},
             {"least", report::number(result.min, 6)},
             {"compared", report::count(result.sentences) + " sentence embeddings, " +
                              report::count(result.tokens) + " tokens"},
             {"time", report::duration(result.seconds) + ", " + report::number(speed, 4) +
                          " tokens a second"}});
  return 0;
}

int executeEval(const EvalArguments &arguments) {
  TokenFile tokens = readTokens(arguments.tokens);
  auto session = load(arguments.model, arguments.common);
  std::unique_ptr<Session> reference;
  if (!arguments.reference.empty())
    reference = load(arguments.reference, arguments.common);
  checkShared({session.get(), reference.get()});
  std::string kind = arguments.kind;
  if (kind == "auto") {
    // What scores tokens is taken for a decoder; a masked language model needs --kind encoder.
    int ids = inputOf(*session, Role::Ids);
    int64_t vocabulary =
        ids < 0 ? -1 : vocabularyOf(session->program(), session->program().inputSlots[ids]);
    kind = logitsOf(*session, vocabulary) >= 0 ? "decoder" : "encoder";
  }
  if (kind == "decoder")
    return decoder(arguments, *session, reference.get(), tokens);
  rt::check(reference != nullptr,
            "an encoder is evaluated against another: give --reference MODEL");
  rt::check(!tokens.stream, "'", arguments.tokens,
            "' is one stream of tokens; an encoder needs sentences (rank 2)");
  return encoder(arguments, *session, *reference, tokens);
}
} // namespace

void run::addEval(CLI::App &program, int &status) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App *command = program.add_subcommand(
      "eval", "Perplexity of a decoder; sentence embeddings of an encoder against a reference");
  command->add_option("model", arguments->model, "model file")->required();
  command
      ->add_option(
          "--tokens", arguments->tokens,
          "token ids as .npy of an integer type: one stream (rank 1), or sentences padded with 0")
      ->required();
  command->add_option(
      "--reference", arguments->reference,
      "model to compare with: KL divergence and agreement, or cosine of embeddings");
  command->add_option("--kind", arguments->kind, "what the model is")
      ->check(CLI::IsMember({"auto", "decoder", "encoder"}))
      ->capture_default_str();
  command->add_option("--window", arguments->perplexity.window, "tokens of a window")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command
      ->add_option("--windows,--max-windows", arguments->perplexity.windows,
                   "windows at most; 0: all of the file")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--chunk", arguments->perplexity.chunk,
                   "tokens that a decoder takes at a time, with its cache; 0: whole windows")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--sentences", arguments->embedding.sentences, "sentences at most; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--batch", arguments->embedding.batch, "sentences run at once")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--dim", arguments->dims, "size of a symbolic dimension: NAME=SIZE");
  addCommon(*command, arguments->common);
  command->footer(
      "Example: uoe-run eval decoder.onnx --tokens text.npy --window 1024 --windows 16\n"
      "         uoe-run eval moe.onnx --reference dense.onnx --tokens sentences.npy");
  command->callback([arguments, &status] { status = executeEval(*arguments); });
}
