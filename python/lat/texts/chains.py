"""Chains of layers: a word per layer, or a digit."""

from __future__ import annotations

import re

from ..errors import LatError, shortened
from ..gates import Decisions

BETWEEN = re.compile(r"[\s,\[\](){}\"']+")
# Official ProxylessNAS networks begin with a block that is not searched.
PROXYLESS_FIRST = "3x3_MBConv1"


def split(text: str) -> list[str]:
    """The words of a text, whatever brackets, quotes and commas stand around them."""
    return [word for word in BETWEEN.split(text) if word]


def words(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """A choice's name, or its number, for each layer: fbnet, proxyless, pinas and their variants."""
    found = split(text)
    if len(found) == len(decisions) + 1 and found[0] == PROXYLESS_FIRST:
        found = found[1:]
    if len(found) != len(decisions):
        raise LatError(f"expected {len(decisions)} words, one per layer, found {len(found)} in {shortened(text)}")
    return [(_choice(word, name, choices),) for word, (name, choices) in zip(found, decisions.items())]


def _choice(word: str, name: str, choices: tuple[str, ...]) -> int:
    if word in choices:
        return choices.index(word)
    if word.isascii() and word.isdigit() and int(word) < len(choices):
        return int(word)
    raise LatError(f"expected for {name} one of {', '.join(choices)}, found {shortened(word)}")


def digits(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """A digit per layer: nasbench-macro."""
    found = text.strip()
    if len(found) != len(decisions) or not all(d in "012" for d in found):
        expected = "eight digits, one per layer: 0 identity, 1 MB3 K3, 2 MB6 K5"
        raise LatError(f"not an architecture of nasbench-macro: expected {expected}, found {shortened(text)}")
    return [(int(digit),) for digit in found]


def fbnetv2(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """``r288 c16 k3_e0.75_c28 ..``: the image's size and a word per layer."""
    found, layers = split(text), list(dict.fromkeys(map(_layer, decisions)))
    if len(found) != len(layers):
        raise LatError(f"not an architecture of fbnetv2: expected {len(layers)} words as in r288 c16 k3_e0.75_c28 .., found {shortened(text)}")
    pieces = {(layer, piece[0]): piece for layer, word in zip(layers, found) for piece in word.split("_") if piece}
    n_pieces = sum(len(word.split("_")) for word in found)
    choices: list[tuple[int, ...]] = []
    for name, names in decisions.items():
        # Kernels are named with their letter, all other choices without.
        letter = {"resolution": "r", "width": "c", "kernel": "k", "expansion": "e"}[re.sub(r"\d+$", "", name.split("/")[-1])]
        piece = pieces.get((_layer(name), letter), "")
        choice = piece if letter == "k" else piece[1:]
        if choice not in names:
            word = found[layers.index(_layer(name))]
            raise LatError(f"not an architecture of fbnetv2: expected for {name} one of {', '.join(names)}, found {shortened(word)}")
        choices.append((names.index(choice),))
    if n_pieces != len(decisions):
        raise LatError(f"not an architecture of fbnetv2: expected a kernel, an expansion and a width per layer, once each, found {shortened(text)}")
    return choices


def _layer(name: str) -> tuple[str, str]:
    group, _, kind = name.partition("/")
    return group, re.sub(r"^\D+", "", kind)
