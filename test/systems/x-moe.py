import numpy as np
from equations import gelu, normal, sigmoid, softmax, topk


def weights(rng):
    return dict(p=normal(rng, 8, 2), e=normal(rng, 2, 4), u=normal(rng, 8, 12), d=normal(rng, 12, 8))


def unit(v, axis):
    norm = np.sqrt((v ** 2).sum(axis, keepdims=True))
    return np.divide(v, norm, out=np.zeros_like(v), where=norm > 0)


def reference(x, p, e, u, d, gate):
    s = unit(x @ p, -1) @ unit(e, 0)
    g = np.where(topk(s, 1), gate(s), 0)
    return x + sum(g[..., i:i + 1] * (gelu(x @ u[:, 3 * i:3 * i + 3]) @ d[3 * i:3 * i + 3]) for i in range(4)), s


def cases(rng, gate):
    for shape in ((1, 1), (2, 5), (2, 0)):
        inputs = dict(x=normal(rng, *shape, 8), **weights(rng))
        if shape == (2, 5):
            inputs["x"][1, 2] = 0  # a zero token: all scores 0, the first expert
        yield inputs, list(reference(**inputs, gate=gate))


def softmax_gate(rng):
    return cases(rng, lambda s: softmax(s / 0.3))


def sigmoid_gate(rng):
    return cases(rng, lambda s: sigmoid(s / 0.07))


def hot(rng):
    """As τ grows every gate of the softmax goes to 1/N, and the choice stays."""
    return cases(rng, lambda s: np.full(s.shape, 0.25))


def test_lengths_leave_scores_unchanged(run):
    rng = np.random.default_rng(3)
    inputs = {n: a.astype(np.float32) for n, a in dict(x=normal(rng, 1, 9, 8), **weights(rng)).items()}
    before = run("softmax_gate", inputs)[1]
    assert np.abs(before).max() <= 1 + 1e-6
    longer = dict(inputs, x=inputs["x"] * np.float32(37), e=inputs["e"] * np.float32([[1e-3, 5, 1, 20]]))
    for mode in ("plain", "constant", "onnx"):
        np.testing.assert_allclose(run("softmax_gate", longer, mode)[1], before, atol=2e-6)
