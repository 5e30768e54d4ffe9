#include "Perplexity.h"
#include "Metrics.h"
#include "lib/Report/Number.h"
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

namespace uoe {

namespace {
/// One position: what the model says, and the reference.
struct Score {
  double loss = 0, referenceLoss = 0, divergence = 0;
  bool agree = false;
};

/// Row `index` as float; in place where the logits are float already.
const float *rowOf(const rt::Tensor &logits, int64_t index, std::vector<float> &buffer) {
  int64_t width = logits.dim(2);
  if (logits.dtype() == rt::DType::F32)
    return logits.data<float>() + index * width;
  buffer.resize(static_cast<size_t>(width));
  readNumbers(logits, index * width, width, buffer.data());
  return buffer.data();
}

std::vector<std::vector<int64_t>> cut(const TokenFile &tokens, const PerplexityOptions &options) {
  std::vector<std::vector<int64_t>> windows;
  auto full = [&] {
    return options.windows > 0 && static_cast<int64_t>(windows.size()) >= options.windows;
  };
  for (const auto &sentence : tokens.sentences) {
    if (!tokens.stream) {
      if (sentence.size() > 1 && !full())
        windows.emplace_back(sentence.begin(),
                             sentence.begin() + std::min<int64_t>(sentence.size(), options.window));
      continue;
    }
    for (size_t at = 0; at + options.window <= sentence.size() && !full(); at += options.window)
      windows.emplace_back(sentence.begin() + at, sentence.begin() + at + options.window);
  }
  return windows;
}
/// Logits of a whole window, which the decoder takes `chunk` tokens at a time.
rt::Tensor runWindow(Decoder &decoder, const std::vector<int64_t> &window, int64_t chunk) {
  decoder.reset();
  int64_t count = static_cast<int64_t>(window.size());
  if (chunk <= 0 || chunk >= count)
    return decoder.run(window);
  rt::check(decoder.cached(),
            "the model has no inputs for past keys and values: it takes whole windows");
  rt::Tensor all;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    int64_t end = std::min(count, begin + chunk);
    const rt::Tensor &part = decoder.run({window.begin() + begin, window.begin() + end});
    rt::check(part.dim(1) == end - begin, "the model gives logits for ", part.dim(1), " of ",
              end - begin, " positions; perplexity needs all");
    if (begin == 0)
      all = rt::Tensor(part.dtype(), {1, count, part.dim(2)});
    size_t row = part.bytes() / static_cast<size_t>(end - begin);
    std::memcpy(all.data<char>() + row * static_cast<size_t>(begin), part.raw(), part.bytes());
  }
  return all;
}
} // namespace

Perplexity perplexity(Decoder &model, Decoder *reference, const TokenFile &tokens,
                      const PerplexityOptions &options) {
  rt::check(options.window > 1, "a window has at least 2 tokens");
  auto windows = cut(tokens, options);
  rt::check(!windows.empty(), "the token file does not hold a whole window of ", options.window,
            " tokens");
  Perplexity result;
  result.compared = reference != nullptr;
  report::Progress progress("windows", static_cast<int64_t>(windows.size()));
  for (const auto &window : windows) {
    int64_t count = static_cast<int64_t>(window.size()) - 1;
    auto begin = std::chrono::steady_clock::now();
    rt::Tensor logits = runWindow(model, window, options.chunk);
    result.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    rt::Tensor theirs = reference ? runWindow(*reference, window, 0) : rt::Tensor();
    const rt::Tensor *other = reference ? &theirs : nullptr;
    for (const rt::Tensor *tensor : {static_cast<const rt::Tensor *>(&logits), other}) {
      if (!tensor)
        continue;
      rt::check(tensor->dim(1) == count + 1, "the model gives logits for ", tensor->dim(1), " of ",
                count + 1, " positions; perplexity needs all");
      int64_t largest = *std::max_element(window.begin(), window.end());
      rt::check(largest < tensor->dim(2), "token id ", largest, " is beyond the ", tensor->dim(2),
                " logits of a position");
    }
    rt::check(!other || other->dim(2) == logits.dim(2), "the model has a vocabulary of ",
              logits.dim(2), ", the reference one of ", other ? other->dim(2) : 0);

    std::vector<Score> scores(static_cast<size_t>(count));
    int64_t width = logits.dim(2);
    rt::ThreadPool::global().parallelFor(count, 8, [&](int64_t first, int64_t last) {
      std::vector<float> buffer, otherBuffer;
      for (int64_t i = first; i < last; ++i) {
        Score &score = scores[static_cast<size_t>(i)];
        int64_t next = window[static_cast<size_t>(i + 1)];
        const float *row = rowOf(logits, i, buffer);
        score.loss = logSumExp(row, width) - row[next];
        if (!other)
          continue;
        const float *expected = rowOf(*other, i, otherBuffer);
        score.referenceLoss = logSumExp(expected, width) - expected[next];
        score.divergence = divergence(expected, row, width);
        score.agree = argmax(row, width) == argmax(expected, width);
      }
    });
    for (const Score &score : scores) {
      result.loss += score.loss;
      result.referenceLoss += score.referenceLoss;
      result.divergence += score.divergence;
      result.agreement += score.agree;
    }
    result.predictions += count;
    ++result.windows;
    progress.step(1, "perplexity " + report::number(std::exp(
                                         result.loss / static_cast<double>(result.predictions))));
  }
  model.reset();
  if (reference)
    reference->reset();
  double all = static_cast<double>(result.predictions);
  result.loss /= all;
  result.referenceLoss /= all;
  result.divergence /= all;
  result.agreement /= all;
  return result;
}

} // namespace uoe
