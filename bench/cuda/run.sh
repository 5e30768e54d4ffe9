#!/usr/bin/env bash
# On a machine with a GPU: tests, sanitizes and benchmarks the CUDA kernels, and leaves what was found as files.
#   bench/cuda/run.sh [results]        from a checkout: builds what it needs (nvcc, cmake, a C++ compiler; no MLIR, no network)
#   cuda-kit/run.sh [results]          from a folder made by `ninja -C build cuda-kit`: builds nothing
# Exit status 0: the tests passed on the device, the sanitizer found nothing or is not there, and the benchmark ran.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
results="${1:-cuda-results}"
mkdir -p "$results" || exit 1
if [ -x "$here/uoe-test-cuda" ]; then
  kit="$here"
  commit="$(cat "$here/commit" 2>/dev/null || echo unknown)"
else
  root="$here/../.."
  build="$root/build-cuda"
  cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DUOE_COMPILER=OFF -DUOE_CUDA=ON >"$results/build.log" 2>&1 &&
    cmake --build "$build" --parallel --target cuda-kit >>"$results/build.log" 2>&1 ||
    { tail -20 "$results/build.log"; echo "error: the build failed; see $results/build.log" >&2; exit 1; }
  kit="$build/cuda-kit"
  commit="$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)"
fi
failed=0
{ date -u +%FT%TZ; echo "commit $commit"; nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1; } | tee "$results/machine.txt"

# The contract on the device, and a small model there and on the CPU. A machine without one skips it, and that is no success here.
echo "== tests"
"$kit/uoe-test-cuda" --gtest_filter='*/Cuda' --gtest_output="xml:$results/tests.xml" >"$results/tests.log" 2>&1 || failed=1
tail -3 "$results/tests.log"
if grep -q SKIPPED "$results/tests.log"; then
  grep -m1 "not run" "$results/tests.log"
  echo "error: there is no device to test on" >&2
  exit 1
fi

echo "== compute-sanitizer"
if sanitizer="$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)"; then
  for tool in memcheck racecheck initcheck synccheck; do
    if timeout 90 "$sanitizer" --tool "$tool" --error-exitcode 9 "$kit/uoe-test-cuda" --gtest_filter='*.Float*/Cuda:*.BFloat16/Cuda:*.Capacity/Cuda:*.AWholeDecoder/Cuda' \
      >"$results/$tool.log" 2>&1; then
      echo "$tool: clean"
    else
      echo "$tool: failed, or took longer than 90 s; see $results/$tool.log"
      failed=1
    fi
  done
else
  echo "not run: there is no compute-sanitizer"
fi

echo "== benchmark"
timeout 200 "$kit/uoe-bench-cuda" --json "$results/bench.json" 2>&1 | tee "$results/bench.txt" || failed=1
exit $failed
