"""What checks of model folders share: which folders, and how the result is told."""
import pathlib
import subprocess

import onnx
from onnx import numpy_helper


def run(*command, **options):
    """Runs a command with its output captured."""
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def model_folders(paths):
    """All folders with model.onnx in or below the paths, sorted."""
    return sorted({model.parent for path in paths for model in pathlib.Path(path).rglob("model.onnx")})


def recorded_inputs(folder, graph):
    """The recorded tensors of test_data_set_0 for a graph's inputs, by name."""
    arrays = {}
    for i, value in enumerate(graph.input):
        path = folder / "test_data_set_0" / f"input_{i}.pb"
        if path.exists():
            arrays[value.name] = numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))
    return arrays


def check_all(paths, cases, problem_of):
    """Calls problem_of(folder, case), which says what is wrong or nothing, for each folder and each of cases(folder). Prints what failed and
    "N passed, N failed"; returns the exit status."""
    passed = failed = 0
    for folder in model_folders(paths):
        for case in cases(folder):
            problem = problem_of(folder, case)
            passed, failed = passed + (not problem), failed + bool(problem)
            if problem:
                print(f"FAIL {folder.name}{case and ', '}{case}: {problem}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
