// The inputs of a run: given tensors, and generated ones for the rest.
#pragma once
#include "lib/Execution/Session.h"
#include <map>
#include <random>

namespace uoe {

/// Sizes of symbolic dimensions by name.
using Dims = std::map<std::string, int64_t>;

struct InputOptions {
  std::map<std::string, rt::Value> given; // by input name
  Dims dims;
  uint64_t seed = 0;
  int64_t batch = 1, sequence = 8, past = 0; // of dimensions that nothing else determines
  std::vector<int64_t> tokens;               // a text for generated token ids; empty: random ids
};

struct BoundInputs {
  std::vector<rt::Value> values;      // in the order of Session::inputs()
  Dims dims;                          // every symbolic dimension, with its size
  std::vector<std::string> assumed;   // symbolic dimensions that were neither given nor implied
  std::vector<std::string> generated; // inputs that were not given
};

/// Completes the given inputs. Named dimensions take the size that a given tensor or `dims` says;
/// the total length is past plus sequence; what remains gets the sizes above. Token ids are
/// those of `tokens`, from its start and again from there when it ends, or else random below the
/// size of the embedding table that they index; masks are 1, positions count from the past's
/// length, floats are normally distributed. An input's content depends on its name, its shape and
/// the seed alone. Inputs that have a default stay absent unless given. Raises rt::Error for names
/// that the model does not have, and for sizes that contradict each other.
BoundInputs bindInputs(const Session &session, const InputOptions &options);

/// The ids of a token file one after the other, without padding, for InputOptions::tokens. Raises
/// rt::Error if the model takes no token ids, or not these.
std::vector<int64_t> textOf(const std::string &path, const Session &session);

/// A tensor of standard normal numbers, float16, bfloat16, float or double.
rt::Tensor normalTensor(rt::DType type, const rt::Shape &shape, std::mt19937_64 &random);
/// Converts integers to an integer (or Boolean) tensor of `type`.
rt::Tensor integerTensor(rt::DType type, const rt::Shape &shape,
                         const std::vector<int64_t> &values);

} // namespace uoe
