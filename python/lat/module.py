"""A predictor as a PyTorch module: a differentiable cost to add to a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from .architectures import Architecture
from .expected import expected_gates
from .gates import Decisions, as_rows
from .predictor import Predictor

Gates = Mapping[str, torch.Tensor] | torch.Tensor


class Cost(torch.nn.Module):
    """What a predictor says that gates cost; gradients reach the gates.

    The predictor's weights are buffers: ``to(device)``, ``double()`` and ``float()`` move them, no optimizer sees them, and no
    ``state_dict`` holds them, since they are in the predictor's file. Gates are taken to their floating type, half precision and
    autocast included: the cost is computed in float32 or float64 always.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor
        for name, array in predictor._arrays.items():
            tensor = torch.from_numpy(array)
            # Buffers' names may have no dots.
            self.register_buffer(_buffer(name), tensor.float() if tensor.is_floating_point() else tensor, persistent=False)

    def forward(self, gates: Gates) -> torch.Tensor:
        """Gates to cost ``[]`` or ``[b]`` in the unit, not cut at the floor so that there is always a slope.

        Args:
            gates: a dict from each decision's name to ``[n_choices]`` or ``[b, n_choices]``, or one tensor ``[n_gates]`` or
                ``[b, n_gates]``: 0 and 1 of an architecture, probabilities, or a straight-through mixture of both.
        """
        rows, is_single = self._rows(gates)
        with _exactly(rows.device):
            costs = self.predictor._cost(torch, self._arrays(), rows)
        return costs[0] if is_single else costs

    def deviation(self, gates: Gates) -> torch.Tensor:
        """Gates to the standard deviation ``[]`` or ``[b]``, in the unit, of a measurement around the cost; differentiable.

        Of an architecture that no path leads through it is a number of the file, without a slope. Raises :class:`lat.LatError` where the fit
        told none.
        """
        rows, is_single = self._rows(gates)
        with _exactly(rows.device):
            deviations = self.predictor._deviation(torch, self._arrays(), rows)
        return deviations[0] if is_single else deviations

    def expected(self, probs: Gates) -> torch.Tensor:
        """As :meth:`lat.Predictor.expected`, differentiable."""
        rows, is_single = self._rows(probs)
        gates = expected_gates(torch, rows, self.label["space"], self.decisions)
        return gates[0] if is_single else gates

    def gates(self, architectures: Architecture | Iterable[Architecture]) -> torch.Tensor:
        """The gates of one architecture ``[n_gates]`` or of several ``[n, n_gates]``, where the module computes."""
        return torch.from_numpy(self.predictor.gates(architectures)).to(self._like)

    def price(self, architectures: Any) -> float | np.ndarray:
        """As :meth:`lat.Predictor.price`: NumPy in double precision, no gradient."""
        return self.predictor.price(architectures)

    @property
    def label(self) -> dict[str, Any]:
        """As :attr:`lat.Predictor.label`."""
        return self.predictor.label

    @property
    def decisions(self) -> Decisions:
        """As :attr:`lat.Predictor.decisions`."""
        return self.predictor.decisions

    @property
    def n_gates(self) -> int:
        """As :attr:`lat.Predictor.n_gates`."""
        return self.predictor.n_gates

    @property
    def unit(self) -> str:
        """As :attr:`lat.Predictor.unit`."""
        return self.predictor.unit

    @property
    def floor(self) -> float:
        """As :attr:`lat.Predictor.floor`."""
        return self.predictor.floor

    @property
    def reference(self) -> float:
        """As :attr:`lat.Predictor.reference`."""
        return self.predictor.reference

    @property
    def _like(self) -> torch.Tensor:
        return self.get_buffer("linear")

    def _arrays(self) -> dict[str, torch.Tensor]:
        return {name: self.get_buffer(_buffer(name)) for name in self.predictor._arrays}

    def _rows(self, gates: Gates) -> tuple[torch.Tensor, bool]:
        rows, is_single = as_rows(torch, gates, self.decisions)
        return rows.to(self._like), is_single

    def extra_repr(self) -> str:
        return repr(self.predictor)


def _buffer(name: str) -> str:
    return name.replace(".", "_")


def _exactly(device: torch.device) -> AbstractContextManager[Any]:
    """Turns autocast off, under which products would have eight bits."""
    try:
        return torch.autocast(device.type, enabled=False)
    except RuntimeError:
        return nullcontext()  # A kind of device without autocast.
