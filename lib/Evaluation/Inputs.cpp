#include "Inputs.h"
#include "Dimensions.h"
#include "Metrics.h"
#include "Ports.h"
#include "Tokens.h"
#include <algorithm>
#include <cmath>

namespace uoe {
using rt::DType;

namespace {
/// The same content for the same name in every model.
uint64_t mix(uint64_t seed, const std::string &name) {
  uint64_t hash = 14695981039346656037ull ^ seed * 0x9e3779b97f4a7c15ull; // FNV-1a
  for (unsigned char c : name)
    hash = (hash ^ c) * 1099511628211ull;
  return hash;
}

/// In [0, 1), the same on every platform, which std::uniform_real_distribution does not promise.
double uniform(std::mt19937_64 &random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

template <typename T> void store(rt::Tensor &tensor, const std::vector<int64_t> &values) {
  std::transform(values.begin(), values.end(), tensor.data<T>(),
                 [](int64_t value) { return static_cast<T>(value); });
}

struct Generator {
  const Session &session;
  Dimensions &dimensions;
  const InputOptions &options;

  rt::Tensor make(size_t index) {
    const PortInfo &port = session.inputs()[index];
    rt::check(port.dtype != DType::None && port.ranked, "input '", port.name,
              "' has no declared type or rank, so it must be given");
    rt::Shape shape = dimensions.shape(index);
    std::mt19937_64 random(mix(options.seed, port.name));
    Role role = roleOf(port);
    bool additive = role == Role::Mask && shape.size() > 2;
    if (isFloat(port.dtype)) {
      if (role == Role::Mask)
        return constant(port.dtype, shape, additive ? 0 : 1);
      return normalTensor(port.dtype, shape, random);
    }
    return integerTensor(port.dtype, shape, integers(index, role, shape, random));
  }

  static rt::Tensor constant(DType type, const rt::Shape &shape, float value) {
    rt::Tensor tensor(type, shape);
    int64_t count = tensor.size();
    if (type == DType::F32)
      std::fill_n(tensor.data<float>(), count, value);
    else if (type == DType::F64)
      std::fill_n(tensor.data<double>(), count, value);
    else if (type == DType::F16)
      std::fill_n(tensor.data<rt::Half>(), count, rt::Half(value));
    else if (type == DType::BF16)
      std::fill_n(tensor.data<rt::BFloat16>(), count, rt::BFloat16(value));
    else
      rt::fail("inputs of type ", rt::nameOf(type), " must be given");
    return tensor;
  }

  std::vector<int64_t> integers(size_t index, Role role, const rt::Shape &shape,
                                std::mt19937_64 &random) {
    std::vector<int64_t> values(static_cast<size_t>(rt::elementCount(shape)), 1);
    switch (role) {
    case Role::Mask:
      return values;
    case Role::CacheSwitch:
      std::fill(values.begin(), values.end(), dimensions.past() > 0);
      return values;
    case Role::PastLengths:
      std::fill(values.begin(), values.end(), dimensions.past() + dimensions.sequence() - 1);
      return values;
    case Role::TotalLength:
      std::fill(values.begin(), values.end(), dimensions.past() + dimensions.sequence());
      return values;
    case Role::Positions: {
      int64_t row = shape.empty() ? 1 : std::max<int64_t>(shape.back(), 1),
              past = dimensions.past();
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = past + static_cast<int64_t>(i) % row;
      return values;
    }
    case Role::Ids:
      if (options.tokens.empty())
        break;
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = options.tokens[i % options.tokens.size()];
      return values;
    default:
      break;
    }
    if (session.inputs()[index].dtype == DType::Bool)
      return values;
    const rt::Program &program = session.program();
    int64_t bound = vocabularyOf(program, program.inputSlots[index]);
    if (bound <= 0)
      bound = role == Role::TokenTypes ? 2 : 16;
    // The first ids of a vocabulary are padding and other marks.
    int64_t first = bound >= 16 ? 3 : 0;
    for (int64_t &value : values)
      value = first + static_cast<int64_t>(uniform(random) * static_cast<double>(bound - first));
    return values;
  }
};
} // namespace

std::vector<int64_t> textOf(const std::string &path, const Session &session) {
  int port = inputOf(session, Role::Ids);
  rt::check(port >= 0, "'", path, "' holds token ids, for which the model has no input");
  const rt::Program &program = session.program();
  TokenFile tokens = readTokens(path);
  checkTokens(tokens, path, vocabularyOf(program, program.inputSlots[static_cast<size_t>(port)]));
  std::vector<int64_t> text;
  for (const std::vector<int64_t> &sentence : tokens.sentences)
    text.insert(text.end(), sentence.begin(), sentence.end());
  rt::check(!text.empty(), "'", path, "' holds no tokens");
  return text;
}

rt::Tensor normalTensor(DType type, const rt::Shape &shape, std::mt19937_64 &random) {
  rt::Tensor tensor(type, shape);
  rt::check(type == DType::F16 || type == DType::BF16 || type == DType::F32 || type == DType::F64,
            "inputs of type ", rt::nameOf(type), " must be given");
  for (int64_t i = 0, count = tensor.size(); i < count; ++i) {
    // Box and Muller's transform.
    double radius = std::sqrt(-2 * std::log(1 - uniform(random)));
    double value = radius * std::cos(6.283185307179586 * uniform(random));
    if (type == DType::F32)
      tensor.data<float>()[i] = static_cast<float>(value);
    else if (type == DType::F64)
      tensor.data<double>()[i] = value;
    else if (type == DType::F16)
      tensor.data<rt::Half>()[i] = rt::Half(static_cast<float>(value));
    else
      tensor.data<rt::BFloat16>()[i] = rt::BFloat16(static_cast<float>(value));
  }
  return tensor;
}

rt::Tensor integerTensor(DType type, const rt::Shape &shape, const std::vector<int64_t> &values) {
  rt::Tensor tensor(type, shape);
  rt::check(tensor.size() == static_cast<int64_t>(values.size()), "shape ", rt::toString(shape),
            " does not hold ", values.size(), " values");
  switch (type) {
  case DType::Bool:
    store<bool>(tensor, values);
    break;
  case DType::I8:
    store<int8_t>(tensor, values);
    break;
  case DType::U8:
    store<uint8_t>(tensor, values);
    break;
  case DType::I16:
    store<int16_t>(tensor, values);
    break;
  case DType::U16:
    store<uint16_t>(tensor, values);
    break;
  case DType::I32:
    store<int32_t>(tensor, values);
    break;
  case DType::U32:
    store<uint32_t>(tensor, values);
    break;
  case DType::I64:
    store<int64_t>(tensor, values);
    break;
  case DType::U64:
    store<uint64_t>(tensor, values);
    break;
  default:
    rt::fail("inputs of type ", rt::nameOf(type), " must be given");
  }
  return tensor;
}

BoundInputs bindInputs(const Session &session, const InputOptions &options) {
  const auto &inputs = session.inputs();
  std::string known;
  for (const PortInfo &port : inputs)
    known += (known.empty() ? "'" : ", '") + port.name + "'";
  for (const auto &[name, value] : options.given)
    rt::check(std::any_of(inputs.begin(), inputs.end(),
                          [&, &name = name](const PortInfo &port) { return port.name == name; }),
              "the model has no input '", name, "'; it has ", known.empty() ? "none" : known);

  Dimensions dimensions(session, options);
  Generator generator{session, dimensions, options};
  BoundInputs result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    auto given = options.given.find(inputs[i].name);
    if (given != options.given.end()) {
      result.values.push_back(given->second);
    } else if (inputs[i].optional) {
      result.values.emplace_back();
    } else {
      result.values.emplace_back(generator.make(i));
      result.generated.push_back(inputs[i].name);
    }
  }
  result.dims = dimensions.dims;
  result.assumed = dimensions.assumed;
  return result;
}

} // namespace uoe
