"""Networks without a path from input to output: they have a price of their own, since a device need not compute anything of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .feature_walk import Arrays, FeatureWalk, read_walk

PREFIX = "disconnected."
# How far from 0 and 1 a gate of an architecture may lie: straight-through mixtures have rounding in them.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Disconnected:
    """What such networks cost, in the unit, and the standard deviation around it."""

    cost: float
    sd: float
    walk: FeatureWalk

    def is_cut(self, xp: Any, arrays: Arrays, gates: Any) -> Any:
        """Of gates ``[b, n_gates]`` whether no path leads from input to output, ``[b]``. Mixtures of several architectures are not cut."""
        listed = gates[:, arrays[f"{PREFIX}listed"]]
        is_one = (abs(listed - xp.round(listed)) < ROUNDING).all(1)
        return is_one & (self.walk.features(xp, arrays, gates)[:, 0] < 0.5)


def read_disconnected(head: Mapping[str, Any] | None, listed: Sequence[int], n_gates: int) -> tuple[Disconnected | None, dict[str, np.ndarray]]:
    """The field ``disconnected`` of a file and its arrays; ``listed`` are the places of the gates that are 0 or 1.

    Raises ValueError, KeyError or IndexError where it does not fit the gates.
    """
    if head is None:
        return None, {}
    cost, sd, map_ = float(head["cost"]), float(head["sd"]), head["map"]
    if map_["n_gates"] != n_gates or len(map_["features"]) != 1 or not np.isfinite([cost, sd]).all():
        raise ValueError("its price of networks without a path is not made of its gates")
    walk, arrays = read_walk(map_, PREFIX)
    return Disconnected(cost, sd, walk), {**arrays, f"{PREFIX}listed": np.asarray(listed, dtype=np.int64)}
