#include "Kernel.h"

namespace uoe::rt {
namespace {

const char *kindOf(const Attribute &attribute) {
  static const char *const kinds[] = {"an integer", "a float", "a string", "a tensor",
                                      "integers",   "floats",  "strings",  "a graph"};
  return kinds[attribute.index()];
}

const Attribute *lookUp(const Node &node, const char *key) {
  auto it = node.attributes.find(key);
  return it == node.attributes.end() ? nullptr : &it->second;
}

[[noreturn]] void wrongKind(const char *key, const char *expected, const Attribute &found) {
  fail("attribute '", key, "': expected ", expected, ", found ", kindOf(found));
}

} // namespace

int64_t Node::integer(const char *key, int64_t otherwise) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return otherwise;
  if (auto *value = std::get_if<int64_t>(attribute))
    return *value;
  wrongKind(key, "an integer", *attribute);
}

float Node::real(const char *key, float otherwise) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return otherwise;
  if (auto *value = std::get_if<float>(attribute))
    return *value;
  if (auto *value = std::get_if<int64_t>(attribute))
    return static_cast<float>(*value);
  wrongKind(key, "a float", *attribute);
}

std::string Node::string(const char *key, const char *otherwise) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return otherwise;
  if (auto *value = std::get_if<std::string>(attribute))
    return *value;
  wrongKind(key, "a string", *attribute);
}

std::vector<int64_t> Node::integers(const char *key, std::vector<int64_t> otherwise) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return otherwise;
  if (auto *value = std::get_if<std::vector<int64_t>>(attribute))
    return *value;
  // An empty list carries no kind in some producers' files.
  if (auto *value = std::get_if<std::vector<float>>(attribute))
    if (value->empty())
      return {};
  wrongKind(key, "integers", *attribute);
}

std::vector<float> Node::reals(const char *key, std::vector<float> otherwise) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return otherwise;
  if (auto *value = std::get_if<std::vector<float>>(attribute))
    return *value;
  if (auto *value = std::get_if<std::vector<int64_t>>(attribute))
    if (value->empty())
      return {};
  wrongKind(key, "floats", *attribute);
}

const Tensor *Node::tensor(const char *key) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return nullptr;
  if (auto *value = std::get_if<Tensor>(attribute))
    return value;
  wrongKind(key, "a tensor", *attribute);
}

std::shared_ptr<const Program> Node::program(const char *key) const {
  const Attribute *attribute = lookUp(*this, key);
  if (!attribute)
    return nullptr;
  if (auto *value = std::get_if<std::shared_ptr<const Program>>(attribute))
    return *value;
  wrongKind(key, "a graph", *attribute);
}

const Tensor &KernelCall::in(size_t i) const {
  check(has(i), "input ", i, " is required, but absent");
  check(inputs[i]->kind == Value::Kind::Tensor, "input ", i,
        ": expected a tensor, found a sequence");
  return inputs[i]->tensor;
}

const Tensor *KernelCall::maybe(size_t i) const {
  return has(i) ? &in(i) : nullptr;
}

Tensor &KernelCall::out(size_t i, DType type, Shape shape) {
  check(i < outputs.size(), "output ", i, " does not exist: the node has ", outputs.size());
  Value &value = outputs[i];
  value.tensor = Tensor(type, std::move(shape));
  value.kind = Value::Kind::Tensor;
  return value.tensor;
}

Tensor &KernelCall::outInPlace(size_t i, size_t j, DType type, Shape shape) {
  if (j < dying.size() && dying[j] && inputs[j]->kind == Value::Kind::Tensor &&
      i < outputs.size()) {
    const Tensor &input = inputs[j]->tensor;
    if (input.unique() && input.bytes() == bytesOf(type, elementCount(shape))) {
      outputs[i].tensor = input.aliased(type, std::move(shape));
      outputs[i].kind = Value::Kind::Tensor;
      return outputs[i].tensor;
    }
  }
  return out(i, type, std::move(shape));
}

void KernelTable::add(const char *domain, const char *op, Kernel kernel, Prepare prepare) {
  kernels[{domain, op}] = {kernel, prepare};
}

Kernel KernelTable::find(const std::string &domain, const std::string &op) const {
  auto it = kernels.find({domain == "ai.onnx" ? "" : domain, op});
  return it == kernels.end() ? nullptr : it->second.kernel;
}

Prepare KernelTable::findPrepare(const std::string &domain, const std::string &op) const {
  auto it = kernels.find({domain == "ai.onnx" ? "" : domain, op});
  return it == kernels.end() ? nullptr : it->second.prepare;
}

std::vector<std::pair<std::string, std::string>> KernelTable::list() const {
  std::vector<std::pair<std::string, std::string>> names;
  for (const auto &entry : kernels)
    names.push_back(entry.first);
  return names;
}

} // namespace uoe::rt
