"""Gates as users have them, as rows: one number per choice of each decision, in the order of the predictor's label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import LatError, shortened

# Names of the gates of each decision: its choices, or what gates of a plain number hold.
Decisions = dict[str, tuple[str, ...]]
# What an architecture takes of each decision: the numbers of its choices, or the value of a plain number.
Choices = Sequence[tuple[int, ...] | float]


def as_rows(xp: Any, gates: Any, decisions: Decisions) -> tuple[Any, bool]:
    """Gates as ``[b, n_gates]``, and whether they were one row.

    ``gates``: a dict from each decision's name to ``[n_choices]`` or ``[b, n_choices]``, or one array ``[n_gates]`` or
    ``[b, n_gates]``. ``xp`` is the module numpy or torch whose arrays they are.
    """
    if isinstance(gates, Mapping):
        gates = _joined(xp, gates, decisions)
    n_gates = sum(len(choices) for choices in decisions.values())
    shape = tuple(gates.shape)
    if len(shape) not in (1, 2) or shape[-1] != n_gates:
        expected = f"gates of shape [{n_gates}] or [b, {n_gates}], one number per choice of each of {len(decisions)} decisions"
        hint = "; flatten() joins a table of decisions and choices" if len(shape) > 1 and _size(shape) == n_gates else ""
        raise LatError(f"expected {expected} (`cost.decisions` names them), found shape {list(shape)}{hint}")
    return (gates[None], True) if len(shape) == 1 else (gates, False)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _joined(xp: Any, gates: Mapping[str, Any], decisions: Decisions) -> Any:
    missing = [name for name in decisions if name not in gates]
    unknown = [name for name in gates if name not in decisions]
    if missing or unknown:
        what = f"none for {shortened(missing[0])}" if missing else f"{shortened(unknown[0])}, which is no decision"
        raise LatError(f"expected gates for each of {len(decisions)} decisions ({_some(decisions)}), found {what}")
    for name, choices in decisions.items():
        shape = tuple(gates[name].shape)
        if len(shape) not in (1, 2) or shape[-1] != len(choices):
            expected = f"[{len(choices)}] or [b, {len(choices)}] for '{name}' ({', '.join(choices)})"
            raise LatError(f"expected gates of shape {expected}, found shape {list(shape)}")
    sizes = {tuple(gates[name].shape)[:-1] for name in decisions}
    if len(sizes) > 1:
        raise LatError(f"expected gates of one batch size for all decisions, found sizes {sorted(map(list, sizes))}")
    return xp.concatenate([gates[name] for name in decisions], axis=-1)


def _some(decisions: Decisions) -> str:
    names = list(decisions)
    return ", ".join(names if len(names) <= 6 else [*names[:5], "..", names[-1]])
