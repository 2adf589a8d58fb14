"""The program's commands as functions: each runs `lat` and reads what it leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import frames, program
from .errors import LatError

PathLike = str | os.PathLike[str]


def profile(*, quiet: bool = False, **options: Any) -> Any:
    """``lat profile``: times architectures and gives the rows measured.

    ``lat.profile(space="nasbench201", device="cpu", samples=300)``; the options are the program's, see :func:`lat.run`. With
    ``per_op=True`` the rows are those of the latency table, an operation each.

    Returns:
        A row per measurement (``architecture``, ``latency_ms``, ``role``, ``status``, ``superseded``, ..): a pandas ``DataFrame``,
        without pandas a polars one, without both a dict of NumPy columns.
    """
    if options.get("plan"):
        raise LatError("a plan measures nothing, so there are no rows; use lat.run('profile', plan=True, ..), which gives its text")
    if options.get("per_op"):
        printed = program.run("profile", quiet=quiet, **options)
        found = re.search(r"; ([^;]+operations\.csv)$", printed, re.MULTILINE)
        named = Path(options["out"]) / "operations.csv" if options.get("out") else found and Path(found[1])
        if not named:
            raise LatError(f"expected `lat profile --per-op` to name its table, found {printed!r}")
        return frames.table(frames.read_csv(named))
    verdict = program.with_json("profile", quiet=quiet, **options)
    return frames.table(frames.read_profile(Path(verdict["dir"])))


def train(*sources: PathLike, quiet: bool = False, **options: Any) -> dict[str, Any]:
    """``lat train``: learns to predict a cost and gives its report, whose ``predictor`` is the file for :func:`lat.load`.

    ``sources`` are predictors of other devices (``--from``), for a transfer.
    """
    if sources:
        options["from"] = list(sources)
    report: dict[str, Any] = program.with_json("train", quiet=quiet, **options)
    return report


def predict(architectures: str | Iterable[str], predictor: PathLike, **options: Any) -> Any:
    """``lat predict``: a row per text (``architecture``, ``value``, ``sd``, ``low``, ``high``, ``off_data``), in any spelling that the
    program reads. A table as of :func:`profile`."""
    texts = [architectures] if isinstance(architectures, str) else architectures
    return frames.table(program.predictions(predictor, texts, **options))


def search(*, quiet: bool = False, **options: Any) -> dict[str, Any]:
    """``lat search``: searches an architecture that is accurate and fast.

    ``lat.search(space="nasbench201", method="darts", lambda_=0.1)``.

    Returns:
        What the program writes into ``search.json``: ``architecture``, ``predicted``, ``measured``, ..; its ``front`` (and ``log``), where
        there is one, as a table as of :func:`profile`.
    """
    result: dict[str, Any] = program.with_json("search", quiet=quiet, **options)
    for name in ("front", "log"):
        if isinstance(result.get(name), list):
            result[name] = frames.table(result[name])
    return result


def evaluate(arch: PathLike, *, quiet: bool = False, **options: Any) -> dict[str, Any]:
    """``lat evaluate``: trains an architecture (a text, or the ``search.json`` of a search) from scratch and tests it."""
    result: dict[str, Any] = program.with_json("evaluate", quiet=quiet, arch=arch, **options)
    return result
