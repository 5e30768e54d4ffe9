#include "Embedding.h"
#include "Metrics.h"
#include "Ports.h"
#include "Statistics.h"
#include "lib/Report/Progress.h"
#include <algorithm>
#include <chrono>

namespace uoe {

std::vector<float> embed(Session &session, const std::vector<std::vector<int64_t>> &sentences,
                         int64_t &width) {
  int ids = inputOf(session, Role::Ids), hidden = hiddenOf(session);
  rt::check(ids >= 0, "the model is no encoder of text: it has no input of token ids");
  rt::check(hidden >= 0, "the model has no output of hidden states");
  int64_t batch = static_cast<int64_t>(sentences.size()), length = 0;
  for (const auto &sentence : sentences)
    length = std::max(length, static_cast<int64_t>(sentence.size()));
  std::vector<int64_t> tokens(static_cast<size_t>(batch * length), 0), mask(tokens.size(), 0);
  for (int64_t row = 0; row < batch; ++row)
    for (size_t i = 0; i < sentences[row].size(); ++i) {
      tokens[row * length + i] = sentences[row][i];
      mask[row * length + i] = sentences[row][i] != 0;
    }
  InputOptions options;
  const auto &ports = session.inputs();
  for (size_t i = 0; i < ports.size(); ++i) {
    Role role = roleOf(ports[i]);
    auto give = [&](const std::vector<int64_t> &values) {
      options.given[ports[i].name] =
          rt::Value(integerTensor(ports[i].dtype, {batch, length}, values));
    };
    if (static_cast<int>(i) == ids)
      give(tokens);
    else if (role == Role::Mask && ports[i].dims.size() == 2 && !isFloat(ports[i].dtype))
      give(mask);
    else if (role == Role::TokenTypes)
      give(std::vector<int64_t>(tokens.size(), 0));
  }
  std::vector<rt::Value> results = session.run(bindInputs(session, options).values);
  const rt::Tensor &states = results[hidden].tensor;
  const std::string &name = session.outputs()[hidden].name;
  rt::check(results[hidden].kind == rt::Value::Kind::Tensor && states.rank() >= 2 &&
                states.dim(0) == batch &&
                (states.rank() == 2 || (states.rank() == 3 && states.dim(1) == length)),
            "output '", name, "': expected hidden states [", batch, ",", length, ",width], found ",
            rt::describe(states));
  width = states.dim(-1);
  std::vector<float> pooled(static_cast<size_t>(batch * width), 0);
  if (states.rank() == 2) {
    readNumbers(states, 0, states.size(), pooled.data());
    return pooled;
  }
  std::vector<float> row(static_cast<size_t>(width));
  std::vector<double> sum(static_cast<size_t>(width));
  for (int64_t b = 0; b < batch; ++b) {
    std::fill(sum.begin(), sum.end(), 0);
    int64_t count = 0;
    for (int64_t t = 0; t < length; ++t) {
      if (!mask[b * length + t])
        continue;
      readNumbers(states, (b * length + t) * width, width, row.data());
      for (int64_t i = 0; i < width; ++i)
        sum[i] += row[i];
      ++count;
    }
    for (int64_t i = 0; i < width; ++i)
      pooled[b * width + i] = static_cast<float>(sum[i] / static_cast<double>(count));
  }
  return pooled;
}

EmbeddingAgreement compareEmbeddings(Session &model, Session &reference, const TokenFile &tokens,
                                     const EmbeddingOptions &options) {
  std::vector<std::vector<int64_t>> sentences;
  for (const auto &sentence : tokens.sentences)
    if (std::any_of(sentence.begin(), sentence.end(), [](int64_t id) { return id != 0; }) &&
        (options.sentences <= 0 || static_cast<int64_t>(sentences.size()) < options.sentences))
      sentences.push_back(sentence);
  rt::check(!sentences.empty(), "the token file holds no sentence");
  EmbeddingAgreement result;
  std::vector<double> cosines;
  report::Progress progress("sentences", static_cast<int64_t>(sentences.size()));
  for (size_t begin = 0; begin < sentences.size(); begin += options.batch) {
    size_t end = std::min(sentences.size(), begin + static_cast<size_t>(options.batch));
    std::vector<std::vector<int64_t>> batch(sentences.begin() + begin, sentences.begin() + end);
    int64_t width = 0, otherWidth = 0;
    auto start = std::chrono::steady_clock::now();
    std::vector<float> ours = embed(model, batch, width);
    result.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::vector<float> theirs = embed(reference, batch, otherWidth);
    rt::check(width == otherWidth, "the model's embeddings have ", width,
              " dimensions, the reference's ", otherWidth);
    for (size_t i = 0; i < batch.size(); ++i) {
      cosines.push_back(cosine(&ours[i * width], &theirs[i * width], width));
      result.tokens += static_cast<int64_t>(batch[i].size());
    }
    progress.step(static_cast<int64_t>(batch.size()));
  }
  Sample sample(cosines);
  result.sentences = static_cast<int64_t>(cosines.size());
  result.mean = sample.mean();
  result.min = sample.min();
  result.fifth = sample.quantile(0.05);
  return result;
}

} // namespace uoe
