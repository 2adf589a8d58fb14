"""Architecture texts, read without the program: which choices a text takes, by the text forms of the spaces.

A reader takes a text and gives for each decision the numbers of the choices taken, or its value if it is a plain number. Nearly always
it is one choice, but cells of DARTS may have several operations on an edge.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..gates import Choices, Decisions
from . import cells, chains, stages

Reader = Callable[[str], Choices]

LAYER = re.compile(r"stage\d+/layer\d+")


def find_reader(space: str, decisions: Decisions) -> Reader | None:
    """The reader of a built-in space; None for spaces whose texts the program alone reads. Declared ones have ``DeclaredTexts``."""
    if space == "nasbench201":
        return lambda text: cells.nasbench201(text, decisions)
    if space in ("darts", "darts-frc"):
        return lambda text: cells.darts(text, decisions)
    if space == "nasbench-macro":
        return lambda text: chains.digits(text, decisions)
    if space == "fbnetv2":
        return lambda text: chains.fbnetv2(text, decisions)
    if "stage1/depth" in decisions or "stage1/kernel1" in decisions:
        of_space = stages.blockwise if "stage1/kernel1" in decisions else stages.stagewise
        return lambda text: of_space(text, decisions)
    if all(LAYER.fullmatch(name) for name in decisions):
        return lambda text: chains.words(text, decisions)
    return None
