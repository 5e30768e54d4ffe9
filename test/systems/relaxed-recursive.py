import numpy as np
from equations import normal, softmax


def relaxed(rng):
    for rank in (0, 2, 8):
        layers = normal(rng, 3, 8, 8) / 4
        w = layers.mean(0)
        u, s, v = np.linalg.svd(layers - w)
        a, b = u * s[:, None], v.copy()
        a[:, :, rank:], b[:, rank:] = 0, 0
        x = normal(rng, 2, 5, 8)
        i = {n: m.astype(np.float32).astype(np.float64) for n, m in dict(x=x, w=w, a=a, b=b).items()}
        x = i["x"]
        for r in range(3):
            # Full rank: the untied layers themselves; rank 0: the tied one alone.
            x = np.tanh(x @ (layers[r] if rank == 8 else w if rank == 0 else i["w"] + i["a"][r] @ i["b"][r]))
        yield i, [x]


def cached_inputs(rng, batch, tokens, past=0):
    return dict(x=normal(rng, batch, tokens, 8), xk=normal(rng, 3, batch, 1, past, 8), xv=normal(rng, 3, batch, 1, past, 8), w=normal(rng, 8, 8) / 3,
                a=normal(rng, 3, 8, 2), b=normal(rng, 3, 2, 8))


def relaxed_cached(rng):
    for batch, tokens, past in ((1, 1, 0), (2, 5, 0), (2, 3, 4)):
        i = cached_inputs(rng, batch, tokens, past)
        x, keys, values = i["x"], [], []
        for r in range(3):
            keys.append(np.concatenate([i["xk"][r, :, 0], x @ (i["w"] + i["a"][r] @ i["b"][r])], 1))
            values.append(np.concatenate([i["xv"][r, :, 0], x], 1))
            scores = 0.3 * x @ keys[r].swapaxes(1, 2)
            scores = np.where(np.tril(np.ones((tokens, past + tokens), bool), past), scores, -np.inf)
            x = x + softmax(scores) @ values[r]
        yield i, [x, np.stack(keys)[:, :, None], np.stack(values)[:, :, None]]


def test_prefill_is_decoding_step_by_step(run):
    i = {n: a.astype(np.float32) for n, a in cached_inputs(np.random.default_rng(3), 2, 5).items()}
    whole, keys, values = run("relaxed_cached", i, "constant")
    step, parts = dict(i), []
    for part in (slice(0, 2), slice(2, 3), slice(3, 5)):
        step["x"] = i["x"][:, part]
        y, step["xk"], step["xv"] = run("relaxed_cached", step, "constant")
        parts.append(y)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(step["xk"], keys, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(step["xv"], values, rtol=2e-4, atol=2e-5)
