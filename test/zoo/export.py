#!/usr/bin/env python3
"""Exports tiny models of many architectures by torch.onnx, with inputs and the outputs of ONNX Runtime beside them.

    export.py FOLDER [--exporters torchscript,dynamo] [--experts batched_mm|eager] [NAME...]

FOLDER/NAME-EXPORTER/model.onnx with test_data_set_0 and _1 (ONNX's backend-test layout; batch and sequence other than at export). What is there
already is kept. Prints one line for each graph.
"""
import argparse
import os
import pathlib
import shutil
import sys
import warnings

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
warnings.filterwarnings("ignore")

import numpy as np
import onnxruntime
import torch
import transformers
from onnx import numpy_helper

from architectures import ARCHITECTURES, SIZES


class FirstOutput(torch.nn.Module):
    """The model as a function of tensors to its logits or hidden states."""

    def __init__(self, model, names, fixed):
        super().__init__()
        self.model, self.names, self.fixed = model, names, fixed

    def forward(self, *tensors):
        result = self.model(**dict(zip(self.names, tensors)), **self.fixed)
        for name in ("logits", "last_hidden_state"):
            if getattr(result, name, None) is not None:
                return getattr(result, name)
        return result[0]


def inputs(kind, batch, length, random):
    ids = lambda *shape: torch.tensor(random.integers(3, 99, shape))
    if kind == "image":
        return {"pixel_values": torch.tensor(random.standard_normal((batch, 3, 32, 32)), dtype=torch.float32)}
    if kind == "audio":
        return {"input_values": torch.tensor(random.standard_normal((batch, length * 80)), dtype=torch.float32)}
    mask = torch.ones(batch, length, dtype=torch.long)
    if batch > 1:  # padding: in front for decoders, behind for encoders
        mask[0, :2 if kind == "decoder" else 0] = 0
        if kind != "decoder":
            mask[0, length - 2:] = 0
    feeds = {"input_ids": ids(batch, length), "attention_mask": mask}
    if kind == "encoder-decoder":
        feeds["decoder_input_ids"] = ids(batch, length // 2 + 1)
    return feeds


def build(name, config, model, sizes, eager, experts):
    torch.manual_seed(sum(map(ord, name)))
    settings = getattr(transformers, config)(**{**SIZES, **sizes})
    settings._attn_implementation = "eager" if eager else "sdpa"
    try:
        module = getattr(transformers, model)(settings)
    except ValueError:  # no sdpa
        settings._attn_implementation = "eager"
        module = getattr(transformers, model)(settings)
    if hasattr(module, "set_experts_implementation"):
        module.set_experts_implementation(experts)
    module = module.float().eval()
    for parameter in module.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
        else:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return module


def record(folder, kind, random):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for i, (batch, length) in enumerate([(3, 16), (1, 9)]):
        feeds = inputs(kind, batch, length, random)
        given = [(port.name, feeds[port.name].numpy()) for port in session.get_inputs()]
        results = session.run(None, dict(given))
        data = folder / f"test_data_set_{i}"
        data.mkdir(exist_ok=True)
        for j, (port, value) in enumerate(given):
            (data / f"input_{j}.pb").write_bytes(numpy_helper.from_array(value, port).SerializeToString())
        for j, (port, value) in enumerate(zip(session.get_outputs(), results)):
            (data / f"output_{j}.pb").write_bytes(numpy_helper.from_array(value, port.name).SerializeToString())


def export(folder, kind, name, config, model, sizes, exporter, experts):
    random = np.random.default_rng(1)
    feeds = inputs(kind, 2, 11, random)
    fixed = {"use_cache": False} if "decoder" in kind else {}
    module = FirstOutput(build(name, config, model, sizes, exporter == "torchscript", experts), list(feeds), fixed).eval()
    axes = {key: {0: "batch"} if kind == "image" else {0: "batch", 1: "decoded" if key.startswith("decoder") else "seq"} for key in feeds}
    file, tensors = str(folder / "model.onnx"), tuple(feeds.values())
    with torch.no_grad():
        if exporter == "torchscript":
            torch.onnx.export(module, tensors, file, input_names=list(feeds), output_names=["out"], dynamic_axes=axes, opset_version=17,
                              dynamo=False)
        else:
            shapes = tuple({i: torch.export.Dim.DYNAMIC for i in dims} for dims in axes.values())
            torch.onnx.export(module, tensors, file, input_names=list(feeds), output_names=["out"], dynamic_shapes=(shapes,), dynamo=True,
                              opset_version=20, external_data=False, verbose=False)
    record(folder, kind, random)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--exporters", default="torchscript,dynamo")
    parser.add_argument("--experts", default="batched_mm", help="how transformers computes mixtures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    for kind, name, config, model, sizes in ARCHITECTURES:
        for exporter in args.exporters.split(","):
            folder = args.folder / f"{name}-{exporter}"
            if (args.names and name not in args.names) or (folder / "test_data_set_1").exists():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            try:
                export(folder, kind, name, config, model, sizes, exporter, args.experts)
                print(name, exporter, "exported", flush=True)
            except Exception as error:  # the exporter's limits are many
                shutil.rmtree(folder)
                failed += 1
                print(name, exporter, "not exported:", type(error).__name__, str(error).strip().replace("\n", " ")[:160], flush=True)
    print(f"{failed} could not be exported")


if __name__ == "__main__":
    sys.exit(main())
