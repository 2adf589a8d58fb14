"""From gates to cost: the formula of docs/predictor-file.md, once for NumPy and PyTorch.

``xp`` is the module ``numpy`` or ``torch``: both have the few functions used here under the same names. Arrays come by name in a
mapping, so that a torch module can hold them as buffers and move them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .feature_walk import Arrays, FeatureWalk, places, read_walk

# Least reciprocal relative to the mean one, as lat has it: a rate must not become endless.
LEAST_RECIPROCAL = 1e-3
# What a variance is at least, so that its root has a slope: the least normal float32.
LEAST_VARIANCE = 1.17549435e-38


def silu(xp: Any, h: Any) -> Any:
    """h times its sigmoid; by tanh, whose slope is finite everywhere."""
    return h * 0.5 * (1 + xp.tanh(0.5 * h))


@dataclass(frozen=True)
class Formula:
    """A model of a predictor file: numbers here, arrays (their names with the walk's prefix) apart."""

    walk: FeatureWalk
    scale: str
    mu: float
    sd: float
    intercept: float
    n_layers: int

    def standardised(self, xp: Any, arrays: Arrays, x: Any) -> tuple[Any, Any]:
        """Features to the standardised prediction ``[b]``, and the variance ``[b]`` among the networks (0 without networks)."""
        p = self.walk.prefix
        z = (x @ arrays[f"{p}linear"])[:, 0] + self.intercept
        if self.n_layers == 0:
            return z, 0.0 * z
        h = xp.concatenate([x[:, arrays[f"{p}inputs"]], x @ arrays[f"{p}subtotals"] - arrays[f"{p}subtotals.means"]], axis=1)
        for i in range(self.n_layers):
            h = (silu(xp, h) if i else h) @ arrays[f"{p}layer{i}.weights"] + arrays[f"{p}layer{i}.biases"]
        outputs = h[:, :, 0]
        mean = outputs.mean(0)
        return z + mean, ((outputs - mean) ** 2).mean(0)

    def invert(self, xp: Any, z: Any) -> Any:
        """Standardised predictions to costs."""
        t = z * self.sd + self.mu
        if self.scale == "log":
            return xp.exp(t)
        return t if self.scale == "plain" else 1 / xp.clip(t, LEAST_RECIPROCAL * self.mu, None)

    def cost(self, xp: Any, arrays: Arrays, gates: Any) -> Any:
        """Gates ``[b, n_gates]`` to cost ``[b]``, without the floor."""
        return self.invert(xp, self.standardised(xp, arrays, self.walk.features(xp, arrays, gates))[0])

    def deviation(self, xp: Any, arrays: Arrays, gates: Any, spread: Mapping[str, float]) -> Any:
        """The standard deviation ``[b]`` of a measurement around the cost; ``spread`` is ``deviation`` of the file."""
        x = self.walk.features(xp, arrays, gates)
        z, among = self.standardised(xp, arrays, x)
        variance = ((x @ arrays["draws"] + arrays["draws.intercepts"]) ** 2).mean(1) + among
        cost = self.invert(xp, z)
        is_log = self.scale == "log"
        noise = spread["noise"] * (1.0 if is_log else ((z * self.sd + self.mu) / spread["typical"]) ** 2)
        slope = {"plain": 1.0, "log": cost, "reciprocal": cost * cost}[self.scale]
        return xp.sqrt(xp.clip(variance + noise, LEAST_VARIANCE, None)) * self.sd * spread["calibration"] * slope


def read_formula(head: Mapping[str, Any], tensors: Arrays, prefix: str) -> tuple[Formula, dict[str, np.ndarray]]:
    """The formula of a file's head, or of one of its parts, and its arrays.

    Raises ValueError, KeyError or IndexError where head and tensors do not fit together.
    """
    walk, arrays = read_walk(head["map"], prefix)
    n_features = len(head["map"]["features"])
    arrays[f"{prefix}linear"] = _shaped(tensors, f"{prefix}linear", (n_features, 1))
    if head["n_layers"] > 0:
        arrays[f"{prefix}inputs"] = places(head["inputs"], n_features)
        arrays.update(_networks(head, tensors, prefix, n_features))
    numbers = {name: float(head[name]) for name in ("mu", "sd", "intercept")}
    if not np.isfinite(list(numbers.values())).all() or head["scale"] not in ("plain", "log", "reciprocal"):
        raise ValueError(f"its scale is {head['scale']} with {numbers}")
    return Formula(walk, head["scale"], n_layers=head["n_layers"], **numbers), arrays


def read_spread(tensors: Arrays, n_features: int) -> dict[str, np.ndarray]:
    """The arrays that :meth:`Formula.deviation` reads."""
    n_draws = tensors["draws.intercepts"].size
    return {name: _shaped(tensors, name, shape) for name, shape in (("draws", (n_features, n_draws)), ("draws.intercepts", (n_draws,)))}


def _networks(head: Mapping[str, Any], tensors: Arrays, prefix: str, n_features: int) -> dict[str, np.ndarray]:
    n_subtotals = tensors[f"{prefix}subtotals.means"].size
    arrays = {
        f"{prefix}subtotals": _shaped(tensors, f"{prefix}subtotals", (n_features, n_subtotals)),
        f"{prefix}subtotals.means": _shaped(tensors, f"{prefix}subtotals.means", (n_subtotals,)),
    }
    width = len(head["inputs"]) + n_subtotals
    for i in range(head["n_layers"]):
        weights = tensors[f"{prefix}layer{i}.weights"]
        n_networks, _, n_out = weights.shape
        arrays[f"{prefix}layer{i}.weights"] = _shaped(tensors, f"{prefix}layer{i}.weights", (n_networks, width, n_out))
        arrays[f"{prefix}layer{i}.biases"] = _shaped(tensors, f"{prefix}layer{i}.biases", (n_networks, 1, n_out))
        width = n_out
    if width != 1:
        raise ValueError(f"its last layer has {width} outputs, not 1")
    return arrays


def _shaped(tensors: Arrays, name: str, shape: tuple[int, ...]) -> np.ndarray:
    tensor = tensors[name]
    if tensor.shape != shape:
        raise ValueError(f"`{name}` has shape {list(tensor.shape)}, not {list(shape)}")
    return tensor.astype(np.float64)
