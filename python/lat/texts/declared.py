"""Architectures of spaces that a TOML file declares; the predictor's label holds the declaration."""

from __future__ import annotations

import ast
import operator
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import LatError, shortened
from ..gates import Choices, Decisions
from ..number_range import NumberRange, parsed, read_number

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
    """A decision as declared: choices and what tables write for them, or the range of a plain number, and when it exists."""

    names: tuple[str, ...]
    number: NumberRange | None
    is_numeric: bool
    codes: list[Any]
    present: str | None

    @property
    def expected(self) -> str:
        """What can be taken, for messages."""
        return str(self.number) if self.number else f"one of {', '.join(self.names)}"

    @property
    def example(self) -> str:
        """One that can be taken."""
        return f"{self.number.begin:g}" if self.number else self.names[0]

    @property
    def first(self) -> int | float:
        """What counts where it is not built."""
        return float(np.float32(self.number.begin)) if self.number else 0

    def find(self, cell: str) -> int | float | None:
        """What a piece of text names: a choice by name, by value (224 and 224.0 are one) or by code, a plain number by its value."""
        cell = cell.strip()
        if self.number:
            return self.number.find(cell)
        if cell in self.names:
            return self.names.index(cell)
        if self.is_numeric:
            return _position([float(name) for name in self.names], cell)
        if self.codes and not isinstance(self.codes[0], str):
            return _position([float(code) for code in self.codes], cell)
        return self.codes.index(cell) if cell in self.codes else None


class DeclaredTexts:
    """Reads ``name=choice,name=choice``, or texts after the declaration's template, and dicts from each decision to its choice."""

    def __init__(self, declaration: str, decisions: Decisions) -> None:
        toml = tomllib.loads(declaration)
        self.space: str = toml["id"]
        self.template: str | None = toml.get("text")
        self.decisions = decisions
        self.slots: dict[str, Slot] = {}
        for entry in toml["decision"]:
            for name, number, width in _expanded(entry["name"]):
                present = _filled(entry["present"], number, width) if "present" in entry else None
                range_ = read_number(entry)
                if range_ and range_.gate_names != decisions[name]:
                    raise ValueError(f"the gates of the number {name} are {', '.join(decisions[name])}")
                self.slots[name] = Slot(decisions[name], range_, "values" in entry, entry.get("codes", []), present)

    @property
    def numbers(self) -> dict[str, NumberRange]:
        """The ranges of the decisions that are plain numbers."""
        return {name: slot.number for name, slot in self.slots.items() if slot.number}

    def read(self, text: str) -> Choices:
        """What a text takes."""
        return self.of_cells(self._split(text) if self.template else self._pairs(text), text)

    def of_cells(self, cells: Mapping[str, str], whole: object) -> Choices:
        """What each decision takes, by its piece of the whole. What is not built counts as its first choice, or the least number."""
        return self._complete({name: self.slots[name].find(cell) for name, cell in cells.items()}, cells, whole)

    def of_values(self, values: Mapping[str, float]) -> Choices:
        """The same of each decision's number of its choice, or its value."""
        numbers = self.numbers
        found = {name: numbers[name].find(value) if name in numbers else int(value) for name, value in values.items()}
        return self._complete(found, {name: str(value) for name, value in values.items()}, values)

    def _complete(self, found: Mapping[str, int | float | None], cells: Mapping[str, str], whole: object) -> Choices:
        choices: list[tuple[int, ...] | float] = []
        for name, slot in self.slots.items():
            choice = found.get(name) if self._exists(slot, found) else slot.first
            if choice is None:
                place = shortened(cells[name]) if name in cells else f"{shortened(whole)}, which has none"
                raise self._wrong(f"for '{name}' {slot.expected}", place)
            choices.append(choice if isinstance(choice, float) else (choice,))
        return choices

    def _exists(self, slot: Slot, found: Mapping[str, int | float | None]) -> bool:
        if slot.present is None:
            return True
        parts = CONDITION.fullmatch(slot.present)
        if parts is None:
            raise self._wrong("a condition as in 'd0 > 2'", shortened(slot.present))
        name, comparison, values = parts.groups()
        choice, other = found.get(name), self.slots[name]
        if choice is None:
            raise self._wrong(f"for '{name}' {other.expected}", "none")
        if comparison in COMPARISONS:
            return bool(COMPARISONS[comparison](float(other.names[int(choice)]), float(values)))
        return (choice in [other.find(value) for value in values.split(",")]) != (comparison == "!=")

    def _pairs(self, text: str) -> dict[str, str]:
        cells: dict[str, str] = {}
        for pair in text.strip().split(","):
            name, equals, cell = pair.partition("=")
            name = name.strip()
            if not equals or name not in self.slots or name in cells:
                example = "{}={}".format(*next((name, slot.example) for name, slot in self.slots.items()))
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
    value = parsed(cell)
    if value is None:
        return None
    near = (place for place, number in enumerate(numbers) if abs(number - value) <= 1e-9 * max(abs(number), 1e-3))
    return next(near, None)
