// How more than passes by name plugs into the tool: conversion, proof, reports.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include <functional>
#include <string>
#include <vector>

namespace uoe {

/// What the command line says about files; "-" is standard input or output.
struct Invocation {
  std::string input, output;
  /// What OUT is to be.
  enum class Form { Text, Bytecode, Onnx } form = Form::Text;
};

/// Registered by a static object in a file of this folder, beside the cl::opt that it serves. The
/// steps of one run are: passes named on the command line, `addPasses` of every extension, `finish`
/// of every extension, OUT is written. A failure at any step (with a diagnostic) leaves OUT as it
/// was, and the exit status is not 0.
struct Extension {
  std::function<mlir::LogicalResult(mlir::PassManager &, const Invocation &)> addPasses;
  std::function<mlir::LogicalResult(mlir::ModuleOp, const Invocation &)> finish;
  /// Lines for --help's examples.
  std::string examples;
};

std::vector<Extension> &extensions();

struct RegisterExtension {
  explicit RegisterExtension(Extension extension) { extensions().push_back(std::move(extension)); }
};

} // namespace uoe
