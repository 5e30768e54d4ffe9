#!/usr/bin/env bash
# Writes docs/reference from TableGen: dialects and passes.
set -euo pipefail
cd "$(dirname "$0")/.."
tblgen="/usr/lib/llvm-22/bin/mlir-tblgen -I /usr/lib/llvm-22/include -I ."
mkdir -p docs/reference
for dialect in onnx uoe rt; do
  $tblgen -gen-dialect-doc -dialect=$dialect dialects/$dialect/Ops.td -o docs/reference/$dialect.md
done
$tblgen -gen-pass-doc passes/Passes.td -o docs/reference/passes.md
