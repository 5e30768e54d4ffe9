# lit's set-up: tests of dialects/, passes/ and tools/ lie in the folders of the same names here.
import os
import shutil
import subprocess

import lit.formats

config.name = "uoe"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.test_source_root = os.path.dirname(__file__)
config.excludes = ["Inputs", "conformance", "lib", "runtime", "fuzz"]

config.environment["PATH"] = os.pathsep.join([config.uoe_bin_dir, config.llvm_bin_dir, os.environ["PATH"]])
config.environment["FILECHECK_OPTS"] = "--enable-var-scope --dump-input-filter=error"
for name in ("UBSAN_OPTIONS", "ASAN_OPTIONS", "TMPDIR"):
    if name in os.environ:
        config.environment[name] = os.environ[name]

# Small models are written as Python text and made when a test runs: `RUN: %python %s %t`.
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%test", config.test_source_root))

if os.path.exists(os.path.join(config.uoe_bin_dir, "uoe-run")):
    config.available_features.add("uoe-run")
if subprocess.run([config.python, "-c", "import onnx"], capture_output=True).returncode == 0:
    config.available_features.add("onnx")
if subprocess.run([config.python, "-c", "import onnxruntime"], capture_output=True).returncode == 0:
    config.available_features.add("onnxruntime")
if os.geteuid() == 0:
    config.available_features.add("root")
# A CUDA driver that fails on request: test/runtime/cuda/FakeDriver.cpp.
fake_cuda = os.path.join(config.test_exec_root, "runtime", "cuda", "fake")
config.substitutions.append(("%fake_cuda", fake_cuda))
if os.path.exists(os.path.join(fake_cuda, "libcuda.so.1")):
    config.available_features.add("fake-cuda")
if os.path.exists(os.path.join(config.uoe_bin_dir, "uoe-bench-cuda")) and os.path.exists(
        os.path.join(config.test_exec_root, "..", "runtime", "cuda", "Experts.fatbin")):
    config.available_features.add("uoe-bench-cuda")
if os.path.exists(os.path.join(config.test_exec_root, "..", "runtime", "cuda", "Model.fatbin")):
    config.available_features.add("cuda-kernels")
# The CUDA toolkit's assembler, where nvcc was found: it checks PTX without a GPU.
ptxas = os.path.join(os.path.dirname(config.nvcc), "ptxas")
if os.path.exists(ptxas):
    config.available_features.add("ptxas")
    config.substitutions.append(("%ptxas", ptxas))
if os.path.exists("/dev/full"):
    config.available_features.add("dev-full")
