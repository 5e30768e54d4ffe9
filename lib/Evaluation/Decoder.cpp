#include "Decoder.h"
#include "Metrics.h"
#include <algorithm>

namespace uoe {

Decoder::Decoder(Session &session, const InputOptions &given)
    : session(session), options(given), pairs(cachePairs(session)),
      idsPort(inputOf(session, Role::Ids)) {
  rt::check(idsPort >= 0, "the model is no decoder: it has no input of token ids");
  const rt::Program &program = session.program();
  vocabularySize = vocabularyOf(program, program.inputSlots[idsPort]);
  logitsPort = logitsOf(session, vocabularySize);
  rt::check(logitsPort >= 0, "the model is no decoder: it has no output 'logits'");
}

void Decoder::reset() {
  length = 0;
  encoderTaken = false;
  values.clear();
  results.clear();
}

rt::Tensor Decoder::emptyPast(size_t index, int64_t batch) const {
  const PortInfo &port = session.inputs()[index];
  rt::Shape shape = port.dims;
  rt::check(shape.size() == 4, "the past in input '", port.name, "' has rank ", shape.size(),
            ", expected 4: batch, heads, past, head size");
  shape[0] = shape[0] < 0 ? batch : shape[0];
  rt::check(shape[2] <= 0, "the past in input '", port.name, "' has the fixed length ", shape[2]);
  shape[2] = 0;
  if (shape[3] < 0) {
    auto given = options.dims.find(port.dimNames[3]);
    const rt::Program &program = session.program();
    shape[3] = given != options.dims.end() ? given->second
                                           : headSizeOf(program, program.inputSlots[index]);
    rt::check(shape[3] > 0, "the size of dimension '", port.dimNames[3], "' of input '", port.name,
              "' cannot be told from the model: give it, as in --dim ", port.dimNames[3], "=64");
  }
  rt::check(shape[1] >= 0, "the past in input '", port.name, "' has an unknown number of heads");
  return rt::Tensor(port.dtype, shape);
}

void Decoder::fill(const std::vector<int64_t> &ids, int64_t batch) {
  const auto &inputs = session.inputs();
  int64_t count = static_cast<int64_t>(ids.size()) / batch, total = length + count;
  bool first = values.empty();
  if (first) {
    values.resize(inputs.size());
    InputOptions rest = options;
    rest.given.clear();
    rest.given[inputs[idsPort].name] =
        rt::Value(integerTensor(inputs[idsPort].dtype, {batch, count}, ids));
    for (const CachePair &pair : pairs)
      if (!pair.fixed) {
        values[pair.past] = rt::Value(emptyPast(pair.past, batch));
        rest.given[inputs[pair.past].name] = values[pair.past];
      }
    for (const auto &[name, value] : options.given)
      rest.given[name] = value;
    values = bindInputs(session, rest).values;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const PortInfo &port = inputs[i];
    auto integers = [&](const rt::Shape &shape, auto &&at) {
      std::vector<int64_t> numbers(static_cast<size_t>(rt::elementCount(shape)));
      for (size_t n = 0; n < numbers.size(); ++n)
        numbers[n] = at(static_cast<int64_t>(n));
      values[i] = rt::Value(integerTensor(port.dtype, shape, numbers));
    };
    switch (roleOf(port)) {
    case Role::Ids:
      if (static_cast<int>(i) == idsPort)
        values[i] = rt::Value(integerTensor(port.dtype, {batch, count}, ids));
      break;
    case Role::Mask:
      // A mask over an encoder's tokens stays; an additive one can't be extended by its name alone.
      if (port.name.find("encoder") == std::string::npos && port.dims.size() == 2 &&
          !isFloat(port.dtype))
        integers({batch, cached() ? total : count}, [](int64_t) { return 1; });
      break;
    case Role::Positions:
      if (port.dims.size() == 1)
        integers({count}, [&](int64_t n) { return length + n; });
      else
        integers({batch, count}, [&](int64_t n) { return length + n % count; });
      break;
    case Role::TokenTypes:
      integers({batch, count}, [](int64_t) { return 0; });
      break;
    case Role::CacheSwitch:
      integers({1}, [&](int64_t) { return length > 0; });
      break;
    case Role::PastLengths:
      integers(values[i].tensor.shape(), [&](int64_t) { return total - 1; });
      break;
    case Role::TotalLength:
      integers(values[i].tensor.shape(), [&](int64_t) { return total; });
      break;
    default:
      break;
    }
  }
  if (first)
    return;
  // A merged decoder computes an encoder's keys and values in its first run; later runs give stubs.
  bool second = !encoderTaken;
  for (const CachePair &pair : pairs)
    if (!pair.fixed || second)
      values[pair.past] = std::move(results[pair.present]);
  encoderTaken = true;
}

const rt::Tensor &Decoder::run(const std::vector<int64_t> &ids, int64_t batch) {
  rt::check(batch > 0 && !ids.empty() && ids.size() % static_cast<size_t>(batch) == 0,
            "a run takes at least one token for each of ", batch, " rows");
  if (!cached())
    reset();
  fill(ids, batch);
  results = session.run(values);
  length += static_cast<int64_t>(ids.size()) / batch;
  const rt::Tensor &logits = results[logitsPort].tensor;
  int64_t count = static_cast<int64_t>(ids.size()) / batch;
  rt::check(logits.rank() == 3 && logits.dim(0) == batch &&
                (logits.dim(1) == count || logits.dim(1) == 1),
            "output '", session.outputs()[logitsPort].name, "': expected logits of shape [", batch,
            ",", count, ",vocabulary], found ", rt::describe(logits));
  return logits;
}

} // namespace uoe
