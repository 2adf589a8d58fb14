"""Makes tests/golden/ again: small predictors, and what lat itself says of them.

    LAT_PROGRAM=target/debug/lat PYTHONPATH=python EXE python/tests/make_golden.py        # EXE: a Python with PyTorch 2.11.0 and NumPy

Predictors are learnt from the fake device or from made-up costs. Of each NAME.lat, NAME.json has texts with what `lat predict` says,
gates with cost, deviation and gradient as the TorchScript export computes them (the search's own function), and the search's reference.
"""

from __future__ import annotations

import json
import math
import random
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lat
from lat.frames import read_profile
from lat.program import predictions, run, with_json

GOLDEN = Path(__file__).resolve().parent / "golden"
N_TEXTS, N_SOFT = 12, 3
COMMON = {"quiet": True, "threads": 1}
SEARCH = {**COMMON, "method": "random", "dataset": "digits", "images": 200, "epochs": 1, "channels": 4, "finalists": 1, "lambda": 0.1}
SEARCH_LAYERS = {"nasbench201": 3, "darts": 4}

# Spaces whose texts alone are of interest.
TEXTS_ALONE = ("darts-frc", "nasbench-macro", "fbnet", "proxyless", "pinas", "ofa", "ofa-proxyless", "attentivenas", "bignas", "fbnetv2")

# Slots that do not exist, numbers, codes, expressions and a template.
PAIRS = """id = "pairs"
[[decision]]
name = "resolution"
values = { from = 128, to = 160, step = 16 }
scale = true
[[decision]]
name = "d{0..1}"
values = [1, 2, 3]
[[decision]]
name = "k{00..05}"
values = [3, 5]
block = "block{i}"
present = "d{i/3} > {i%3}"
"""
TEMPLATE = """id = "template"
text = "<{a}|{b}> x{c}"
[[decision]]
name = "a"
choices = ["none", "conv", "pool"]
codes = [0, 1, 2]
[[decision]]
name = "b"
choices = ["none", "conv", "pool"]
codes = ["N", "C", "P"]
present = "a != none"
[[decision]]
name = "c"
values = [0.5, 1, 2]
"""
# Plain numbers: of a wide range, of one with zero in it, and one that does not always exist.
NUMBERS = """id = "numbers"
[[decision]]
name = "m"
number = { from = 1, to = 32768 }
[[decision]]
name = "sparsity"
number = { from = 0, to = 99.5 }
[[decision]]
name = "head"
choices = ["none", "linear"]
[[decision]]
name = "width"
number = { from = 16, to = 100 }
present = "head = linear"
"""
DEPTH = {"none": 0.0, "skip_connect": 0.1, "nor_conv_1x1": 0.6, "nor_conv_3x3": 1.5, "avg_pool_3x3": 0.4}


def depths(text: str) -> list[float]:
    return [DEPTH[name] for name in re.findall(r"(\w+)~", text)]


def longest_path(text: str) -> float:
    """Costs of a cell of NAS-Bench-201 that do not add up."""
    op = depths(text)
    return max(op[3], op[0] + op[4], op[1] + op[5], op[0] + op[2] + op[5])


def mixed(text: str) -> float:
    """Costs that neither add up nor multiply, so that networks help."""
    return math.exp(0.7 * longest_path(text)) + math.exp(0.5 * sum(depths(text)))


def is_cut(text: str) -> bool:
    """Whether no path leads through a cell of NAS-Bench-201."""
    op = [name != "none" for name in re.findall(r"(\w+)~", text)]
    return not (op[3] or (op[0] and op[4]) or (op[1] and op[5]) or (op[0] and op[2] and op[5]))


def profiled(space: str, samples: int, folder: Path, seed: int = 0) -> list[tuple[str, float]]:
    run("profile", device="fake", space=space, samples=samples, seed=seed, out=folder, **COMMON)
    rows = read_profile(folder)
    return list({row["architecture"]: row["latency_ms"] for row in rows}.items())


def write_csv(path: Path, column: str, rows: list[tuple[str, float]]) -> Path:
    path.write_text(f"architecture,{column}\n" + "".join(f'"{text}",{cost:.9g}\n' for text, cost in rows), encoding="utf-8")
    return path


