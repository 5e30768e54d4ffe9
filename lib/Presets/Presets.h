// Models of the literature, built from nothing: a published system's routing in a whole
// transformer, token ids [batch, sequence] in and logits [batch, sequence, vocabulary] out, with
// seeded weights.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <string>
#include <vector>

namespace uoe::presets {

/// A size or setting of a preset. A whole number unless `real`.
struct Dim {
  std::string name;
  double value;
  std::string meaning;
  bool real = false;
};

struct Summary {
  std::string name, text, source;
  std::vector<Dim> dims; // with the values that are taken by default
};

/// All presets, in the order of the table.
std::vector<Summary> list();

struct Options {
  std::vector<std::string> dims; // "key=value"
  uint64_t seed = 0;
  bool weights = true; // false: the structure alone, every weight zero and none in memory
};

/// Builds the preset `name`. Weights lie in the process's WeightWriter, and are the same for the
/// same name, dims and seed on every machine. Null, with a diagnostic in `context` that says what
/// to change, for a name or a dim that there is not, or sizes that don't fit each other.
mlir::OwningOpRef<mlir::ModuleOp> build(llvm::StringRef name, const Options &options,
                                        mlir::MLIRContext *context);

} // namespace uoe::presets
