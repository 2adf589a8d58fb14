"""Rows as a table: of pandas where it is installed, else of polars, else a dict of NumPy columns."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import LatError

Row = Mapping[str, Any]


def table(rows: Iterable[Row]) -> Any:
    """A pandas ``DataFrame``; without pandas a polars one; without both a dict from each column's name to an array ``[n]``.

    Nested values become columns of their own (``skeleton.layers``). What is missing is NaN among numbers and None elsewhere.
    """
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    columns = {name: [row.get(name) for row in flat] for name in names}
    if importlib.util.find_spec("pandas"):
        import pandas

        return pandas.DataFrame(columns)
    if importlib.util.find_spec("polars"):
        import polars

        return polars.DataFrame(columns, strict=False, infer_schema_length=None)
    return {name: _array(values) for name, values in columns.items()}


def _flat(row: Row, before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat.update(_flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: value})
    return flat


def _array(values: list[Any]) -> np.ndarray:
    is_number = all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values)
    if is_number and any(value is None for value in values):
        return np.array([np.nan if value is None else value for value in values])
    return np.array(values, dtype=object if any(value is None or isinstance(value, list) for value in values) else None)


def read_profile(folder: Path) -> list[dict[str, Any]]:
    """The rows of a profile run's folder, each with ``superseded``: whether a later attempt at the same measurement replaces it."""
    path = folder / "rows.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        # Each line begins with its checksum.
        rows = [json.loads(line.split(" ", 1)[1]) for line in lines]
    except (OSError, ValueError, IndexError) as error:
        raise LatError(f"expected rows of `lat profile` in {path}, found what cannot be read ({error})") from error
    newest: dict[tuple[Any, ...], int] = {}
    for row in rows:
        place = row["role"], row["index"], row["occurrence"]
        newest[place] = max(newest.get(place, 0), row["attempt"])
    return [{**row, "superseded": row["attempt"] < newest[row["role"], row["index"], row["occurrence"]]} for row in rows]


def read_csv(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file of the program's; what reads as a number is one."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def _value(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell or None
