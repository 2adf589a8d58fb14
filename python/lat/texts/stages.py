"""Chains whose stages are cut down: official configurations of Once-for-All, AttentiveNAS and BigNAS."""

from __future__ import annotations

import re

from ..errors import LatError, shortened
from ..gates import Decisions

BETWEEN = re.compile(r"[\s,\[\](){}\"':=]+")
# Name of a list in a configuration, by the kind of decision.
LISTS = {"resolution": "resolution", "width": "width", "depth": "depth", "kernel": "kernel_size", "expansion": "expand_ratio"}
SHORTEST = 2


def named_lists(text: str) -> dict[str, list[str | None]]:
    """Numbers by name, as in ``{"d": [2, 3], "r": [224]}`` or ``d=2,3 r=224``; ``null`` and ``None`` stand for no number."""
    lists: dict[str, list[str | None]] = {}
    name = None
    for word in filter(None, BETWEEN.split(text)):
        if word in ("null", "None") or re.fullmatch(r"\d+", word):
            if name is None:
                raise LatError(f'expected lists with names, as in {{"d":[2,3,..],..}}, found {shortened(text)}')
            lists[name].append(None if word in ("null", "None") else word)
        elif word[0].isalpha() and word not in lists:
            name = word
            lists[name] = []
        else:
            raise LatError(f"expected lists of numbers, each with a name of its own, found {shortened(word)} in {shortened(text)}")
    return lists


def blockwise(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """``{"d":[..],"ks":[..],"e":[..],"r":[..]}`` of Once-for-All; without ``r`` the largest image. Blocks beyond a stage's depth are ignored."""
    lists = named_lists(text)
    blocks = [name for name in decisions if "/kernel" in name]
    of_stage = {name: int(re.match(r"stage(\d+)", name)[1]) for name in blocks}  # type: ignore[index]
    n_stages = max(of_stage.values())
    depths = _list(lists, "d", n_stages, text)
    if "wid" in lists and not any(lists["wid"]):
        del lists["wid"]  # Official texts have it and leave it empty.
    _check_names(lists, ("d", "ks", "e", "r"), text)
    lists.setdefault("r", [decisions["resolution"][-1]])
    values: dict[str, str | None] = {"resolution": _list(lists, "r", 1, text)[0]}
    for name in blocks:
        stage = of_stage[name]
        depth = depths[stage - 1]
        has_depth = f"stage{stage}/depth" in decisions
        n_blocks = list(of_stage.values()).count(stage)
        if has_depth:
            values[f"stage{stage}/depth"] = depth
        elif depth != str(n_blocks):
            raise LatError(f"expected for d of stage {stage} one of {n_blocks}, found {depth} in {shortened(text)}")
        block = int(re.search(r"(\d+)$", name)[1])  # type: ignore[index]
        place = blocks.index(name)
        is_built = not has_depth or block <= max(SHORTEST, int(depth or 0))
        for kind, key in (("kernel", "ks"), ("expansion", "e")):
            own = f"stage{stage}/{kind}{block}"
            # What is not built counts as the first choice.
            values[own] = _list(lists, key, len(blocks), text)[place] if is_built else decisions[own][0]
    return _choices(values, decisions, text)


def stagewise(text: str, decisions: Decisions) -> list[tuple[int, ...]]:
    """``{"resolution":192,"width":[..],"depth":[..],"kernel_size":[..],"expand_ratio":[..]}`` of AttentiveNAS and BigNAS, or its numbers in
    a row. Widths are those of the first convolution, the stages and the last one."""
    n_stages = max(int(m[1]) for m in map(re.compile(r"stage(\d+)").match, decisions) if m)
    sizes = {"resolution": 1, "width": n_stages + 2, "depth": n_stages, "kernel_size": n_stages, "expand_ratio": n_stages}
    lists = named_lists(text if re.search("[a-z]", text) else f"row {text}")
    if list(lists) == ["row"]:
        row = _list(lists, "row", sum(sizes.values()), text)
        ends = iter(range(len(row)))
        lists = {name: [row[next(ends)] for _ in range(size)] for name, size in sizes.items()}
    _check_names(lists, tuple(sizes), text)
    for key, size in sizes.items():
        _list(lists, key, size, text)
    values = {}
    for name in decisions:
        key = LISTS[name.split("/")[-1]]
        stage = re.match(r"stage(\d+)", name)
        place = int(stage[1]) - (key != "width") if stage else -1 if name == "last/width" else 0
        values[name] = lists[key][place]
    return _choices(values, decisions, text)


def _check_names(lists: dict[str, list[str | None]], known: tuple[str, ...], text: str) -> None:
    unknown = [name for name in lists if name not in known]
    if unknown:
        raise LatError(f"expected lists {', '.join(known)}, found {shortened(unknown[0])} in {shortened(text)}")


def _list(lists: dict[str, list[str | None]], name: str, n: int, text: str) -> list[str | None]:
    found = lists.get(name, [])
    if len(found) != n:
        raise LatError(f"expected {n} numbers in one list {name}, found {len(found)} in {shortened(text)}")
    return found


def _choices(values: dict[str, str | None], decisions: Decisions, text: str) -> list[tuple[int, ...]]:
    for name, choices in decisions.items():
        if values[name] not in choices:
            raise LatError(f"expected for {name} one of {', '.join(choices)}, found {values[name]} in {shortened(text)}")
    return [(choices.index(values[name]),) for name, choices in decisions.items()]
