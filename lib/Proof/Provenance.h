// Where each element of a weight expression comes from.
#pragma once
#include "lib/Constants/Evaluate.h"
#include <map>

namespace uoe {

/// Numbers the elements of all weights: an expression that moves elements (Transpose, Slice,
/// Gather, Reshape ...) is evaluated on their numbers, so that two expressions hold the same
/// weights exactly where their numbers are equal. A weight is an initializer or constant, or the
/// result of arithmetic on such (a dequantised matrix), which is known by its bytes.
class Provenance {
public:
  /// The number of every element of a constant expression, as int64. Fails with a diagnostic.
  mlir::FailureOr<rt::Tensor> trace(mlir::Value value);
  /// The same for a tensor that stands for itself, known by its bytes.
  rt::Tensor trace(const rt::Tensor &content, const std::string &name);

  int64_t weightOf(int64_t number) const { return number / kSpan; }
  int64_t elementOf(int64_t number) const { return number % kSpan; }
  int64_t sizeOf(int64_t weight) const { return leaves[weight].elements; }
  const std::string &nameOf(int64_t weight) const { return leaves[weight].name; }
  /// True for a result of arithmetic; `valueOf` then tells an element's value, as a hash.
  bool isComputed(int64_t weight) const {
    return leaves[weight].content.dtype() != rt::DType::None;
  }
  uint64_t valueOf(int64_t weight, int64_t element) const;
  /// "element 17 of 'layer.0.up.weight'".
  std::string describe(int64_t number) const;

private:
  static constexpr int64_t kSpan = int64_t(1) << 40;
  struct Leaf {
    std::string name;
    int64_t elements;
    rt::Tensor content; // of computed ones
  };
  /// Symbol or bytes, and the attribute that holds the elements.
  using Key = std::tuple<std::string, const void *>;
  rt::Tensor number(const Key &key, const std::string &name, const rt::Shape &shape);

  std::vector<Leaf> leaves;
  std::map<Key, int64_t> known;
  WeightReader weights;
};

} // namespace uoe
