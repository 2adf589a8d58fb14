"""Cells: NAS-Bench-201's text and DARTS' genotype."""

from __future__ import annotations

import ast
import re
from typing import Any

from ..errors import LatError, shortened
from ..gates import Decisions

NB201_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
# The last bar may be missing, and blanks may stand anywhere.
NB201_EDGES = ["|{}~0|", "+|{}~0|", "{}~1|", "+|{}~0|", "{}~1|", "{}~2"]
NB201_PATTERN = re.compile(
    r"\s*".join(r"(\w+)" if c == "@" else re.escape(c) for edge in NB201_EDGES for c in edge.replace("{}", "@")) + r"(?![\w~])", re.ASCII
)
DARTS_FORM = "Genotype(normal=[('sep_conv_3x3', 0), ..], normal_concat=range(2, 6), reduce=[..], reduce_concat=range(2, 6))"
NODES = 4
MOST = 100  # Members of a list that `range` stands for.
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")


def nasbench201(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, wherever it stands in the text; ``conv_3x3`` is ``nor_conv_3x3``."""
    cell = NB201_PATTERN.match(text[max(text.find("|"), 0) :])
    if cell is None:
        raise LatError(f"not an architecture of nasbench201: expected {NB201_FORM}, found {shortened(text)}")
    return [(_operation(op, choices, "nasbench201"),) for op, choices in zip(cell.groups(), decisions.values())]


def _operation(op: Any, choices: tuple[str, ...], space: str) -> int:
    for name in (op, f"nor_{op}"):
        if name in choices:
            return choices.index(name)
    raise LatError(f"not an architecture of {space}: expected an operation of: {', '.join(choices)}, found {shortened(op)}")


def darts(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """``Genotype(normal=[('op', predecessor), ..], ..)`` as DARTS prints it, or its fields as a dictionary.

    Cells are eight pairs (two per node) or four lists (one per node); a weight may stand behind a pair, and FairDARTS' triples
    ``('op', node, predecessor)`` are read too. Edges without an operation take ``none``.
    """
    fields = _fields(text)
    taken: dict[str, list[int]] = {name: [] for name in decisions}
    cells = list(dict.fromkeys(name.split("/")[0] for name in decisions))
    for cell in cells:
        if _concat(fields.get(f"{cell}_concat")) != [2, 3, 4, 5]:
            raise _wrong(f"a cell that concatenates all four nodes, {cell}_concat=range(2, 6)", fields[f"{cell}_concat"])
        for node, op, origin in _edges(fields.get(cell)):
            edge = f"{cell}/{origin}-{node + 2}"
            if edge not in decisions:
                raise _wrong(f"a predecessor of node {node} from 0 to {node + 1}", f"{origin} in the {cell} cell")
            number = _operation(op, decisions[edge], "darts")
            if number > 0:
                taken[edge].append(number)
        for node in range(NODES):
            if not any(taken[f"{cell}/{origin}-{node + 2}"] for origin in range(node + 2)):
                raise _wrong("an operation other than none at each node", f"none at node {node} of the {cell} cell")
    if "reduce" not in cells and fields.get("reduce") is not None:
        raise _wrong("no reduction cell, which is fixed", "reduce=[..]", "darts-frc")
    return [tuple(sorted(set(ops))) or (0,) for ops in taken.values()]


def _fields(text: str) -> dict[str, Any]:
    start = text.find("Genotype(")
    start = text.find("{") if start < 0 else start
    try:
        if start < 0:
            raise ValueError("neither a call nor a dictionary")
        tree = ast.parse(_closed(text[start:]), mode="eval").body
        if isinstance(tree, ast.Call):
            named = {keyword.arg: keyword.value for keyword in tree.keywords if keyword.arg}
            nodes = {**dict(zip(FIELDS, tree.args)), **named}
        elif isinstance(tree, ast.Dict):
            nodes = {ast.literal_eval(key): value for key, value in zip(tree.keys, tree.values) if key}
        else:
            raise ValueError("neither a call nor a dictionary")
        return {name: _literal(node) for name, node in nodes.items()}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _wrong(DARTS_FORM, text) from error


def _closed(text: str) -> str:
    """The text up to the bracket that closes its first one."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and letter in ")]}":
            return text[: at + 1]
    raise ValueError("a bracket that is not closed")


def _literal(node: ast.expr) -> Any:
    called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
    if isinstance(node, ast.Call) and called in ("range", "list") and node.args:
        arguments = [_literal(argument) for argument in node.args]
        numbers = range(*arguments) if called == "range" else arguments[0]
        return list(numbers[:MOST])
    return ast.literal_eval(node)


def _concat(found: Any) -> Any:
    return [2, 3, 4, 5] if found is None else list(found) if isinstance(found, (list, tuple)) else found


def _edges(cell: Any) -> list[tuple[int, Any, Any]]:
    """Node from 0, operation, predecessor."""
    if not isinstance(cell, (list, tuple)) or not all(isinstance(member, (list, tuple)) for member in cell):
        raise _wrong(DARTS_FORM, cell)
    is_flat = all(member and isinstance(member[0], str) for member in cell)
    if not is_flat and len(cell) != NODES:
        raise _wrong("four lists, one per node", f"{len(cell)} lists")
    entries = [(i // 2, member) for i, member in enumerate(cell)]
    if not is_flat:
        entries = [(node, member) for node, members in enumerate(cell) for member in members]
    elif cell and all(len(member) == 3 and isinstance(member[2], int) for member in cell):
        entries = [(member[1] - 2, (member[0], member[2])) for member in cell if isinstance(member[1], int)]
    elif len(cell) != 2 * NODES:
        raise _wrong("eight pairs, two per node", f"{len(cell)} pairs")
    elif any(cell[2 * node][1:2] == cell[2 * node + 1][1:2] for node in range(NODES)):
        raise _wrong("two distinct predecessors per node", cell)
    if not all(isinstance(member, (list, tuple)) and len(member) > 1 and isinstance(member[1], int) for _, member in entries):
        raise _wrong("('operation', predecessor)", cell)
    return [(node, member[0], member[1]) for node, member in entries]


def _wrong(expected: str, found: Any, space: str = "darts") -> LatError:
    return LatError(f"not an architecture of {space}: expected {expected}, found {shortened(found)}")
