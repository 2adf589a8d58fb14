"""The program `lat`: where it is, whether its libtorch is there, and how to run it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .errors import LatError
from .predictor_file import read_file

# The program is linked against this libtorch and no other; CPU and CUDA builds both do.
TORCH_VERSION = "2.11.0"
# Names another program than the package's own, one of `cargo build` for instance.
VARIABLE = "LAT_PROGRAM"
PACKAGE = Path(__file__).resolve().parent
BAD_INPUT = 2
INTERRUPTED = 130


def find() -> tuple[Path, dict[str, str]]:
    """The program, and the environment to start it in.

    In this order: what the variable LAT_PROGRAM names, the package's own, one that cargo built in the checkout around the package.
    Raises :class:`LatError` where there is none, or where the package's own finds no PyTorch that it can run with.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise LatError(f"expected in {VARIABLE} a program, found {named}; name a `lat` that cargo built", BAD_INPUT)
        return Path(named), dict(os.environ)
    packed = PACKAGE / "bin" / "lat"
    if packed.exists():
        return packed, _environment(_torch_folder(), packed)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or PACKAGE.parent.parent / "target")
    built = [target / profile / "lat" for profile in ("release", "debug")]
    for program in built if (PACKAGE.parent / "pyproject.toml").exists() else []:
        if program.exists():
            return program, dict(os.environ)
    raise LatError(
        "this installation has no program, since none was built when it was installed: run `cargo build --release` in the project and "
        f"`pip install ./python` again, or name a built one in {VARIABLE}; prices and gradients work without",
        BAD_INPUT,
    )


def torch_version() -> str | None:
    """Version of the PyTorch of this Python as ``2.11.0``, a build's name left out; None without one. Does not import it."""
    if importlib.util.find_spec("torch") is None:
        return None
    try:
        return importlib.metadata.version("torch").partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _torch_folder() -> Path:
    """The folder of libtorch in the installed PyTorch."""
    found = torch_version()
    if found != TORCH_VERSION:
        what = "none" if found is None else f"PyTorch {found}"
        raise LatError(
            f"expected PyTorch {TORCH_VERSION}, whose libraries the program runs with, and found {what} beside {sys.executable}; "
            f"run `pip install torch=={TORCH_VERSION}` (a CPU or a CUDA build), or name a program with a libtorch of its own in {VARIABLE}",
            BAD_INPUT,
        )
    spec = importlib.util.find_spec("torch")
    folders = list(spec.submodule_search_locations or []) if spec else []
    libraries = [Path(folder) / "lib" for folder in folders]
    for folder in libraries:
        if (folder / "libtorch_cpu.so").exists():
            return folder
    raise LatError(f"expected libtorch_cpu.so in {libraries[0] if libraries else 'torch/lib'}, found none; install PyTorch again", BAD_INPUT)


def _environment(libraries: Path, program: Path) -> dict[str, str]:
    """The program's own run path leads to a PyTorch beside the package; one elsewhere is named."""
    environment = dict(os.environ)
    if libraries.resolve() != (program.parent / ".." / ".." / "torch" / "lib").resolve():
        others = environment.get("LD_LIBRARY_PATH")
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{others}" if others else str(libraries)
    return environment


def main() -> None:
    """Turns this process into the program, with its arguments."""
    try:
        program, environment = find()
        os.execve(program, ["lat", *sys.argv[1:]], environment)
    except LatError as error:
        sys.exit(_told(f"lat: {error}"))
    except OSError as error:
        sys.exit(_told(f"lat: could not start {program}: {error.strerror}; was it built for this machine?"))


def _told(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return BAD_INPUT


def run(command: str, *arguments: str | os.PathLike[str], quiet: bool = False, **options: Any) -> str:
    """Runs ``lat COMMAND``, shows its messages on standard error unless ``quiet``, and gives what it printed.

    Options are the program's with underscores for dashes: ``lambda_=0.1`` is ``--lambda 0.1`` (a last underscore falls away, for words
    that Python keeps), True is a flag alone, None and False are left out, a list repeats the option. Raises :class:`LatError` with the
    program's sentence where it fails; an interrupt reaches the program, which keeps what it has.
    """
    program, environment = find()
    line = [str(program), command, *map(str, arguments), *_flags(options)]
    # In a session of its own, so that an interrupt in a terminal does not reach it beside the one sent here: two end it at once.
    child = subprocess.Popen(
        line,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    printed: list[str] = []
    messages: deque[str] = deque(maxlen=50)
    readers = [
        threading.Thread(target=printed.extend, args=(child.stdout,), daemon=True),
        threading.Thread(target=_follow, args=(child.stderr, messages, quiet), daemon=True),
    ]
    _wait(child, readers)
    for reader in readers:
        reader.join()
    if child.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if child.returncode != 0:
        raise LatError(_sentence(list(messages), command, child.returncode), child.returncode)
    return "".join(printed)


def _wait(child: subprocess.Popen[str], readers: Sequence[threading.Thread]) -> None:
    """Starts to read what the program prints and waits for its end. The first interrupt lets it finish what it has at hand, a second one
    ends it."""
    try:
        for reader in readers:
            reader.start()
        child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        try:
            child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            child.wait()
        raise


def _follow(lines: Iterable[str], messages: deque[str], quiet: bool) -> None:
    for line in lines:
        messages.append(line.rstrip())
        if not quiet:
            print(line, end="", file=sys.stderr, flush=True)


def _sentence(messages: Sequence[str], command: str, code: int) -> str:
    """The program's error: what follows the last `lat: `, or clap's `error: `."""
    for start in ("lat: ", "error: "):
        found = [number for number, line in enumerate(messages) if line.startswith(start)]
        if found:
            return " ".join(filter(None, messages[found[-1] :])).removeprefix(start)
    return f"`lat {command}` ended with exit code {code}: {' '.join(messages[-3:]) or 'no message'}"


def _flags(options: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = "--" + name.rstrip("_").replace("_", "-")
        if value is True:
            flags.append(flag)
        elif isinstance(value, dict):
            flags += [word for key, item in value.items() for word in (flag, f"{key}={item}")]
        elif isinstance(value, (list, tuple)):
            flags += [word for item in value for word in (flag, str(item))]
        elif value is not None and value is not False:
            flags += [flag, str(value)]
    return flags


def with_json(command: str, *arguments: str | os.PathLike[str], quiet: bool = False, **options: Any) -> Any:
    """As :func:`run`, and gives what the command writes with ``--json``. A file that the caller names with ``json`` stays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.pop("json", None) or Path(folder) / "result.json")
        run(command, *arguments, quiet=quiet, **options, json=path)
        return json.loads(path.read_text(encoding="utf-8"))


def predictions(predictor: str | os.PathLike[str], texts: Iterable[str], **options: Any) -> list[dict[str, Any]]:
    """What ``lat predict`` tells of architecture texts: value, .. of each; sd, low, high and off_data where the fit told deviations."""
    has_sd = read_file(predictor).head["deviation"] is not None
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "architectures.txt"
        lines.write_text("".join(f"{' '.join(text.split())}\n" for text in texts), encoding="utf-8")
        options = {"sd": has_sd, "quiet": True, **options}
        rows: list[dict[str, Any]] = with_json("predict", predictor=predictor, file=lines, **options)
        return rows
