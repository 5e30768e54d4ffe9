#include "lib/Evaluation/Samples.h"
#include "lib/Evaluation/Inputs.h"
#include "lib/Evaluation/Metrics.h"
#include "lib/Evaluation/Ports.h"
#include "lib/TensorIO/Npy.h"
#include <algorithm>
#include <cstring>

namespace uoe {
using rt::DType;

Samples::Samples(std::string path) : file(std::move(path)) {
  bool archive = file.size() > 4 && file.compare(file.size() - 4, 4, ".npz") == 0;
  if (archive) {
    arrays = readNpz(file);
  } else {
    rt::Tensor tensor = readNpy(file);
    text = !isFloat(tensor.dtype());
    if (text) {
      tokens = readTokens(file);
      return;
    }
    arrays.emplace_back("", std::move(tensor));
  }
  rt::check(!arrays.empty(), "'", file, "' holds no arrays");
  for (const auto &[name, tensor] : arrays) {
    rt::check(tensor.rank() > 0 && tensor.dim(0) > 0, "'", file, "' holds no samples",
              name.empty() ? "" : " for '" + name + "'", ": its shape is ",
              rt::toString(tensor.shape()));
    rt::check(tensor.dim(0) == arrays.front().second.dim(0), "'", file, "' holds ",
              arrays.front().second.dim(0), " samples for '", arrays.front().first, "' and ",
              tensor.dim(0), " for '", name, "'");
  }
}

static std::vector<std::vector<int64_t>> windowsOf(const TokenFile &file, int64_t tokens,
                                                   int64_t window) {
  std::vector<std::vector<int64_t>> windows;
  if (file.stream) {
    const std::vector<int64_t> &ids = file.sentences.front();
    int64_t length = static_cast<int64_t>(ids.size());
    window = std::min(window, length);
    int64_t count =
        window > 0 ? std::min((tokens + window - 1) / window, length / window) : int64_t{0};
    for (int64_t i = 0; i < count; ++i) {
      auto begin = ids.begin() + (count > 1 ? i * (length - window) / (count - 1) : 0);
      windows.emplace_back(begin, begin + window);
    }
    return windows;
  }
  int64_t total = 0, taken = 0;
  for (const auto &sentence : file.sentences)
    total += static_cast<int64_t>(sentence.size());
  // Slightly too dense, so that sentences of uneven length still give enough.
  double stride = std::max(1.0, 0.9 * static_cast<double>(total) /
                                    static_cast<double>(std::max<int64_t>(tokens, 1)));
  for (double at = 0; at < static_cast<double>(file.sentences.size()) && taken < tokens;
       at += stride) {
    const auto &sentence = file.sentences[static_cast<size_t>(at)];
    taken += static_cast<int64_t>(sentence.size());
    if (!sentence.empty())
      windows.push_back(sentence);
  }
  return windows;
}

// 0 to n-1 by their reversed bits (van der Corput): every beginning is spread over all.
static std::vector<int64_t> spread(int64_t n) {
  int bits = 0;
  while ((int64_t{1} << bits) < n)
    ++bits;
  std::vector<int64_t> order;
  for (int64_t i = 0; i < int64_t{1} << bits; ++i) {
    int64_t reversed = 0;
    for (int bit = 0; bit < bits; ++bit)
      reversed |= (i >> bit & 1) << (bits - 1 - bit);
    if (reversed < n)
      order.push_back(reversed);
  }
  return order;
}

std::vector<Samples::Run> Samples::runs(int64_t count, int64_t window, int64_t most) const {
  std::vector<Run> result;
  if (text) {
    for (auto &ids : windowsOf(tokens, count, window))
      result.push_back({std::move(ids), -1});
    return result;
  }
  for (int64_t index : spread(arrays.front().second.dim(0)))
    if (static_cast<int64_t>(result.size()) < most)
      result.push_back({{}, index});
  return result;
}

int64_t Samples::rowsOf(const std::vector<Run> &runs) {
  int64_t rows = 0;
  for (const Run &run : runs) {
    if (run.index >= 0)
      return -1;
    rows += static_cast<int64_t>(run.window.size());
  }
  return rows;
}

// The input that an array without a name is for.
static const PortInfo &soleFloatInput(const Session &session, const std::string &file) {
  const PortInfo *found = nullptr;
  std::string names;
  int count = 0;
  for (const PortInfo &port : session.inputs())
    if (isFloat(port.dtype) && roleOf(port) == Role::Other) {
      names += (found ? ", '" : "'") + port.name + "'";
      found = &port;
      ++count;
    }
  rt::check(found, "'", file, "' holds floats, and the model has no input of floats");
  rt::check(count == 1, "'", file,
            "' holds floats for one input, and the model has several: ", names,
            "; give them by name in a .npz file");
  return *found;
}

std::map<std::string, rt::Value> Samples::given(const Session &session, const Run &run) const {
  std::map<std::string, rt::Value> inputs;
  if (text) {
    int ids = inputOf(session, Role::Ids);
    rt::check(ids >= 0, "the model has no input of token ids for '", file,
              "'; give other inputs as floats or by name in a .npz file");
    const PortInfo &port = session.inputs()[ids];
    inputs[port.name] =
        integerTensor(port.dtype, {1, static_cast<int64_t>(run.window.size())}, run.window);
    return inputs;
  }
  for (const auto &[name, all] : arrays) {
    const PortInfo *port = nullptr;
    if (name.empty())
      port = &soleFloatInput(session, file);
    for (const PortInfo &candidate : session.inputs())
      if (candidate.name == name)
        port = &candidate;
    rt::check(port, "the model has no input '", name, "', for which '", file, "' holds an array");
    bool ranked = port->ranked && port->dtype != DType::None;
    rt::check(!ranked || (port->dtype == all.dtype() &&
                          static_cast<int64_t>(port->dims.size()) == all.rank()),
              "'", file, "' holds ", rt::describe(all), " for input '", port->name,
              "', which takes ", rt::nameOf(port->dtype), " of rank ", port->dims.size());
    rt::Shape shape = all.shape();
    shape[0] = 1;
    rt::Tensor one(all.dtype(), shape);
    rt::check(one.bytes() * static_cast<size_t>(all.dim(0)) == all.bytes(), "'", file,
              "' holds elements that are no whole bytes");
    std::memcpy(one.raw(), static_cast<const char *>(all.raw()) + run.index * one.bytes(),
                one.bytes());
    inputs[port->name] = std::move(one);
  }
  return inputs;
}

void Samples::check(const Session &session) const {
  if (text) {
    int ids = inputOf(session, Role::Ids);
    if (ids >= 0)
      checkTokens(tokens, file, vocabularyOf(session.program(), session.program().inputSlots[ids]));
    given(session, {});
  } else {
    given(session, {{}, 0});
  }
}

} // namespace uoe
