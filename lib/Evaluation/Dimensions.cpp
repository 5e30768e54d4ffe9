#include "Dimensions.h"
#include "llvm/ADT/StringRef.h"
#include <algorithm>
#include <cctype>

namespace uoe {

/// Whether `name` is the expression, or one of its terms.
static bool hasTerm(const std::string &expression, const std::string &name) {
  auto inName = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (size_t at = expression.find(name); at != std::string::npos && !name.empty();
       at = expression.find(name, at + 1)) {
    size_t end = at + name.size();
    if ((at == 0 || !inName(expression[at - 1])) &&
        (end == expression.size() || !inName(expression[end])))
      return true;
  }
  return false;
}

Dimensions::Dimensions(const Session &session, const InputOptions &options)
    : session(session), options(options) {
  const auto &inputs = session.inputs();
  std::vector<std::string> known;
  for (const PortInfo &port : inputs) {
    roles.push_back(roleOf(port));
    for (const std::string &name : port.dimNames)
      if (!name.empty() && std::find(known.begin(), known.end(), name) == known.end())
        known.push_back(name);
  }
  for (const auto &[name, size] : options.dims) {
    std::string list;
    for (const std::string &other : known)
      list += (list.empty() ? "'" : ", '") + other + "'";
    // Terms of expressions, as in "past + sequence", are names as well.
    bool part =
        std::any_of(known.begin(), known.end(),
                    [&, &name = name](const std::string &other) { return hasTerm(other, name); });
    rt::check(part, "the model has no symbolic dimension '", name, "'; it has ",
              list.empty() ? "none" : list);
    rt::check(size >= 0, "dimension '", name, "' cannot be ", size);
    dims[name] = size;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    auto given = options.given.find(inputs[i].name);
    if (given == options.given.end() || given->second.kind != rt::Value::Kind::Tensor)
      continue;
    const rt::Shape &shape = given->second.tensor.shape();
    for (size_t axis = 0; axis < shape.size() && axis < inputs[i].dimNames.size(); ++axis) {
      const std::string &name = inputs[i].dimNames[axis];
      if (name.empty())
        continue;
      auto [entry, fresh] = dims.try_emplace(name, shape[axis]);
      rt::check(fresh || entry->second == shape[axis], "dimension '", name, "' is ", shape[axis],
                " in input '", inputs[i].name, "' of shape ", rt::toString(shape), ", but ",
                entry->second, " elsewhere");
    }
  }
}

int64_t Dimensions::past() {
  for (size_t i = 0; i < roles.size(); ++i)
    // The cache of an encoder's keys and values does not grow with the tokens.
    if (roles[i] == Role::Past && session.inputs()[i].dims.size() == 4 &&
        llvm::StringRef(session.inputs()[i].name).lower().find("encoder.") == std::string::npos)
      return size(i, 2);
  for (size_t i = 0; i < roles.size(); ++i)
    if (roles[i] == Role::Past && session.inputs()[i].dims.size() == 4)
      return size(i, 2);
  return 0;
}

int64_t Dimensions::sequence() {
  for (size_t i = 0; i < roles.size(); ++i)
    if (roles[i] == Role::Ids && session.inputs()[i].dims.size() == 2)
      return size(i, 1);
  return options.sequence;
}

int64_t Dimensions::batch() {
  for (size_t i = 0; i < roles.size(); ++i)
    if (roles[i] == Role::Ids && !session.inputs()[i].dims.empty())
      return size(i, 0);
  return options.batch;
}

bool Dimensions::evaluate(const std::string &text, size_t index, size_t axis, int64_t &value) {
  if (text.find_first_of("+-*/") == std::string::npos)
    return false;
  // Sums of products over names and numbers, without parentheses.
  int64_t sum = 0, product = 0;
  char operation = 0;
  int sign = 1;
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find_first_of("+-*/", at), text.size());
    std::string term = text.substr(at, end - at);
    term.erase(0, term.find_first_not_of(' ') == std::string::npos ? term.size()
                                                                   : term.find_first_not_of(' '));
    term.erase(term.find_last_not_of(' ') + 1);
    if (term.empty() || term.find_first_of(" ()") != std::string::npos || term.size() > 64)
      return false;
    bool digits = std::all_of(term.begin(), term.end(), [](unsigned char c) { return isdigit(c); });
    if (digits && term.size() > 9)
      return false;
    int64_t factor = digits ? std::stoll(term) : named(term, index, axis);
    if (operation == '*')
      product *= factor;
    else if (operation == '/')
      product = factor ? product / factor : 0;
    else
      product = factor;
    operation = end < text.size() ? text[end] : '+';
    if (operation == '+' || operation == '-') {
      sum += sign * product;
      sign = operation == '-' ? -1 : 1;
    }
    if (end == text.size())
      break;
    at = end + 1;
  }
  value = sum;
  return sum >= 0;
}

