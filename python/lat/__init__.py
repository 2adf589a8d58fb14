"""Latency as a differentiable loss term, and the program `lat` from Python.

cost = lat.load("runs/predictor.lat")                          # torch.nn.Module where torch is installed
loss = cross_entropy + 0.1 * cost(gates) / cost.reference      # gates: dict or one tensor
cost.price("|nor_conv_3x3~0|+..")                              # NumPy alone is enough for this
lat.profile(space="nasbench201", samples=300)                  # runs the program
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from typing import TYPE_CHECKING

from .commands import evaluate, predict, profile, search, train
from .errors import LatError
from .predictor import Predictor
from .program import run

if TYPE_CHECKING:
    from .module import Cost

__all__ = ["LatError", "Predictor", "evaluate", "load", "predict", "profile", "run", "search", "train"]

try:
    __version__ = importlib.metadata.version("lat-nas")
except importlib.metadata.PackageNotFoundError:
    __version__ = "unknown"  # Run from its source, which has the version in the workspace's Cargo.toml alone.


def load(path: str | os.PathLike[str]) -> Cost:
    """Reads a predictor of ``lat train``.

    Returns:
        A :class:`lat.module.Cost`, which is a ``torch.nn.Module``. Without torch a :class:`lat.Predictor`, which has the same
        attributes and methods on NumPy arrays, without gradients; ``lat.Predictor(path)`` gives that in any case.

    Raises:
        LatError: where the file cannot be read, is damaged or no predictor.
    """
    predictor = Predictor(path)
    if importlib.util.find_spec("torch") is None:
        return predictor  # type: ignore[return-value]
    from .module import Cost

    return Cost(predictor)
