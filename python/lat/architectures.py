"""Architectures as users have them, and their gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from .errors import LatError, shortened
from .gates import Choices, Decisions
from .number_range import NumberRange
from .texts import find_reader
from .texts.declared import DeclaredTexts

Architecture = str | Mapping[str, Any] | Sequence[float]


class Architectures:
    """Reads architectures of a predictor's space: texts, dicts from decisions to choices, sequences of choices' numbers.

    Attributes:
        places: the gates of each decision.
        numbers: the ranges of the decisions that are plain numbers, by the decision's place. The declaration alone says which are.
    """

    def __init__(self, label: Mapping[str, Any], decisions: Decisions) -> None:
        self._space: str = label["space"]
        self._decisions = decisions
        declaration = label.get("declaration")
        self._declared = DeclaredTexts(declaration, decisions) if declaration else None
        self._reader = self._declared.read if self._declared else find_reader(self._space, decisions)
        ends = np.cumsum([len(choices) for choices in decisions.values()]).tolist()
        self.places = [range(end - len(choices), end) for end, choices in zip(ends, decisions.values())]
        numbers = self._declared.numbers if self._declared else {}
        self.numbers: dict[int, NumberRange] = {place: numbers[name] for place, name in enumerate(decisions) if name in numbers}

    @property
    def reads_texts(self) -> bool:
        """Whether texts are read here; else the program alone reads those of the space."""
        return self._reader is not None

    @cached_property
    def listed(self) -> list[int]:
        """The gates that stand for a choice of a list, each 0 or 1."""
        return [gate for place, gates in enumerate(self.places) if place not in self.numbers for gate in gates]

    @property
    def uniform(self) -> np.ndarray:
        """Gates ``[n_gates]`` where all choices are equally likely, and plain numbers in the middle of their range."""
        gates = np.concatenate([np.full(len(gates), 1 / len(gates)) for gates in self.places])
        for place, range_ in self.numbers.items():
            gates[self.places[place]] = range_.gates(range_.middle)
        return gates

    def gates(self, architectures: Sequence[Any]) -> np.ndarray:
        """Gates ``[n, n_gates]`` of ``n`` architectures: 0 and 1 but for plain numbers."""
        rows = np.zeros((len(architectures), self.places[-1].stop))
        for row, architecture in zip(rows, architectures):
            choices = self._choices(architecture)
            row[[gates[choice] for gates, taken in zip(self.places, choices) if isinstance(taken, tuple) for choice in taken]] = 1
            for place, range_ in self.numbers.items():
                row[self.places[place]] = range_.gates(float(choices[place]))  # type: ignore[arg-type]
        return rows

    def _choices(self, architecture: Any) -> Choices:
        if isinstance(architecture, Mapping):
            return self._of_names(architecture)
        if isinstance(architecture, str) or hasattr(architecture, "_fields"):
            if self._reader is None:
                raise LatError(f"expected choices of {self._space} by name or number; its texts are read by the program alone, with price()")
            return self._reader(str(architecture))
        return self._of_numbers(architecture)

    def _of_names(self, architecture: Mapping[str, Any]) -> Choices:
        # What a declaration's conditions leave out may be missing.
        odd = set(architecture) - set(self._decisions) if self._declared else set(architecture) ^ set(self._decisions)
        if odd:
            first = shortened(min(odd, key=str))
            raise LatError(f"expected a choice for each of {len(self._decisions)} decisions (`decisions` names them); {first} differs")
        if self._declared:
            return self._declared.of_cells({name: str(choice) for name, choice in architecture.items()}, dict(architecture))
        for name, choices in self._decisions.items():
            if str(architecture[name]) not in choices:
                raise LatError(f"expected for '{name}' one of {', '.join(choices)}, found {shortened(architecture[name])}")
        return [(choices.index(str(architecture[name])),) for name, choices in self._decisions.items()]

    def _of_numbers(self, architecture: Any) -> Choices:
        try:
            values = [float(value) for value in architecture]
        except (TypeError, ValueError) as error:
            raise LatError(f"expected a text, a dict of choices or a sequence of their numbers, found {shortened(architecture)}") from error
        n = len(self._decisions)
        if len(values) != n:
            raise LatError(f"expected {n} numbers, one per decision (`decisions` names them), found {len(values)} in {shortened(architecture)}")
        for place, (name, choices) in enumerate(self._decisions.items()):
            if place not in self.numbers and values[place] not in range(len(choices)):
                expected = f"the number of one of its choices, 0 to {len(choices) - 1}"
                raise LatError(f"expected for '{name}' {expected}, found {shortened(architecture[place])}")
        if self._declared:
            return self._declared.of_values(dict(zip(self._decisions, values)))
        return [(int(value),) for value in values]


def is_one(architectures: Any) -> bool:
    """Whether it is one architecture: a text, a dict, a genotype, or a sequence of numbers."""
    if isinstance(architectures, (str, Mapping)) or hasattr(architectures, "_fields"):
        return True
    if isinstance(architectures, np.ndarray):
        return architectures.ndim == 1 and architectures.dtype.kind in "iuf"
    is_sequence = isinstance(architectures, Sequence) and len(architectures) > 0
    return is_sequence and all(isinstance(value, (int, float, np.integer, np.floating)) for value in architectures)
