"""What the references of this folder share, in double precision."""

import math

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) if x.size else x


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=axis, keepdims=True)


def topk(x, k):
    """Flags of the k highest along the last axis, ties to the lower index."""
    order = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    flags = np.zeros(x.shape, bool)
    np.put_along_axis(flags, order, True, axis=-1)
    return flags


def normal(rng, *shape):
    """Float32 values in double precision, so that references and runs start from the same numbers."""
    return rng.standard_normal(shape).astype(np.float32).astype(np.float64)
