import numpy as np
from equations import normal, relu, sigmoid, softmax, topk


def mixture(x, scores, parts):
    s = sigmoid(scores)
    s = np.where(topk(s, 2), s, 0)
    return sum(s[..., e:e + 1] * part(x) for e, part in enumerate(parts))


def group_of_two(rng):
    for shape in ((1, 1), (2, 5), (1, 0)):
        i = dict(x=normal(rng, *shape, 8), wa=normal(rng, 8, 4), ua=0.3 * normal(rng, 8, 12), da=0.3 * normal(rng, 12, 8), ub=0.3 * normal(rng, 8, 12),
                 db=0.3 * normal(rng, 12, 8))
        i = {n: a.astype(np.float32).astype(np.float64) for n, a in i.items()}
        # Unrolled, layer by layer, with the same weights each time.
        x = i["x"]
        for _ in range(3):
            x = x + mixture(x, x @ i["wa"], [lambda t, p=slice(3 * e, 3 * e + 3): relu(t @ i["ua"][:, p]) @ i["da"][p] for e in range(4)])
            x = x + relu(x @ i["ub"]) @ i["db"]
        yield i, [x]


def switch_head_inputs(rng, batch, tokens, past=0):
    return dict(x=normal(rng, batch, tokens, 8), xk=normal(rng, 2, batch, past, 4), xv=normal(rng, 2, batch, past, 4), scale=normal(rng, 8),
                wsv=normal(rng, 8, 3), wso=normal(rng, 8, 3), wq=normal(rng, 8, 4), wk=normal(rng, 8, 4), wv=normal(rng, 8, 12), wo=normal(rng, 12, 8))


def switch_head(rng):
    for batch, tokens, past in ((1, 1, 0), (2, 5, 0), (2, 3, 4)):
        i = switch_head_inputs(rng, batch, tokens, past)
        x, keys, values = i["x"], [], []
        for r in range(2):
            centred = x - x.mean(-1, keepdims=True)
            n = centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * i["scale"]
            v = mixture(x, n @ i["wsv"], [lambda t, p=slice(4 * e, 4 * e + 4): t @ i["wv"][:, p] for e in range(3)])
            k = np.concatenate([i["xk"][r], n @ i["wk"]], 1)
            v = np.concatenate([i["xv"][r], v], 1)
            scores = 0.5 * (n @ i["wq"]) @ k.swapaxes(1, 2)
            scores = np.where(np.tril(np.ones((tokens, past + tokens), bool), past), scores, -np.inf)
            x = x + mixture(softmax(scores) @ v, n @ i["wso"], [lambda t, p=slice(4 * e, 4 * e + 4): t @ i["wo"][p] for e in range(3)])
            keys.append(k)
            values.append(v)
        yield i, [x, np.stack(keys), np.stack(values)]


def two_heads(rng):
    for batch, tokens in ((1, 1), (2, 7), (1, 40), (1, 0)):
        i = dict(x=normal(rng, batch, tokens, 8), n=normal(rng, batch, tokens, 8), wq=normal(rng, 8, 8), wk=normal(rng, 8, 8))
        for h in range(2):
            i |= {f"wsv{h}": normal(rng, 8, 3), f"wso{h}": normal(rng, 8, 3), f"wv{h}": normal(rng, 8, 12), f"wo{h}": normal(rng, 12, 8)}
        x, n, y = i["x"], i["n"], 0
        for h in range(2):
            part, wv, wo = slice(4 * h, 4 * h + 4), i[f"wv{h}"], i[f"wo{h}"]
            v = mixture(x, n @ i[f"wsv{h}"], [lambda t, p=slice(4 * e, 4 * e + 4): t @ wv[:, p] for e in range(3)])
            scores = 0.5 * (n @ i["wq"][:, part]) @ (n @ i["wk"][:, part]).swapaxes(1, 2)
            scores = np.where(np.tril(np.ones((tokens, tokens), bool)), scores, -np.inf)
            y = y + mixture(softmax(scores) @ v, n @ i[f"wso{h}"], [lambda t, p=slice(4 * e, 4 * e + 4): t @ wo[p] for e in range(3)])
        yield i, [y]


def two_heads_inputs(rng, batch, tokens, past=0):
    i = dict(x=normal(rng, batch, tokens, 8), xk=normal(rng, 2, batch, 2, past, 4), xv=normal(rng, 2, batch, 2, past, 4), scale=normal(rng, 8),
             wq=normal(rng, 8, 8), wk=normal(rng, 8, 8))
    for h in range(2):
        i |= {f"wsv{h}": normal(rng, 8, 3), f"wso{h}": normal(rng, 8, 3), f"wv{h}": normal(rng, 8, 12), f"wo{h}": normal(rng, 12, 8)}
    return i


def two_heads_cached(rng):
    for batch, tokens, past in ((1, 1, 0), (2, 5, 0), (2, 3, 4), (1, 1, 6)):
        i = two_heads_inputs(rng, batch, tokens, past)
        x, keys, values = i["x"], np.zeros((2, batch, 2, past + tokens, 4)), np.zeros((2, batch, 2, past + tokens, 4))
        for r in range(2):
            centred = x - x.mean(-1, keepdims=True)
            n = centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * i["scale"]
            y = 0
            for h in range(2):
                part, wv, wo = slice(4 * h, 4 * h + 4), i[f"wv{h}"], i[f"wo{h}"]
                v = mixture(x, n @ i[f"wsv{h}"], [lambda t, p=slice(4 * e, 4 * e + 4): t @ wv[:, p] for e in range(3)])
                keys[r, :, h] = np.concatenate([i["xk"][r, :, h], n @ i["wk"][:, part]], 1)
                values[r, :, h] = np.concatenate([i["xv"][r, :, h], v], 1)
                scores = 0.5 * (n @ i["wq"][:, part]) @ keys[r, :, h].swapaxes(1, 2)
                scores = np.where(np.tril(np.ones((tokens, past + tokens), bool), past), scores, -np.inf)
                y = y + mixture(softmax(scores) @ values[r, :, h], n @ i[f"wso{h}"], [lambda t, p=slice(4 * e, 4 * e + 4): t @ wo[p] for e in range(3)])
            x = x + y
        yield i, [x, keys, values]


def test_prefill_is_decoding_step_by_step(run):
    for case, inputs in (("switch_head", switch_head_inputs), ("two_heads_cached", two_heads_inputs)):
        i = {n: a.astype(np.float32) for n, a in inputs(np.random.default_rng(7), 2, 4).items()}
        for mode in ("plain", "constant"):
            whole, keys, values = run(case, i, mode)
            step = dict(i)
            for t in range(4):
                step["x"] = i["x"][:, t:t + 1]
                y, step["xk"], step["xv"] = run(case, step, mode)
                np.testing.assert_allclose(y, whole[:, t:t + 1], rtol=2e-4, atol=2e-5)
            np.testing.assert_allclose(step["xk"], keys, rtol=2e-4, atol=2e-5)
            np.testing.assert_allclose(step["xv"], values, rtol=2e-4, atol=2e-5)
