// The C ABI: exceptions end here and become a status and a message.
#include "runtime/core/Kernel.h"
#include "uoe/runtime.h"
#include <algorithm>
#include <exception>
#include <new>

using namespace uoe::rt;

struct uoe_result {
  std::vector<Value> outputs;
  std::vector<std::vector<uoe_tensor>> sequences; // per output, what a sequence's `data` points to
};

namespace {

thread_local std::string lastError;

template <typename Body> int guarded(Body body) {
  try {
    body();
    lastError.clear();
    return 0;
  } catch (const std::bad_alloc &) {
    lastError = "out of memory";
  } catch (const std::exception &error) {
    lastError = error.what();
  }
  return 1;
}

Tensor borrow(const uoe_tensor &tensor, const char *what) {
  check(tensor.dtype > 0 && tensor.dtype <= static_cast<int>(DType::F8E8M0), what,
        ": unknown element type ", tensor.dtype);
  check(tensor.rank >= 0 && (tensor.rank == 0 || tensor.shape), what, ": no shape");
  auto type = static_cast<DType>(tensor.dtype);
  check(bitsOf(type) != 0, what, ": tensors of type ", nameOf(type), " are not supported");
  Shape shape(tensor.shape, tensor.shape + tensor.rank);
  static char nothing[64];
  bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  Tensor result(type, std::move(shape), empty ? nothing : const_cast<void *>(tensor.data), nullptr);
  check(result.bytes() == tensor.bytes, what, ": ", describe(result), " takes ", result.bytes(),
        " bytes, found ", tensor.bytes);
  check(empty || tensor.data, what, ": no data");
  return result;
}

Value borrowValue(const uoe_tensor &tensor, const std::string &what) {
  if (tensor.dtype == 0)
    return Value();
  if (tensor.dtype != UOE_SEQUENCE)
    return Value(borrow(tensor, what.c_str()));
  Value value;
  value.kind = Value::Kind::Sequence;
  check(tensor.rank >= 0 && (tensor.rank == 0 || tensor.data), what, ": no data");
  for (int i = 0; i < tensor.rank; ++i)
    value.sequence.push_back(borrow(static_cast<const uoe_tensor *>(tensor.data)[i], what.c_str()));
  return value;
}

Attribute convert(const uoe_attribute &attribute) {
  auto count = attribute.count;
  check(count >= 0, "attribute '", attribute.name, "': a count of ", count);
  switch (attribute.kind) {
  case 'i':
    return attribute.ints[0];
  case 'f':
    return attribute.floats[0];
  case 's':
    return std::string(attribute.strings[0]);
  case 'I':
    return std::vector<int64_t>(attribute.ints, attribute.ints + count);
  case 'F':
    return std::vector<float>(attribute.floats, attribute.floats + count);
  case 'S':
    return std::vector<std::string>(attribute.strings, attribute.strings + count);
  case 't':
    return borrow(attribute.tensor, attribute.name);
  default:
    fail("attribute '", attribute.name, "': unknown kind '", attribute.kind, "'");
  }
}

uoe_tensor view(const Tensor &tensor) {
  return {static_cast<int32_t>(tensor.dtype()), static_cast<int32_t>(tensor.rank()),
          tensor.shape().data(), tensor.raw(), tensor.bytes()};
}

} // namespace

int uoe_op_run(const char *domain, const char *op, int version, const uoe_attribute *attributes,
               int attribute_count, const uoe_tensor *inputs, int input_count, int output_count,
               uoe_result **result) {
  return guarded([&] {
    check(domain && op && result && input_count >= 0 && output_count > 0 && attribute_count >= 0,
          "uoe_op_run: bad arguments");
    *result = nullptr;
    Kernel kernel = KernelTable::builtin().find(domain, op);
    check(kernel != nullptr, "there is no kernel for operator '", *domain ? domain : "ai.onnx", ".",
          op, "'");
    Node node;
    node.name = op;
    node.domain = domain;
    node.op = op;
    node.version = version;
    node.outputs = output_count;
    node.outputUsed.assign(static_cast<size_t>(output_count), true);
    node.constants.assign(static_cast<size_t>(input_count), nullptr);
    for (int i = 0; i < attribute_count; ++i)
      node.attributes[attributes[i].name] = convert(attributes[i]);
    std::vector<Value> values;
    for (int i = 0; i < input_count; ++i)
      values.push_back(borrowValue(inputs[i], "input " + std::to_string(i)));
    std::vector<Value *> pointers;
    for (Value &value : values)
      pointers.push_back(&value);
    auto made = std::make_unique<uoe_result>();
    made->outputs.resize(static_cast<size_t>(output_count));
    std::any state;
    KernelCall call{node,          std::move(pointers),
                    made->outputs, std::vector<bool>(static_cast<size_t>(input_count)),
                    state,         nullptr};
    kernel(call);
    // An output may share an input's storage, which the caller may free.
    auto own = [](Tensor &tensor) {
      if (tensor.unique())
        return;
      Tensor copy(tensor.dtype(), tensor.shape());
      std::copy_n(tensor.data<char>(), tensor.bytes(), copy.data<char>());
      tensor = std::move(copy);
    };
    for (Value &value : made->outputs) {
      if (value.kind == Value::Kind::Tensor)
        own(value.tensor);
      std::vector<uoe_tensor> views;
      for (Tensor &tensor : value.sequence) {
        own(tensor);
        views.push_back(view(tensor));
      }
      made->sequences.push_back(std::move(views));
    }
    *result = made.release();
  });
}

int uoe_result_get(const uoe_result *result, int i, uoe_tensor *tensor) {
  return guarded([&] {
    check(result && tensor && i >= 0 && static_cast<size_t>(i) < result->outputs.size(),
          "uoe_result_get: there is no output ", i);
    const Value &value = result->outputs[static_cast<size_t>(i)];
    *tensor = uoe_tensor{};
    if (value.kind == Value::Kind::Tensor) {
      *tensor = view(value.tensor);
    } else if (value.kind == Value::Kind::Sequence) {
      const auto &views = result->sequences[static_cast<size_t>(i)];
      *tensor = {UOE_SEQUENCE, static_cast<int32_t>(views.size()), nullptr, views.data(),
                 views.size() * sizeof(uoe_tensor)};
    }
  });
}

void uoe_result_free(uoe_result *result) {
  delete result;
}

int uoe_op_known(const char *domain, const char *op) {
  return domain && op && KernelTable::builtin().find(domain, op) != nullptr;
}

int uoe_set_threads(int threads) {
  return guarded([&] {
    check(threads >= 0 && threads <= 4096, "uoe_set_threads: ", threads, " threads");
    ThreadPool::setGlobalThreads(threads);
  });
}

const char *uoe_last_error(void) {
  return lastError.c_str();
}
