"""The predictor file: JSON and float32 tensors in one safetensors file. docs/predictor-file.md of the project describes it."""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import LatError

FORMAT = 2
# The checksum stands at the beginning of the head, as JSON within JSON, and is counted with zeros in its place.
CHECKSUM = re.compile(rb'\{\\"checksum\\":\\"(.{8})', re.DOTALL)
HEAD_BYTES = 128


@dataclass(frozen=True)
class PredictorFile:
    """What a predictor file holds.

    ``head`` is the JSON: label, scale, map from gates to features. ``tensors`` are float32 arrays by name.
    """

    path: Path
    head: dict[str, Any]
    tensors: dict[str, np.ndarray]


def read_file(path: str | os.PathLike[str]) -> PredictorFile:
    """Reads a file of ``lat train``. Nothing in it is run: no pickle.

    Raises :class:`LatError` where there is no such file, where it is damaged or no predictor, or of another format.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LatError(f"could not read {path}: {error.strerror}; name a predictor file of `lat train`") from error
    try:
        head, tensors = _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise LatError(f"{path} is not a predictor: expected a whole safetensors file of `lat train` ({error})") from error
    _check_sum(path, content)
    if head.get("format") != FORMAT:
        found = head.get("format")
        raise LatError(f"{path}: expected predictor format {FORMAT}, found {found}; use the lat that wrote it, or train again")
    return PredictorFile(path, head, tensors)


def _parse(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    (length,) = struct.unpack("<Q", content[:8])
    if length > len(content) - 8:
        raise ValueError("it is cut short")
    outer = json.loads(content[8 : 8 + length])
    head = json.loads(outer.pop("__metadata__")["lat"])
    return head, {name: _tensor(name, entry, content[8 + length :]) for name, entry in outer.items()}


def _tensor(name: str, entry: dict[str, Any], data: bytes) -> np.ndarray:
    (begin, end), shape = entry["data_offsets"], entry["shape"]
    if entry["dtype"] != "F32" or end - begin != 4 * math.prod(shape) or not 0 <= begin <= end <= len(data):
        raise ValueError(f"the tensor {name} has {entry['dtype']} of shape {shape} in bytes {begin} to {end} of {len(data)}")
    tensor = np.frombuffer(data, "<f4", math.prod(shape), begin).reshape(shape)
    if not np.isfinite(tensor).all():
        raise ValueError(f"the tensor {name} holds values that are not finite")
    return tensor


def _check_sum(path: Path, content: bytes) -> None:
    place = CHECKSUM.search(content[:HEAD_BYTES])
    if place is None:
        return  # Files of older programs have none.
    begin, end = place.span(1)
    found = f"{zlib.crc32(content[end:], zlib.crc32(b'0' * 8, zlib.crc32(content[:begin]))):08x}"
    carried = place[1].decode("latin-1")
    if carried != found:
        raise LatError(
            f"{path} is damaged: its content has checksum {found}, but it was written with {carried}; copy it again from where it was trained"
        )
