#!/usr/bin/env bash
# The main job on a real model: installs and builds what is missing, obtains all-MiniLM-L6-v2, converts it, proves the
# decomposition, runs dense and converted, and prints a table.
#   scripts/demo.sh [experts|cascade] [BUDGET]
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=${1:-experts}
budget=${2:-0.75}
UOE_BUILD_TARGETS="uoe-opt uoe-run" scripts/setup.sh
out=build/demo
mkdir -p "$out"
[ -f "$out/minilm.onnx" ] || .venv/bin/python models/minilm.py "$out/minilm.onnx"

echo; echo "== proof: eight experts per layer equal the dense model"
build/bin/uoe-opt "$out/minilm.onnx" --prove --experts 8 --calibrate models/minilm-calibration.npy -o "$out/decomposed.onnx"

echo; echo "== conversion: recipe $recipe, $budget of the FFN's multiply-adds"
build/bin/uoe-opt "$out/minilm.onnx" --recipe "$recipe" --budget "$budget" --calibrate models/minilm-calibration.npy \
  --report "$out/report.json" -o "$out/converted.mlir"

echo; echo "== dense and converted"
build/bin/uoe-run summary "$out/minilm.onnx" "$out/converted.mlir" --tokens models/minilm-evaluation.npy --dim batch=1 --dim sequence=128
