#include "Tokens.h"
#include "lib/TensorIO/Npy.h"
#include <algorithm>

namespace uoe {
using rt::DType;

template <typename T>
static std::vector<int64_t> widen(const rt::Tensor &tensor, int64_t begin, int64_t count) {
  const T *data = tensor.data<T>() + begin;
  return std::vector<int64_t>(data, data + count);
}

TokenFile readTokens(const std::string &path) {
  rt::Tensor tensor = readNpy(path);
  rt::check(tensor.rank() == 1 || tensor.rank() == 2, "'", path, "' has shape ",
            rt::toString(tensor.shape()), "; token files have rank 1 or 2");
  TokenFile result;
  result.stream = tensor.rank() == 1;
  int64_t rows = result.stream ? 1 : tensor.dim(0), width = tensor.dim(-1);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> ids;
    int64_t begin = row * width;
    switch (tensor.dtype()) {
    case DType::U8:
      ids = widen<uint8_t>(tensor, begin, width);
      break;
    case DType::U16:
      ids = widen<uint16_t>(tensor, begin, width);
      break;
    case DType::I16:
      ids = widen<int16_t>(tensor, begin, width);
      break;
    case DType::U32:
      ids = widen<uint32_t>(tensor, begin, width);
      break;
    case DType::I32:
      ids = widen<int32_t>(tensor, begin, width);
      break;
    case DType::I64:
      ids = widen<int64_t>(tensor, begin, width);
      break;
    default:
      rt::fail("'", path, "' has elements of type ", rt::nameOf(tensor.dtype()),
               "; token ids are integers");
    }
    while (!result.stream && !ids.empty() && ids.back() == 0)
      ids.pop_back();
    for (int64_t id : ids) {
      rt::check(id >= 0, "'", path, "' holds the negative token id ", id);
      result.largest = std::max(result.largest, id);
    }
    result.sentences.push_back(std::move(ids));
  }
  return result;
}

void checkTokens(const TokenFile &tokens, const std::string &path, int64_t vocabulary) {
  rt::check(vocabulary < 0 || tokens.largest < vocabulary, "'", path, "' holds the token id ",
            tokens.largest, ", but the model's vocabulary has ", vocabulary);
}

} // namespace uoe
