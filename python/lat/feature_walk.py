"""From gates to features: the map of a predictor file, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class FeatureWalk:
    """How features are made; the arrays (their names with ``prefix``) are apart.

    ``levels`` tells of each level whether it holds sums or products.
    """

    prefix: str
    levels: tuple[str, ...]

    def features(self, xp: Any, arrays: Arrays, gates: Any) -> Any:
        """Gates ``[b, n_gates]`` to features ``[b, n_features]``."""
        values = xp.concatenate([xp.ones_like(gates[:, :1]), gates], axis=1)
        for number, kind in enumerate(self.levels):
            name = f"{self.prefix}level{number}"
            is_sum = kind == "sums"
            new = values @ arrays[name] if is_sum else values[:, arrays[f"{name}.a"]] * values[:, arrays[f"{name}.b"]]
            values = xp.concatenate([values, new], axis=1)
        return values[:, arrays[f"{self.prefix}features"]]


def read_walk(map_: Mapping[str, Any], prefix: str) -> tuple[FeatureWalk, dict[str, np.ndarray]]:
    """The walk of a file's ``map``, and its arrays.

    Raises ValueError, KeyError or IndexError where it reads values that are not there.
    """
    arrays: dict[str, np.ndarray] = {}
    n_values = 1 + map_["n_gates"]
    kinds = []
    for number, level in enumerate(map_["levels"]):
        ((kind, members),) = level.items()
        kinds.append(kind)
        of_level = _sums(members, n_values) if kind == "sums" else _products(members, n_values)
        arrays.update({f"{prefix}level{number}{end}": array for end, array in of_level.items()})
        n_values += len(members)
    arrays[f"{prefix}features"] = places([feature["value"] for feature in map_["features"]], n_values)
    return FeatureWalk(prefix, tuple(kinds)), arrays


def _sums(sums: list[Any], n_before: int) -> dict[str, np.ndarray]:
    """Weighted sums as a matrix ``[n_before, n_sums]``, as lat computes them: a call per level, whatever the number of terms."""
    matrix = np.zeros((n_before, len(sums)))
    for column, terms in enumerate(sums):
        for value, factor in terms:
            matrix[value, column] += factor
    return {"": matrix}


def _products(pairs: list[Any], n_before: int) -> dict[str, np.ndarray]:
    return {end: places([pair[side] for pair in pairs], n_before) for side, end in enumerate((".a", ".b"))}


def places(numbers: list[int], n: int) -> np.ndarray:
    """Numbers of values, each of which must be among the ``n`` there are."""
    found = np.asarray(numbers, dtype=np.int64)
    if found.ndim != 1 or (found.size and not (found.min() >= 0 and found.max() < n)):
        raise ValueError(f"it reads values that are not among its {n}")
    return found
