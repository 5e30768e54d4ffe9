#include "Ports.h"
#include "llvm/ADT/StringRef.h"
#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>

namespace uoe {

static bool isInteger(rt::DType type) {
  return type == rt::DType::I64 || type == rt::DType::I32 || type == rt::DType::I16 ||
         type == rt::DType::U16 || type == rt::DType::U32 || type == rt::DType::U64;
}

Role roleOf(const PortInfo &port) {
  std::string name = llvm::StringRef(port.name).lower();
  auto has = [&](const char *part) { return name.find(part) != std::string::npos; };
  if (has("use_cache"))
    return Role::CacheSwitch;
  if (has("mask"))
    return Role::Mask;
  if (isInteger(port.dtype)) {
    if (has("seqlens_k") || has("past_lens"))
      return Role::PastLengths;
    if (has("total_seq"))
      return Role::TotalLength;
    if (has("position"))
      return Role::Positions;
    if (has("token_type") || has("segment"))
      return Role::TokenTypes;
    if (has("ids") || has("tokens") || name == "input" || name == "inputs")
      return Role::Ids;
    return Role::Other;
  }
  if (has("past") && port.dims.size() >= 3)
    return Role::Past;
  return Role::Other;
}

int inputOf(const Session &session, Role role) {
  const auto &inputs = session.inputs();
  for (size_t i = 0; i < inputs.size(); ++i)
    if (roleOf(inputs[i]) == role)
      return static_cast<int>(i);
  return -1;
}

int logitsOf(const Session &session, int64_t vocabulary) {
  const auto &outputs = session.outputs();
  int found = -1;
  for (size_t i = outputs.size(); i-- > 0;) {
    if (llvm::StringRef(outputs[i].name).lower() == "logits")
      return static_cast<int>(i);
    if (outputs[i].dims.size() == 3 && outputs[i].dims[2] > 0 && outputs[i].dims[2] == vocabulary)
      found = static_cast<int>(i);
  }
  return found;
}

int hiddenOf(const Session &session) {
  const auto &outputs = session.outputs();
  auto first = [&](auto &&accept) {
    for (size_t i = 0; i < outputs.size(); ++i)
      if (accept(outputs[i]))
        return static_cast<int>(i);
    return -1;
  };
  for (const char *name : {"sentence_embedding", "last_hidden_state", "token_embeddings"})
    if (int found = first([&](const PortInfo &port) { return port.name == name; }); found >= 0)
      return found;
  for (size_t rank : {3, 2})
    if (int found = first([&](const PortInfo &port) { return port.dims.size() == rank; });
        found >= 0)
      return found;
  return first([](const PortInfo &port) { return !port.ranked; });
}

/// What is left of a cache port's name without the words that say past or present.
static std::string cacheKey(std::string name) {
  name = llvm::StringRef(name).lower();
  for (const char *word : {"past_key_values", "present_key_values", "past", "present"})
    if (size_t at = name.find(word); at != std::string::npos) {
      name.erase(at, std::string(word).size());
      break;
    }
  name.erase(0, name.find_first_not_of("._/") == std::string::npos ? name.size()
                                                                   : name.find_first_not_of("._/"));
  return name;
}

std::vector<CachePair> cachePairs(const Session &session) {
  std::vector<CachePair> pairs;
  const auto &inputs = session.inputs(), &outputs = session.outputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (roleOf(inputs[i]) != Role::Past)
      continue;
    std::string key = cacheKey(inputs[i].name);
    int present = -1;
    for (size_t o = 0; o < outputs.size() && present < 0; ++o)
      if (llvm::StringRef(outputs[o].name).lower().find("present") != std::string::npos &&
          cacheKey(outputs[o].name) == key)
        present = static_cast<int>(o);
    rt::check(present >= 0, "no output continues the past in input '", inputs[i].name, "'");
    pairs.push_back({static_cast<int>(i), present, key.find("encoder") != std::string::npos});
  }
  return pairs;
}

