// Token files: a stream of ids, or sentences padded with 0.
#pragma once
#include "runtime/core/Tensor.h"
#include <string>
#include <vector>

namespace uoe {

struct TokenFile {
  std::vector<std::vector<int64_t>>
      sentences; // without the padding at their ends; one for a stream
  bool stream = false;
  int64_t largest = 0;
};

/// Reads a .npy file of an integer type: rank 1 is one stream, rank 2 is a sentence a row, 0
/// padding. Raises rt::Error naming the file otherwise, and for negative ids.
TokenFile readTokens(const std::string &path);
/// Raises rt::Error if an id is not below `vocabulary` (-1: unknown).
void checkTokens(const TokenFile &tokens, const std::string &path, int64_t vocabulary);

} // namespace uoe
