"""How the program is found and run, with a script in its place."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Golden

import lat
from lat import frames, program

SCRIPT = """#!{python}
import json, os, pathlib, sys
arguments = sys.argv[1:]
pathlib.Path({log!r}).write_text(json.dumps(arguments))
said = dict(zip(arguments, arguments[1:]))
{body}
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a script with this body the program; gives what it was called with."""

    def make(body: str) -> Any:
        script, log = tmp_path / "lat", tmp_path / "log"
        script.write_text(SCRIPT.format(python=sys.executable, log=str(log), body=body))
        script.chmod(0o755)
        monkeypatch.setenv(program.VARIABLE, str(script))
        return lambda: json.loads(log.read_text())

    return make


def test_options_become_flags(stand_in: Any) -> None:
    called = stand_in("print('done')")
    printed = lat.run("search", "x", lambda_=0.1, target_ms=3, plan=True, cold=False, out=None, per_op=["a", "b"], set={"lr": 1})
    assert printed == "done\n"
    assert called() == ["search", "x", "--lambda", "0.1", "--target-ms", "3", "--plan", "--per-op", "a", "--per-op", "b", "--set", "lr=1"]


def test_the_programs_sentence_is_the_error(stand_in: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in("print('a remark', file=sys.stderr); print('lat: expected a thing, found none', file=sys.stderr); sys.exit(2)")
    with pytest.raises(lat.LatError, match="^expected a thing, found none$") as failed:
        lat.run("train")
    assert failed.value.exit_code == 2
    assert "a remark" in capsys.readouterr().err
    with pytest.raises(lat.LatError):
        lat.run("train", quiet=True)
    assert capsys.readouterr().err == ""
    stand_in("print('odd', file=sys.stderr); sys.exit(1)")
    with pytest.raises(lat.LatError, match="`lat train` ended with exit code 1: odd"):
        lat.run("train", quiet=True)


def test_an_interrupted_program_interrupts(stand_in: Any) -> None:
    stand_in("sys.exit(130)")
    with pytest.raises(KeyboardInterrupt):
        lat.run("profile")


def test_an_interrupt_reaches_the_program_once(stand_in: Any, tmp_path: Path) -> None:
    told, ready = tmp_path / "told", tmp_path / "ready"
    stand_in(
        f"""import signal, time
def stop(*_):
    with open({str(told)!r}, "a") as file:
        file.write("interrupted ")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
pathlib.Path({str(ready)!r}).touch()
time.sleep(60)"""
    )

    def interrupt() -> None:
        while not ready.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        lat.run("profile")
    assert told.read_text() == "interrupted "


def test_profiles_are_tables(stand_in: Any, tmp_path: Path) -> None:
    rows = [
        {"role": "sample", "index": 0, "occurrence": 0, "attempt": 0, "architecture": "a", "latency_ms": 1.5, "energy_mj": None},
        {"role": "sample", "index": 0, "occurrence": 0, "attempt": 1, "architecture": "a", "latency_ms": 1.25, "energy_mj": 3.0},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(f"00000000 {json.dumps(row)}\n" for row in rows))
    called = stand_in(f"pathlib.Path(said['--json']).write_text(json.dumps({{'dir': {str(tmp_path)!r}}}))")
    table = lat.profile(space="darts", samples=2)
    assert called()[:5] == ["profile", "--space", "darts", "--samples", "2"]
    assert list(table["superseded"]) == [True, False]
    assert list(table["latency_ms"]) == [1.5, 1.25]
    (tmp_path / "operations.csv").write_text("operation,latency_ms,status\nconv-8,0.5,converged\n")
    stand_in(f"print('1 operation of darts; {tmp_path}/operations.csv'); print('A remark.')")
    assert list(lat.profile(space="darts", per_op=True)["latency_ms"]) == [0.5]
    with pytest.raises(lat.LatError, match="a plan measures nothing"):
        lat.profile(plan=True)


def test_tables_without_pandas_and_polars_are_numpy_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames.importlib.util, "find_spec", lambda name: None)
    table = frames.table([{"a": 1, "b": None, "c": {"d": "x"}}, {"a": 2, "b": 0.5, "c": {"d": None}}])
    assert list(table) == ["a", "b", "c.d"]
    assert table["a"].dtype.kind == "i" and table["a"].tolist() == [1, 2]
    assert np.isnan(table["b"][0]) and table["b"][1] == 0.5
    assert table["c.d"].tolist() == ["x", None]


def test_texts_of_unknown_spaces_are_priced_by_the_program(stand_in: Any) -> None:
    called = stand_in("pathlib.Path(said['--json']).write_text(json.dumps([{'value': 2.5} for _ in open(said['--file'])]))")
    cost = lat.Predictor(Golden("plain").path)
    cost._architectures._reader = None  # As of a space that came after this package.
    assert cost.price(["one", "two"]).tolist() == [2.5, 2.5]
    assert called()[0] == "predict" and str(Golden("plain").path) in called() and "--sd" in called()
    assert cost.price([0] * 6) == lat.Predictor(Golden("plain").path).price([0] * 6)
    with pytest.raises(lat.LatError, match="texts only"):
        cost.price(["one", [0] * 6])


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["lat", "--version"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(program.VARIABLE, str(tmp_path / "none"))
    assert f"expected in LAT_PROGRAM a program, found {tmp_path / 'none'}" in refusal(monkeypatch, capsys)
    monkeypatch.delenv(program.VARIABLE)
    monkeypatch.setattr(program, "PACKAGE", tmp_path / "lat")
    assert "this installation has no program" in refusal(monkeypatch, capsys)
    (tmp_path / "lat" / "bin").mkdir(parents=True)
    packed = tmp_path / "lat" / "bin" / "lat"
    packed.write_text("#!/bin/sh\n")
    packed.chmod(0o755)
    monkeypatch.setattr(program, "torch_version", lambda: None)
    assert "expected PyTorch 2.11.0, whose libraries the program runs with, and found none" in refusal(monkeypatch, capsys)
    monkeypatch.setattr(program, "torch_version", lambda: "2.12.1")
    assert "found PyTorch 2.12.1" in refusal(monkeypatch, capsys)


def test_a_pytorch_elsewhere_is_named_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, elsewhere = tmp_path / "site" / "torch" / "lib", tmp_path / "torch" / "lib"
    packed = tmp_path / "site" / "lat" / "bin" / "lat"
    for folder in (beside, elsewhere, packed.parent):
        folder.mkdir(parents=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/others")
    assert program._environment(beside, packed)["LD_LIBRARY_PATH"] == "/others"
    assert program._environment(elsewhere, packed)["LD_LIBRARY_PATH"] == f"{elsewhere}:/others"