namespace {
/// Follows values through operators that keep their elements.
bool keepsElements(const std::string &op) {
  static const std::set<std::string> ops = {"Cast",    "Identity", "Reshape", "Unsqueeze",
                                            "Squeeze", "Flatten",  "Clip",    "Expand"};
  return ops.count(op) != 0;
}

void lookUp(const rt::Program &program, int slot, int depth, int64_t &bound) {
  if (slot < 0 || depth > 16)
    return;
  auto table = [&](const rt::Program::Step &step, size_t input, int64_t axis) {
    const rt::Tensor *data =
        input < step.node.constants.size() ? step.node.constants[input] : nullptr;
    if (data && data->rank() && axis >= -data->rank() && axis < data->rank())
      bound = bound < 0 ? data->dim(axis) : std::min(bound, data->dim(axis));
  };
  for (const rt::Program::Step &step : program.steps) {
    const std::string &op = step.node.op;
    for (const auto &[key, attribute] : step.node.attributes)
      if (auto inner = std::get_if<std::shared_ptr<const rt::Program>>(&attribute); inner && *inner)
        for (auto [here, there] : (*inner)->captures)
          if (there == slot)
            lookUp(**inner, here, depth + 1, bound);
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (step.inputs[i] != slot)
        continue;
      if (op == "Gather" && i == 1)
        table(step, 0, step.node.integer("axis", 0));
      else if (op == "GatherBlockQuantized" && i == 1)
        table(step, 0, step.node.integer("gather_axis", 0));
      else if (op == "EmbedLayerNormalization" && i < 2)
        table(step, 2 + 2 * i, 0); // word embeddings, segment embeddings
      else if (i == 0 && keepsElements(op) && !step.outputs.empty())
        lookUp(program, step.outputs[0], depth + 1, bound);
    }
  }
}

/// Columns of the weight that computes a slot, through element-wise steps.
int64_t columnsOf(const rt::Program &program, int slot) {
  for (int depth = 0; depth < 8; ++depth) {
    auto producer = std::find_if(program.steps.begin(), program.steps.end(), [&](const auto &step) {
      return std::find(step.outputs.begin(), step.outputs.end(), slot) != step.outputs.end();
    });
    if (producer == program.steps.end())
      return -1;
    const rt::Node &node = producer->node;
    if (node.has("N"))
      return node.integer("N", -1);
    for (size_t i = 1; i < node.constants.size(); ++i)
      if (const rt::Tensor *weight = node.constants[i]; weight && weight->rank() == 2)
        return node.integer("transB", 0) ? weight->dim(0) : weight->dim(1);
    // An addition's other operand may be the constant one.
    slot = -1;
    for (size_t i = 0; i < producer->inputs.size() && slot < 0; ++i)
      if (i >= node.constants.size() || !node.constants[i])
        slot = producer->inputs[i];
    if (slot < 0)
      return -1;
  }
  return -1;
}
} // namespace

int64_t vocabularyOf(const rt::Program &program, int slot) {
  int64_t bound = -1;
  lookUp(program, slot, 0, bound);
  return bound;
}

int64_t headSizeOf(const rt::Program &program, int slot) {
  for (const rt::Program::Step &step : program.steps) {
    if (std::find(step.inputs.begin(), step.inputs.end(), slot) == step.inputs.end())
      continue;
    const rt::Node &node = step.node;
    if (int64_t size = node.integer("head_size", 0); size > 0)
      return size;
    int64_t heads = node.integer("num_heads", 0), shared = node.integer("kv_num_heads", heads);
    if (heads <= 0 || step.inputs.size() < 2)
      continue;
    // The table of rotary angles has one column for each pair of a head's elements.
    if (node.op == "GroupQueryAttention" && node.constants.size() > 7 && node.constants[7])
      return 2 * node.constants[7]->dim(-1);
    // Query, key and value come packed where there is no key of its own.
    int64_t parts = step.inputs[1] < 0 ? heads + 2 * shared : heads;
    int64_t columns = columnsOf(program, step.inputs[0]);
    if (columns > 0 && columns % parts == 0)
      return columns / parts;
  }
  return -1;
}

