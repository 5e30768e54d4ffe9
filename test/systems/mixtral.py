import pathlib
import shutil
import tempfile

import numpy as np
from check import call
from equations import normal, sigmoid, silu, softmax, topk

EXPORTS = pathlib.Path(__file__).resolve().parents[3] / "shared/data/exports"

SHAPES = ((1, 1), (2, 7), (3, 33), (1, 0))


def inputs(rng, shape, experts):
    i = dict(x=normal(rng, *shape, 8), w=normal(rng, 8, experts), u=0.5 * normal(rng, experts, 8, 6), g=0.5 * normal(rng, experts, 8, 6),
             d=0.5 * normal(rng, experts, 6, 8))
    return {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}


def feed_forward(x, u, g, d):
    return (silu(x @ g) * (x @ u)) @ d


def mixture(i, weights):
    return sum(weights[..., e:e + 1] * feed_forward(i["x"], i["u"][e], i["g"][e], i["d"][e]) for e in range(len(i["u"])))


def mixtral(rng):
    for shape in SHAPES:
        i = inputs(rng, shape, 4)
        logits = i["x"] @ i["w"]
        # As the paper has it: softmax of the two logits that are kept.
        yield i, [mixture(i, softmax(np.where(topk(logits, 2), logits, -np.inf)))]


def mixtral_as_experts(rng):
    for i, y in mixtral(rng):
        beside = {n: i[n].transpose(1, 0, 2).reshape(8, 24) for n in "ug"}
        yield dict(i, **beside, d=i["d"].reshape(24, 8)), y


def olmoe(rng):
    for shape in SHAPES:
        i = inputs(rng, shape, 5)
        p = softmax(i["x"] @ i["w"])
        yield i, [mixture(i, np.where(topk(p, 3), p, 0))]


def qwen_moe(rng):
    for shape in SHAPES:
        i = inputs(rng, shape, 4)
        own = dict(ws=normal(rng, 8, 1), us=0.5 * normal(rng, 8, 12), gs=0.5 * normal(rng, 8, 12), ds=0.5 * normal(rng, 12, 8))
        i.update({n: a.astype(np.float32).astype(np.float64) for n, a in own.items()})
        p = softmax(i["x"] @ i["w"])
        yield i, [mixture(i, np.where(topk(p, 2), p, 0)) + sigmoid(i["x"] @ i["ws"]) * feed_forward(i["x"], i["us"], i["gs"], i["ds"])]


def test_one_expert_of_one_is_dense(run):
    """With all experts equal, normalised weights give the dense block whatever the router says."""
    rng = np.random.default_rng(3)
    i = {n: a.astype(np.float32) for n, a in inputs(rng, (2, 5), 4).items()}
    for n in "ugd":
        i[n] = np.repeat(i[n][:1], 4, axis=0)
    dense = feed_forward(*(a.astype(np.float64) for a in (i["x"], i["u"][0], i["g"][0], i["d"][0])))
    for mode in ("plain", "reference", "constant", "onnx"):
        np.testing.assert_allclose(run("mixtral", i, mode)[0], dense, rtol=2e-4, atol=2e-5)


def test_raised_models_give_what_was_recorded(run):
    """Exports of Mixtral and OLMoE, raised, as routed experts: the outputs that ONNX Runtime recorded. Where the exports lie beside the checkout."""
    for folder in sorted(EXPORTS.glob("*")):
        if not folder.name.startswith(("mixtral", "olmoe")):
            continue
        with tempfile.TemporaryDirectory() as name:
            scratch = pathlib.Path(name)
            call(["uoe-opt", folder / "model.onnx", "--raise", "--drop-spelling", "--moe-to-experts", "-o", scratch / "routed.mlir"])
            text = (scratch / "routed.mlir").read_text()
            assert text.count("uoe.select") == 2 and "uoe.moe" not in text, folder.name
            call(["uoe-opt", scratch / "routed.mlir", "--lower-uoe-to-onnx", "-o", scratch / "model.onnx"])
            for data in folder.glob("test_data_set_*"):
                shutil.copytree(data, scratch / data.name)
            for form in ([], ["--no-fuse"]):
                call(["uoe-run", "test", scratch, *form])
