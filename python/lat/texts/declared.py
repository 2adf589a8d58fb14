"""Texts of spaces that a TOML file declares; the predictor's label holds the declaration."""

from __future__ import annotations

import ast
import operator
import re
import sys
from dataclasses import dataclass
from typing import Any

from ..errors import LatError, shortened
from ..gates import Decisions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(>=|<=|!=|==|=|>|<)\s*(.+?)\s*")


@dataclass
class Slot:
    """A decision as declared: choices, what tables write for them, and when it exists."""

    names: tuple[str, ...]
    is_numeric: bool
    codes: list[Any]
    present: str | None

    def find(self, cell: str) -> int | None:
        """The choice that a piece of text names: by name, by value (224 and 224.0 are one), or by code."""
        cell = cell.strip()
        if cell in self.names:
            return self.names.index(cell)
        if self.is_numeric:
            return _position([float(name) for name in self.names], cell)
        if self.codes and not isinstance(self.codes[0], str):
            return _position([float(code) for code in self.codes], cell)
        return self.codes.index(cell) if cell in self.codes else None


class DeclaredTexts:
    """Reads ``name=choice,name=choice``, or texts after the declaration's template."""

    def __init__(self, declaration: str, decisions: Decisions) -> None:
        toml = tomllib.loads(declaration)
        self.space: str = toml["id"]
        self.template: str | None = toml.get("text")
        self.decisions = decisions
        self.slots: dict[str, Slot] = {}
        for entry in toml["decision"]:
            for name, number, width in _expanded(entry["name"]):
                present = _filled(entry["present"], number, width) if "present" in entry else None
                self.slots[name] = Slot(decisions[name], "values" in entry, entry.get("codes", []), present)

    def read(self, text: str) -> list[tuple[int, ...]]:
        """The choice of each decision. What is not built counts as its first choice."""
        cells = self._split(text) if self.template else self._pairs(text)
        found = {name: self.slots[name].find(cell) for name, cell in cells.items()}
        choices: list[tuple[int, ...]] = []
        for name, slot in self.slots.items():
            choice = found.get(name) if self._exists(slot, found) else 0
            if choice is None:
                place = shortened(cells[name]) if name in cells else f"{shortened(text)}, which has none"
                raise self._wrong(f"for '{name}' one of {', '.join(slot.names)}", place)
            choices.append((choice,))
        return choices

    def _exists(self, slot: Slot, found: dict[str, int | None]) -> bool:
        if slot.present is None:
            return True
        parts = CONDITION.fullmatch(slot.present)
        if parts is None:
            raise self._wrong("a condition as in 'd0 > 2'", shortened(slot.present))
        name, comparison, values = parts.groups()
        choice, other = found.get(name), self.slots[name]
        if choice is None:
            raise self._wrong(f"for '{name}' one of {', '.join(other.names)}", "none")
        if comparison in COMPARISONS:
            return bool(COMPARISONS[comparison](float(other.names[choice]), float(values)))
        return (choice in [other.find(value) for value in values.split(",")]) != (comparison == "!=")

    def _pairs(self, text: str) -> dict[str, str]:
        cells: dict[str, str] = {}
        for pair in text.strip().split(","):
            name, equals, cell = pair.partition("=")
            name = name.strip()
            if not equals or name not in self.slots or name in cells:
                example = f"{next(iter(self.slots))}={next(iter(self.slots.values())).names[0]}"
                raise self._wrong(f"name=choice,name=choice,.. with each of its {len(self.slots)} decisions once, such as {example}", shortened(pair))
            cells[name] = cell
        return cells

    def _split(self, text: str) -> dict[str, str]:
        pieces = re.split(r"\{([^}]*)\}", self.template or "")
        pattern = re.escape(pieces[0].lstrip())
        # The text comes without the blanks around it. Texts between decisions are in no choice, so the shortest match is the only one.
        for literal in [*pieces[2:-1:2], pieces[-1].rstrip()]:
            pattern += "(.*?)" + re.escape(literal)
        match = re.fullmatch(pattern, text.strip(), re.DOTALL)
        if match is None:
            raise self._wrong(f"the form {self.template}", shortened(text))
        return dict(zip(pieces[1::2], match.groups()))

    def _wrong(self, expected: str, found: str) -> LatError:
        return LatError(f"not an architecture of {self.space}: expected {expected}, found {found}")


def _expanded(pattern: str) -> list[tuple[str, int, int]]:
    """``k{00..19}`` as names, each with its number and the digits it is written with."""
    found = RANGE.search(pattern)
    if found is None:
        return [(pattern, 0, 0)]
    width = len(found[1])
    numbers = range(int(found[1]), int(found[2]) + 1)
    return [(f"{pattern[: found.start()]}{n:0{width}}{pattern[found.end() :]}", n, width) for n in numbers]


def _filled(text: str, number: int, width: int) -> str:
    """Each ``{expression in i}`` computed; ``{i}`` alone is written with the range's digits."""

    def value(match: re.Match[str]) -> str:
        expression = match[1].strip()
        return f"{number:0{width}}" if expression == "i" else str(_computed(ast.parse(expression, mode="eval").body, number))

    return re.sub(r"\{([^}]*)\}", value, text)


def _computed(node: ast.expr, i: int) -> int:
    if isinstance(node, ast.BinOp):
        return int(OPERATORS[type(node.op)](_computed(node.left, i), _computed(node.right, i)))
    return i if isinstance(node, ast.Name) else int(ast.literal_eval(node))


def _position(numbers: list[float], cell: str) -> int | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    near = (place for place, number in enumerate(numbers) if abs(number - value) <= 1e-9 * max(abs(number), 1e-3))
    return next(near, None)