def pairs_of(seed: int) -> list[tuple[str, float]]:
    draw, rows = random.Random(seed), {}
    for _ in range(150):
        r, d = draw.choice([128, 144, 160]), [draw.choice([1, 2, 3]) for _ in range(2)]
        k = {i: draw.choice([3, 5]) for i in range(6) if d[i // 3] > i % 3}
        text = ",".join([f"resolution={r}", *(f"d{i}={n}" for i, n in enumerate(d)), *(f"k{i:02}={n}" for i, n in k.items())])
        rows[text] = r * r / 16384 * (2 + sum(n * n / 9 for n in k.values()))
    return list(rows.items())


def matrices() -> list[tuple[str, float]]:
    draw, rows = random.Random(5), {}
    for _ in range(200):
        m, sparsity = round(2 ** draw.uniform(0, 15)), draw.choice([0, 50, 62.5, 93.75])
        width = draw.choice([None, 16, 55.333, draw.randint(16, 100)])
        head = "head=none" if width is None else f"head=linear,width={width}"
        rows[f"m={m},sparsity={sparsity},{head}"] = 0.02 + m * (1 - sparsity / 100) * 1e-4 + m * (width or 0) * 1e-6
    return list(rows.items())


def templates() -> list[tuple[str, float]]:
    cost = {"none": 0.0, "conv": 3.0, "pool": 1.0}
    triples = [(a, b, c) for a in cost for b in cost for c in ("0.5", "1", "2")]
    return [(f"<{a}|{b}> x{c}", 5 + cost[a] * float(c) + (cost[b] if a != "none" else 0)) for a, b, c in triples]


def predictors(work: Path) -> dict[str, list[str]]:
    """Trains all; gives the texts of each."""
    cells = profiled("nasbench201", 600, work / "cells", seed=3)
    texts: dict[str, list[str]] = {}

    def train(name: str, rows: list[tuple[str, float]], column: str = "latency_ms", **options: Any) -> None:
        data = write_csv(work / f"{name}.csv", column, rows)
        run("train", data=data, target=column, out=GOLDEN / f"{name}.lat", **options, **COMMON)
        texts[name] = [text for text, _ in rows]

    def noisy(cost: Callable[[str], float]) -> list[tuple[str, float]]:
        draw = random.Random(1)
        return [(text, cost(text) * draw.uniform(0.99, 1.01)) for text, _ in cells]

    # Of a profile itself, so that its label has the device.
    texts["plain"] = [text for text, _ in profiled("nasbench201", 120, work / "plain")]
    run("train", data=work / "plain", out=GOLDEN / "plain.lat", regressor="structured", **COMMON)
    train("log_networks", noisy(mixed), space="nasbench201")
    train("reciprocal", noisy(lambda text: 1e3 / (5 + longest_path(text)))[:300], "throughput_images_per_s", space="nasbench201")
    # What costs like another device's networks is that device's predictor times a factor: a predictor with parts.
    few = [(text, 0.3 * mixed(text) + 0.5 * cost) for text, cost in cells[150:190]]
    train("transferred", few, space="nasbench201", **{"from": [GOLDEN / "log_networks.lat", GOLDEN / "plain.lat"]})
    # Cells without a path cost next to nothing, and so have a price of their own.
    cut = noisy(lambda text: 0.004 if is_cut(text) else 1 + longest_path(text))
    train("cut_cells", cut[:300], space="nasbench201", regressor="structured")
    texts["cut_cells"] = [*[text for text, _ in cut if not is_cut(text)][: N_TEXTS - 4], *[text for text, _ in cut if is_cut(text)][:4]]
    # Linear on the scale that suits.
    train("linear_log", noisy(lambda text: math.exp(0.5 * sum(depths(text)))), space="nasbench201", regressor="linear")
    rates = noisy(lambda text: 1e3 / (1 + sum(depths(text))))
    train("counts_reciprocal", rates, "throughput_images_per_s", space="nasbench201", regressor="linear-counts")
    train("darts", profiled("darts", 60, work / "darts"), space="darts")
    for name, toml, rows in [("pairs", PAIRS, pairs_of(1)), ("template", TEMPLATE, templates()), ("numbers", NUMBERS, matrices())]:
        (work / f"{name}.toml").write_text(toml, encoding="utf-8")
        train(name, rows, space_file=work / f"{name}.toml")
    for space in TEXTS_ALONE:
        # One number per choice keeps the files small.
        train(space, profiled(space, 60, work / space), space=space, regressor="linear")
    return texts


def soft_gates(cost: lat.Predictor, texts: list[str]) -> np.ndarray:
    """Gates of an architecture and probabilities, ``[1 + N_SOFT, n_gates]``, exact in float32."""
    draw = np.random.default_rng(3)
    rows = [cost.gates(texts[0])]
    for _ in range(N_SOFT):
        weights = [np.exp(draw.normal(size=len(choices)) * 1.5) for choices in cost.decisions.values()]
        row = np.concatenate([weight / weight.sum() for weight in weights])
        for place in cost._architectures.numbers:
            row[cost._architectures.places[place]] = draw.uniform()
        rows.append(row)
    return np.stack(rows).astype(np.float32)


def exported(predictor: Path, gates: np.ndarray, work: Path) -> dict[str, Any]:
    """What TorchScript computes: cost, deviation, and the cost's gradient."""
    run("export", predictor=predictor, format="torchscript", sd=True, out=work / "both.pt", quiet=True)
    both = torch.jit.load(work / "both.pt")
    leaf = torch.tensor(gates, requires_grad=True)
    found = both(leaf)
    found[0].sum().backward()
    assert leaf.grad is not None
    return {
        "gates": gates.astype(float).tolist(),
        "cost": found[0].detach().double().tolist(),
        "sd": found[1].detach().double().tolist(),
        "gradient": leaf.grad.double().tolist(),
    }


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, texts in predictors(work).items():
            path = GOLDEN / f"{name}.lat"
            cost = lat.Predictor(path)
            rows = predictions(path, texts[:N_TEXTS])
            golden = {"texts": [row["architecture"] for row in rows], "price": [row["value"] for row in rows]}
            if cost._disconnected is not None and cost._spread is not None:
                golden["price_sd"] = [row["sd"] for row in rows]
            if name not in TEXTS_ALONE:
                golden.update(exported(path, soft_gates(cost, texts), work))
            layers = SEARCH_LAYERS.get(cost.label["space"])
            if layers is not None and name not in TEXTS_ALONE and cost.label["column"] == "latency_ms":
                out = work / f"search-{name}"
                found = with_json("search", space=cost.label["space"], predictor=path, layers=layers, out=out, **SEARCH)
                golden["reference"] = found["reference"]
            (GOLDEN / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
            head, n_parts = cost._file.head, len(cost._terms) - 1
            print(f"{name}: {path.stat().st_size} bytes, scale {head['scale']}, {head['n_layers']} layers, {n_parts} parts", file=sys.stderr)


if __name__ == "__main__":
    main()
