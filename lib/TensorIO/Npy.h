// NumPy's array files, .npy (format versions 1 to 3) and .npz.
// Source: numpy.lib.format's specification.
#pragma once
#include "runtime/core/Tensor.h"
#include <string>
#include <utility>
#include <vector>

namespace uoe {

/// Reads a .npy file: booleans, integers, float16/32/64, complex, either byte order, C or Fortran
/// order. `V2`, which is how ml_dtypes' bfloat16 is saved, becomes bfloat16. Raises rt::Error that
/// names the file for anything else and for damaged files.
rt::Tensor readNpy(const std::string &path);
/// The same from bytes in memory; `name` is for messages.
rt::Tensor parseNpy(const std::string &bytes, const std::string &name);

/// The content of a .npy file of version 1. bfloat16 and 8-bit floats are saved as ml_dtypes does
/// (V2, V1); 4-bit integers as int8 or uint8, one element a byte.
std::string formatNpy(const rt::Tensor &tensor);
/// Writes completely or not at all; raises rt::Error naming the file.
void writeNpy(const std::string &path, const rt::Tensor &tensor);

/// All arrays of a .npz archive, in its order, without the suffix ".npy" in their names.
std::vector<std::pair<std::string, rt::Tensor>> readNpz(const std::string &path);
/// Compressed. Writes completely or not at all.
void writeNpz(const std::string &path,
              const std::vector<std::pair<std::string, rt::Tensor>> &arrays);

} // namespace uoe
