"""What tests share: the golden predictors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.lat"))


class Golden:
    """A predictor's file and what lat itself says of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = FOLDER / f"{name}.lat"
        self.said: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))

    def array(self, key: str) -> np.ndarray:
        return np.array(self.said[key], dtype=np.float64)


def golden_with(key: str) -> Any:
    """Marks a test as one for each predictor of which lat said that."""
    all_ = [Golden(name) for name in NAMES]
    return pytest.mark.parametrize("golden", [g for g in all_ if key in g.said], ids=lambda g: g.name)


def relative(found: Any, expected: Any) -> float:
    """The largest relative difference."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    assert found.shape == expected.shape
    return float(np.max(np.abs(found - expected) / np.abs(expected)))
