import numpy as np
from equations import normal, sigmoid, silu

N, TAU = 4, 0.5


def experts(x, w, u, v):
    """o_i of every expert: [N, ..., d]."""
    m = w.shape[1] // N
    parts = [slice(i * m, (i + 1) * m) for i in range(N)]
    return np.stack([(silu(x @ w[:, p]) * (x @ u[:, p])) @ v[p] for p in parts])


def reference(x, w, u, v, router):
    s = sigmoid(x @ router)
    gate = np.where(s > TAU, s, 0)
    active = (gate > 0).sum(-1, keepdims=True)
    scale = np.where(active > 0, N / np.maximum(active, 1), 0)
    return scale * sum(gate[..., i:i + 1] * o for i, o in enumerate(experts(x, w, u, v)))


def weights(rng):
    return dict(w=normal(rng, 8, 12), u=normal(rng, 8, 12), v=normal(rng, 12, 8), router=normal(rng, 8, N))


def dsmoe(rng):
    for shape in ((1, 1), (2, 7), (3, 0)):
        inputs = dict(x=normal(rng, *shape, 8), **weights(rng))
        if shape == (2, 7):
            # A token that no expert takes: a router column sees -1 along its direction.
            inputs["x"][0, 3] = -np.linalg.pinv(inputs["router"].T) @ np.ones(N)
            inputs["x"] = inputs["x"].astype(np.float32).astype(np.float64)
            assert not (sigmoid(inputs["x"][0, 3] @ inputs["router"]) > TAU).any()
        yield inputs, [reference(**inputs)]


def test_gate_at_tau_is_inactive(run):
    rng = np.random.default_rng(1)
    inputs = {n: a.astype(np.float32) for n, a in dict(x=normal(rng, 1, 3, 8), **weights(rng)).items()}
    inputs["router"][:] = 0  # every gate is σ(0) = τ
    for mode in ("plain", "reference", "constant"):
        assert not run("dsmoe", inputs, mode)[0].any(), mode


def test_gates_of_one_are_dense(run):
    rng = np.random.default_rng(2)
    inputs = {n: a.astype(np.float32) for n, a in dict(x=np.abs(normal(rng, 2, 3, 8)), **weights(rng)).items()}
    inputs["router"][:] = 1e3  # σ = 1
    dense = (silu(inputs["x"] @ inputs["w"]) * (inputs["x"] @ inputs["u"])) @ inputs["v"]
    for mode in ("plain", "reference", "constant"):
        np.testing.assert_allclose(run("dsmoe", inputs, mode)[0], dense, rtol=1e-4, atol=1e-4)
