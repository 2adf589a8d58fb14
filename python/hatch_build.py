"""Build hooks: the version out of the workspace's Cargo.toml, and the program as the package's data.

A program that cargo has built (`target/release/lat`, else `target/debug/lat`, or the one that LAT_PROGRAM names) is packed with its run
path set to the libtorch of the PyTorch beside the package. Without one the package is plain Python, and `python -m lat` says what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# From site-packages/lat/bin.
RUN_PATH = "$ORIGIN/../../torch/lib"


def workspace_manifest(root: Path) -> Path:
    """The workspace's Cargo.toml: beside the package's folder, or within it in a source distribution."""
    for folder in (root, root.parent):
        if (folder / "Cargo.toml").exists():
            return folder / "Cargo.toml"
    raise FileNotFoundError(f"expected the workspace's Cargo.toml in {root} or the folder around it, found none; build in a whole checkout")


class VersionHook(MetadataHookInterface):
    """Takes the version from the workspace."""

    def update(self, metadata: dict[str, Any]) -> None:
        manifest = tomllib.loads(workspace_manifest(Path(self.root)).read_text(encoding="utf-8"))
        metadata["version"] = manifest["workspace"]["package"]["version"]


class ProgramHook(BuildHookInterface[Any]):
    """Packs the program into wheels, and the workspace's Cargo.toml into source distributions."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if self.target_name == "sdist":
            for name in ("Cargo.toml", "LICENSE"):
                build_data["force_include"][str(workspace_manifest(root).parent / name)] = name
            return
        if not (root / "LICENSE").exists():
            build_data["extra_metadata"][str(root.parent / "LICENSE")] = "LICENSE"
        if version == "editable":
            return  # The package then finds the program in the checkout.
        program = built_program(root)
        if program is None:
            self.app.display_warning("no built lat was found, so the package has no program; `cargo build --release` first to have it in")
            return
        # Goes with this process, since wheels alone are finalised, and their metadata are asked for before.
        self.folder = tempfile.TemporaryDirectory()
        packed = Path(self.folder.name) / "lat"
        shutil.copy(program, packed)
        packed.chmod(0o755)
        subprocess.run([patchelf(), "--set-rpath", RUN_PATH, packed], check=True)
        build_data["force_include"][str(packed)] = "lat/bin/lat"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(packed.read_bytes())}"
        self.app.display_info(f"packed {program} ({build_data['tag']})")


def built_program(root: Path) -> Path | None:
    """The program to pack, where there is one; Linux alone has run paths of this kind."""
    named = os.environ.get("LAT_PROGRAM")
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"expected in LAT_PROGRAM a program, found {named}")
    if named or not sys.platform.startswith("linux"):
        return Path(named) if named else None
    target = Path(os.environ.get("CARGO_TARGET_DIR") or root.parent / "target")
    built = [target / profile / "lat" for profile in ("release", "debug")]
    # A folder `target` around a source distribution would be somebody else's.
    is_checkout = workspace_manifest(root).parent == root.parent
    return next((program for program in built if is_checkout and program.is_file()), None)


def patchelf() -> str:
    """The program patchelf: on PATH in an isolated build, else beside this Python."""
    return shutil.which("patchelf") or str(Path(sys.executable).with_name("patchelf"))


def platform_tag(program: bytes) -> str:
    """`manylinux_2_N` of the newest symbols of the C library that the program asks for: N is 28 only where it was built with that one."""
    versions = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", program)]
    return f"manylinux_2_{max([17, *versions])}_{os.uname().machine}"
