"""The commands with the program itself, on the fake device; skipped where none has been built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import relative

import lat
from lat import program

try:
    program.find()
except lat.LatError as error:
    pytest.skip(str(error), allow_module_level=True)

COMMON = {"threads": 1, "quiet": True}
SMALL = {"dataset": "digits", "images": 200, "epochs": 1, "channels": 4, "layers": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_the_program_and_the_package_have_the_workspaces_version() -> None:
    manifest = (Path(__file__).resolve().parents[2] / "Cargo.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)
    assert version is not None
    assert lat.run("--version") == f"lat {version[1]}\n"
    assert lat.__version__ in (version[1], "unknown")  # Unknown where it is not installed.


def test_from_measurements_to_an_architecture(folder: Path) -> None:
    rows = lat.profile(space="nasbench201", device="fake", samples=40, out=folder / "profile", **COMMON)
    texts = list(rows["architecture"])
    assert len(texts) == len(rows["latency_ms"]) >= 40 and not any(rows["superseded"])

    report = lat.train(data=folder / "profile", out=folder / "p.lat", regressor="structured", **COMMON)
    assert report["predictor"] == str(folder / "p.lat")
    cost = lat.Predictor(folder / "p.lat")
    said = lat.predict(texts, folder / "p.lat")
    assert relative(cost.price(texts), said["value"]) < 1e-6
    assert list(said["architecture"]) == texts and min(said["sd"]) > 0
    other_spelling = lat.predict("NB201Genotype('" + texts[0] + "')", folder / "p.lat")
    assert list(other_spelling["value"]) == [said["value"][0]]

    found = lat.search(
        space="nasbench201", method="random", lambda_=0.1, predictor=folder / "p.lat", finalists=8, out=folder / "s", **SMALL, **COMMON
    )
    assert relative(cost.reference, found["reference"]) < 1e-5
    assert relative(cost.price(found["architecture"]), found["predicted"]) < 1e-6
    assert len(found["front"]["cost"]) > 0
    tested = lat.evaluate(folder / "s" / "search.json", out=folder / "e", device="cpu", **SMALL, **COMMON)
    assert tested["architecture"] == found["architecture"]


def test_a_latency_table_and_errors(folder: Path) -> None:
    table = lat.profile(space="nasbench201", device="fake", per_op=True, out=folder / "operations", **COMMON)
    assert min(table["latency_ms"]) > 0 and len(table["operation"]) == 14
    with pytest.raises(lat.LatError, match="nosuch") as failed:
        lat.profile(space="nosuch", device="fake", out=folder / "none", **COMMON)
    assert failed.value.exit_code == 2
    with pytest.raises(lat.LatError, match="unexpected argument '--lamda'"):
        lat.search(lamda=0.1, **COMMON)