namespace {
/// What one axis of a convolution does to a length.
struct Stride {
  int64_t kernel, stride, pads;
  int64_t operator()(int64_t length) const {
    return length + pads < kernel ? 0 : (length + pads - kernel) / stride + 1;
  }
};

Stride strideOf(const rt::Node &node, const rt::Tensor &weight) {
  auto first = [&](const char *key, int64_t otherwise) {
    std::vector<int64_t> values = node.integers(key);
    return values.empty() ? otherwise : values[0];
  };
  std::vector<int64_t> pads = node.integers("pads");
  int64_t axes = weight.rank() - 2;
  return {(weight.dim(2) - 1) * first("dilations", 1) + 1,
          std::max<int64_t>(first("strides", 1), 1),
          static_cast<int64_t>(pads.size()) == 2 * axes ? pads[0] + pads[axes] : 0};
}

/// A length of which the convolutions make `places`, without a rest where there is one; -1 if there
/// is none.
int64_t lengthFor(const std::vector<Stride> &strides, int64_t places) {
  constexpr int64_t longest = 1 << 16;
  int64_t step = 1, least = -1;
  for (const Stride &stride : strides)
    step *= stride.stride;
  for (int64_t length = 1; length <= longest; ++length) {
    int64_t made = length;
    for (const Stride &stride : strides)
      made = stride(made);
    if (made > places)
      break;
    if (made == places && length % step == 0)
      return length;
    if (made == places && least < 0)
      least = length;
  }
  return least;
}
} // namespace

ConvolvedSize convolvedSizeOf(const rt::Program &program, int slot, int64_t places) {
  ConvolvedSize size;
  std::vector<Stride> strides;
  std::set<int> reached = {slot};
  int64_t width = -1, axes = 0;
  for (const rt::Program::Step &step : program.steps) {
    const rt::Node &node = step.node;
    bool reads = std::any_of(step.inputs.begin(), step.inputs.end(),
                             [&](int input) { return reached.count(input) != 0; });
    if (!reads || node.op == "Shape" || node.op == "Size")
      continue;
    reached.insert(step.outputs.begin(), step.outputs.end());
    size_t kernel = node.op == "QLinearConv" ? 3 : 1;
    const rt::Tensor *weight = node.constants.size() > kernel ? node.constants[kernel] : nullptr;
    bool convolves = node.op == "Conv" || node.op == "ConvInteger" || node.op == "QLinearConv";
    if (convolves && weight && weight->rank() > 2) {
      if (strides.empty())
        size.channels = weight->dim(1) * node.integer("group", 1);
      width = weight->dim(0);
      axes = weight->rank() - 2;
      strides.push_back(strideOf(node, *weight));
      continue;
    }
    if (node.op != "Add" || strides.empty())
      continue;
    // Positions are a table with a row for each place, and maybe some for tokens of no place.
    for (const rt::Tensor *table : node.constants) {
      if (!table || table->rank() < 2 || table->dim(-1) != width || table->dim(-2) < 2)
        continue;
      for (int64_t marks = 0; marks <= 4 && size.length < 0; ++marks) {
        int64_t places = table->dim(-2) - marks, side = places;
        if (axes == 2)
          side = std::llround(std::sqrt(static_cast<double>(places)));
        if (side > 0 && (axes == 1 || (axes == 2 && side * side == places)))
          size.length = lengthFor(strides, side);
      }
      return size;
    }
  }
  if (size.channels == 1 && axes == 1)
    size.samples = lengthFor(strides, places);
  return size;
}

} // namespace uoe
