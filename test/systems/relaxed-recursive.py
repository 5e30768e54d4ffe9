import numpy as np
from equations import normal


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
