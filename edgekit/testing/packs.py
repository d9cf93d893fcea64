"""Plain streams that between them use every coding of a pack."""

from __future__ import annotations

import numpy as np


def int8_weights(size: int, rng: np.random.Generator, density: float = 1.0) -> bytes:
    """Normally distributed, some of them zero."""
    weights = (rng.normal(size=size) * 20).round().clip(-127, 127)
    return np.where(rng.random(size) < density, weights, 0).astype(np.int8).tobytes()


def clustered_weights(size: int, rng: np.random.Generator, density: float = 1.0) -> bytes:
    """Floats of 16 values, some of them zero."""
    table = rng.normal(size=16).astype(np.float32)
    return np.where(rng.random(size) < density, table[rng.integers(0, 16, size)], 0).astype(np.float32).tobytes()


def text(size: int) -> bytes:
    """Repetitive, as manifests and operator tables are."""
    lines = "".join(f'{{"name": "conv{i % 7}", "module": "layer{i % 3}.{i}", "dtype": "int8"}}\n' for i in range(size // 40))
    return lines.encode()[:size]


def plain_streams() -> dict[str, bytes]:
    """By what they are like, some hundred to some thousand bytes each."""
    rng = np.random.default_rng(0)
    return {
        "one byte": b"x",
        "text": text(1500),
        "noise": rng.bytes(900),
        "zeros": bytes(3000),
        "dense": int8_weights(3000, rng),
        "sparse": int8_weights(6000, rng, 0.05),
        "clustered": clustered_weights(2000, rng, 0.1),
        "floats": rng.normal(size=1500).astype(np.float32).tobytes(),
        "halves": rng.normal(size=1500).astype(np.float16).tobytes(),
        "model": b"".join([text(400), int8_weights(2304, rng), text(300), clustered_weights(900, rng, 0.2), rng.bytes(200), text(500)]),
    }