int64_t Dimensions::guess(const std::string &name, size_t index, size_t axis) {
  std::string text = llvm::StringRef(name).lower();
  auto has = [&](const char *part) { return text.find(part) != std::string::npos; };
  const auto &inputs = session.inputs();
  bool cached = std::count(roles.begin(), roles.end(), Role::Past) != 0;
  Role role = roles[index];

  // The mask covers past and new tokens. Its own name for that length is often opaque ("s53").
  bool shared = false;
  for (size_t i = 0; i < inputs.size() && !name.empty(); ++i)
    shared |= roles[i] != Role::Mask &&
              std::count(inputs[i].dimNames.begin(), inputs[i].dimNames.end(), name) != 0;
  bool covers = role == Role::Mask && axis > 0 && axis + 1 == inputs[index].dims.size();
  if (cached && (has("total") || (covers && !shared && !has("encoder"))))
    return past() + sequence();
  // Nothing says the length of a mask or of positions but the ids.
  if (name.empty() && axis == 0 && inputs[index].dims.size() > 1)
    return role == Role::Ids ? options.batch : batch();
  if (name.empty() && axis == 1 && inputs[index].dims.size() == 2 && role != Role::Ids &&
      role != Role::Other)
    return sequence();

  if (role == Role::Past && axis == 3) {
    int64_t head = headSizeOf(session.program(), session.program().inputSlots[index]);
    rt::check(head > 0, "the size of dimension '", name, "' of input '", inputs[index].name,
              "' cannot be told from the model: give it, as in --dim ", name, "=64");
    return head;
  }
  if (has("batch") || has("beam"))
    return options.batch;
  // Keys and values of cross-attention have the length of what was encoded.
  if (has("past") || (role == Role::Past && axis == 2 && !has("encoder")))
    return options.past;
  // A batch, channels and lengths that a convolution reads.
  if (axis > 0 && inputs[index].dims.size() >= 3) {
    ConvolvedSize size = convolvedSizeOf(session.program(), session.program().inputSlots[index]);
    if (axis == 1 && size.channels > 0)
      return size.channels;
    if (axis > 1 && size.length > 0)
      return size.length;
  }
  if (axis == 1 && inputs[index].dims.size() == 2 && role == Role::Other) {
    ConvolvedSize size = convolvedSizeOf(session.program(), session.program().inputSlots[index],
                                         std::max<int64_t>(options.sequence, 1));
    if (options.sequence > 0 && size.samples > options.sequence)
      return size.samples;
  }
  if (has("channel"))
    return 3;
  if (has("height") || has("width"))
    return 224;
  if (has("seq") || has("len") || has("tok") || has("time") || has("frame"))
    return options.sequence;
  return axis == 0 ? options.batch : options.sequence;
}

int64_t Dimensions::named(const std::string &name, size_t index, size_t axis) {
  if (auto found = dims.find(name); found != dims.end())
    return found->second;
  rt::check(std::find(pending.begin(), pending.end(), name) == pending.end(),
            "the size of dimension '", name, "' depends on itself; give it by --dim");
  pending.push_back(name);
  int64_t value = 0;
  bool implied = evaluate(name, index, axis, value);
  if (!implied)
    value = guess(name, index, axis);
  pending.pop_back();
  dims[name] = value;
  if (!implied)
    assumed.push_back(name);
  return value;
}

int64_t Dimensions::size(size_t index, size_t axis) {
  const PortInfo &port = session.inputs()[index];
  auto given = options.given.find(port.name);
  if (given != options.given.end() && given->second.kind == rt::Value::Kind::Tensor &&
      axis < given->second.tensor.shape().size())
    return given->second.tensor.shape()[axis];
  if (port.dims[axis] >= 0)
    return port.dims[axis];
  const std::string &name = port.dimNames[axis];
  return name.empty() ? guess("", index, axis) : named(name, index, axis);
}

rt::Shape Dimensions::shape(size_t index) {
  rt::Shape result;
  for (size_t axis = 0; axis < session.inputs()[index].dims.size(); ++axis)
    result.push_back(size(index, axis));
  return result;
}

} // namespace uoe
