"""From a method's probabilities to the gates expected of the architectures drawn by them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from .gates import Decisions

# Spaces whose decisions compete: so many in-edges are kept per node.
KEPT = {"darts": 2, "darts-frc": 2}


def expected_gates(xp: Any, probs: Any, space: str, decisions: Decisions) -> Any:
    """Probabilities ``[b, n_gates]`` to gates ``[b, n_gates]``, differentiable where ``xp`` is torch.

    Where decisions compete, each set of the size that is kept is as likely as the product of its members' strengths, and a kept edge
    has an operation other than ``none``.
    """
    if space not in KEPT:
        return probs
    pieces = []
    for first, n_edges, n_choices in _nodes(decisions):
        node = probs[:, first : first + n_edges * n_choices].reshape(-1, n_edges, n_choices)
        pieces.append(_of_node(xp, node, KEPT[space]).reshape(-1, n_edges * n_choices))
    return xp.concatenate(pieces, axis=1)


def _nodes(decisions: Decisions) -> Iterator[tuple[int, int, int]]:
    """Of each node: its first gate, its in-edges and the choices of each; edges are named ``cell/from-to``."""
    nodes: dict[str, list[int]] = {}
    first = 0
    for name, choices in decisions.items():
        nodes.setdefault(name.split("/")[0] + name.split("-")[-1], [first]).append(len(choices))
        first += len(choices)
    for begin, *sizes in nodes.values():
        yield begin, len(sizes), sizes[0]


def _of_node(xp: Any, probs: Any, n_kept: int) -> Any:
    """Probabilities ``[b, n_edges, n_choices]`` to gates; choice 0 is ``none``."""
    operations = probs[:, :, 1:]
    strengths = xp.amax(operations, axis=2)
    sets = list(combinations(range(probs.shape[1]), n_kept))
    weights = [_product(strengths, members) for members in sets]
    total = sum(weights[1:], weights[0])
    keep = [sum(w for w, members in zip(weights, sets) if edge in members) / total for edge in range(probs.shape[1])]
    kept = xp.stack(keep, axis=1)[:, :, None]
    shares = operations / xp.clip(operations.sum(2)[:, :, None], 1e-30, None)
    return xp.concatenate([1 - kept, shares * kept], axis=2)


def _product(strengths: Any, members: tuple[int, ...]) -> Any:
    product = strengths[:, members[0]]
    for member in members[1:]:
        product = product * strengths[:, member]
    return product
