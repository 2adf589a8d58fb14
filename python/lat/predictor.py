"""A predictor in NumPy: prices architectures, and gates without gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, overload

import numpy as np

from . import program
from .architectures import Architecture, Architectures, is_one
from .disconnected import read_disconnected
from .errors import LatError
from .expected import expected_gates
from .formula import read_formula, read_spread
from .gates import Decisions, as_rows
from .predictor_file import read_file

CHUNK = 4096  # Rows priced at once, to bound memory.


class Predictor:
    """What ``lat train`` has learnt, read from its file.

    Attributes:
        label: what is predicted and where it comes from, as the file says it (docs/predictor-file.md): ``space``, ``device_name``,
            ``batch``, ``skeleton``, ``errors``, ..
        decisions: the names of the space's decisions, each with its choices, in the order of the gates. A declared decision that is a
            plain number has the names of its gates instead, ``value`` and ``ln value``.
        n_gates: number of choices of all decisions.
        floor: the least price told, in the unit.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = read_file(path)
        head, tensors = self._file.head, self._file.tensors
        try:
            self._read(head, tensors)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise LatError(f"{self._file.path} is not a predictor: its head and tensors do not fit together ({error})") from error

    def _read(self, head: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
        self.label: dict[str, Any] = head["label"]
        self.decisions: Decisions = {d["name"]: tuple(d["choices"]) for d in self.label["decisions"]}
        self.n_gates = sum(len(choices) for choices in self.decisions.values())
        self.floor = float(head["floor"])
        if head["map"]["n_gates"] != self.n_gates:
            raise ValueError(f"its gates are {head['map']['n_gates']}, but its decisions have {self.n_gates} choices")
        self._spread: dict[str, float] | None = head["deviation"]
        formula, self._arrays = read_formula(head, tensors, "")
        self._terms = [(1.0, formula)]
        for number, part in enumerate(head.get("parts", [])):
            formula, arrays = read_formula(part, tensors, f"part{number}.")
            self._terms.append((float(part["factor"]), formula))
            self._arrays.update(arrays)
        if self._spread is not None and len(self._terms) == 1:
            self._arrays.update(read_spread(tensors, len(head["map"]["features"])))
        self._space: str = self.label["space"]
        self._architectures = Architectures(self.label, self.decisions)
        self._disconnected, arrays = read_disconnected(head.get("disconnected"), self._architectures.listed, self.n_gates)
        self._arrays.update(arrays)

    @property
    def unit(self) -> str:
        """Unit of the costs: ``ms``."""
        return str(self.label["unit"])

    @cached_property
    def reference(self) -> float:
        """Cost of the average architecture, in the unit: what ``lat search`` divides by (``T_ref``, ``reference`` in search.json).

        It is the cost of the gates expected where all choices are equally likely, and in DARTS' cells all edges equally strong. Plain
        numbers are in the middle of their range there, in that of the logarithms if its end is more than ten times its begin.
        """
        return float(self(self.expected(self._architectures.uniform)))

    def __call__(self, gates: Any) -> np.ndarray:
        """Gates, a dict from decisions to ``[n_choices]`` or ``[b, n_choices]`` or one array ``[n_gates]`` or ``[b, n_gates]``, to cost
        ``[]`` or ``[b]`` in the unit. Not cut at the floor, as a search sees it."""
        rows, is_single = self._rows(gates)
        costs = self._cost(np, self._arrays, rows)
        return costs[0] if is_single else costs

    def deviation(self, gates: Any) -> np.ndarray:
        """Gates to the standard deviation ``[]`` or ``[b]``, in the unit, of a measurement around the cost.

        Of an architecture that no path leads through it is that of such architectures, as of the price.

        Raises :class:`LatError` where the fit told none.
        """
        rows, is_single = self._rows(gates)
        deviations = self._deviation(np, self._arrays, rows)
        return deviations[0] if is_single else deviations

    def expected(self, probs: Any) -> np.ndarray:
        """Probabilities, shaped as gates, to the gates expected of architectures drawn by them, ``[n_gates]`` or ``[b, n_gates]``.

        The same numbers, but in DARTS' cells, where two edges per node are kept: an edge's strength there is its largest probability
        other than that of ``none``, as DARTS derives, and what is not kept is ``none``.
        """
        rows, is_single = self._rows(probs)
        gates = expected_gates(np, rows, self._space, self.decisions)
        return gates[0] if is_single else gates

    def gates(self, architectures: Architecture | Iterable[Architecture]) -> np.ndarray:
        """The gates of one architecture ``[n_gates]`` or of several ``[n, n_gates]``: 0 and 1 but for plain numbers."""
        if is_one(architectures):
            return self._architectures.gates([architectures])[0]
        return self._architectures.gates(list(architectures))

    @overload
    def price(self, architectures: Architecture) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def price(self, architectures: Iterable[Architecture]) -> np.ndarray: ...
    def price(self, architectures: Any) -> float | np.ndarray:
        """Costs in the unit, as ``lat predict`` tells them: at least the floor; where no path leads from input to output, what such
        architectures cost.

        Args:
            architectures: one, or several: a text in the space's form (what ``str`` gives of DARTS' ``Genotype`` too), a dict from each
                decision's name to its choice's, or a sequence of the choices' numbers. A plain number stands for itself.

        Returns:
            A float of one architecture, an array ``[n]`` of several.
        """
        if is_one(architectures):
            return float(self.price([architectures])[0])
        all_ = list(architectures)
        if not self._architectures.reads_texts and any(isinstance(one, str) for one in all_):
            return self._by_program(all_)
        rows = self._architectures.gates(all_)
        pieces = [self._price(rows[at : at + CHUNK]) for at in range(0, len(rows), CHUNK)]
        return np.concatenate([np.zeros(0), *pieces])

    def _by_program(self, architectures: list[Any]) -> np.ndarray:
        """Prices of a space whose texts this package does not read."""
        if not all(isinstance(one, str) for one in architectures):
            raise LatError("expected texts only, or no texts, found both; the program prices the texts of this space")
        return np.array([row["value"] for row in program.predictions(self._file.path, architectures)])

    def _rows(self, gates: Any) -> tuple[np.ndarray, bool]:
        if isinstance(gates, Mapping):
            gates = {name: np.asarray(values, dtype=np.float64) for name, values in gates.items()}
        else:
            gates = np.asarray(gates, dtype=np.float64)
        rows, is_single = as_rows(np, gates, self.decisions)
        if not np.isfinite(rows).all():
            raise LatError("expected finite gates, found infinite ones or such that are no numbers")
        return rows, is_single

    def _cost(self, xp: Any, arrays: Mapping[str, Any], rows: Any) -> Any:
        costs = [factor * formula.cost(xp, arrays, rows) for factor, formula in self._terms]
        return sum(costs[1:], costs[0])

    def _price(self, rows: np.ndarray) -> np.ndarray:
        """Gates of architectures ``[b, n_gates]`` to what is told of them ``[b]``."""
        prices = np.maximum(self._cost(np, self._arrays, rows), self.floor)
        cut = self._disconnected
        return prices if cut is None else np.where(cut.is_cut(np, self._arrays, rows), cut.cost, prices)

    def _deviation(self, xp: Any, arrays: Mapping[str, Any], rows: Any) -> Any:
        cut, deviations = self._disconnected, self._deviation_of_model(xp, arrays, rows)
        return deviations if cut is None else xp.where(cut.is_cut(xp, arrays, rows), cut.sd, deviations)

    def _deviation_of_model(self, xp: Any, arrays: Mapping[str, Any], rows: Any) -> Any:
        spread = self._spread
        if spread is None:
            raise LatError(f"{self._file.path} tells no deviations; train with `--regressor structured`, which does")
        if len(self._terms) > 1:
            # Of a transferred predictor the noise alone is known, relative to the cost.
            return self._cost(xp, arrays, rows) * (spread["noise"] ** 0.5 / spread["typical"] * spread["calibration"])
        return self._terms[0][1].deviation(xp, arrays, rows, spread)

    def __repr__(self) -> str:
        what = f"{self.label['column']} in {self.unit} of {self.label['space']}"
        return f"{type(self).__name__}({what} on {self.label.get('device_name') or 'an unnamed device'})"
