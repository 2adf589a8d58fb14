"""Decisions of a declared space that are plain numbers: any value of a range, without a list of choices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# A range whose ends lie further apart than this factor is looked at by logarithms, as lat does when it draws.
WIDE = 10.0


def parsed(cell: str) -> float | None:
    """A number as the program reads it, which takes neither ``1_000`` nor digits of other scripts."""
    cell = cell.strip()
    return float(cell) if NUMBER.fullmatch(cell) else None


@dataclass(frozen=True)
class NumberRange:
    """A range, both ends included. As a text it is what a sentence expects of a value."""

    begin: float
    end: float

    @property
    def has_log(self) -> bool:
        """Whether all values have a logarithm."""
        return self.begin > 0

    @property
    def gate_names(self) -> tuple[str, ...]:
        return ("value", "ln value") if self.has_log else ("value",)

    def find(self, cell: Any) -> float | None:
        """The value, exact in float32, that a text or a number stands for; None if it is none of the range."""
        value = parsed(str(cell))
        slack = 1e-9 * max(abs(self.begin), abs(self.end))
        if value is None or not self.begin - slack <= value <= self.end + slack:
            return None
        value = float(np.float32(value))
        has_gates = math.isfinite(value) and (value > 0 or not self.has_log)
        return value if has_gates else None

    def gates(self, value: float) -> list[float]:
        """The gates of a value, exact in float32: its place between begin and end and, if all have one, that of its logarithm."""
        shares = [(value - self.begin) / (self.end - self.begin)]
        if self.has_log:
            begin = math.log(self.begin)
            shares.append((math.log(value) - begin) / (math.log(self.end) - begin))
        return [float(np.float32(share)) for share in shares]

    @property
    def middle(self) -> float:
        """The value in the middle; in that of the logarithms if the range is wide."""
        is_wide = self.has_log and self.end > WIDE * self.begin
        return float(np.float32(math.sqrt(self.begin * self.end) if is_wide else (self.begin + self.end) / 2))

    def __str__(self) -> str:
        begin, end = (np.format_float_positional(number, trim="-") for number in (self.begin, self.end))
        return f"a number from {begin} to {end}"


def read_number(entry: Mapping[str, Any]) -> NumberRange | None:
    """The range of a declaration's ``[[decision]]``; None if it has a list of choices."""
    if "number" not in entry:
        return None
    range_ = entry["number"]
    return NumberRange(float(range_["from"]), float(range_["to"]))
