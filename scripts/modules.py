#!/usr/bin/env python3
"""Writes tests/modules/*.pt and the other files there: small modules in the forms that people hand to `lat time`, good and bad.

Needs PyTorch 2.11.0 (CPU is enough), see scripts/parity.py:

    /tmp/torchenv/bin/python scripts/modules.py [--out tests/modules]
"""

import argparse
import pathlib
import zipfile
from typing import Dict, List, Tuple

import torch
from torch import nn


class Buffers(nn.Module):
    """An integer buffer that indexes a parameter, as Swin's and BERT's relative positions do."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 4))
        self.register_buffer("index", torch.arange(8))
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).sum() + self.table[self.index].sum()


class Outputs(nn.Module):
    """One of the forms in which models return several things."""

    def __init__(self, form: str):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.form = form

    def forward(self, x):
        y = self.fc(x)
        return {"dict": {"logits": y}, "tuple": (y, x), "list": [y, x], "nested": ({"a": y}, x)}[self.form]


class Tokens(nn.Module):
    """Token numbers and their mask."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 8)

    def forward(self, ids, mask):
        return (self.embedding(ids) * mask.unsqueeze(-1)).sum(1)


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(100, 8)

    def forward(self, ids):
        return self.embedding(ids)


class Scaled(nn.Module):
    """A number beside the tensor."""

    def forward(self, x, n: int, bias: float = 0.0):
        return x * n + bias


class Lists(nn.Module):
    """A list of images, as detectors take them, and what they return."""

    def forward(self, images: List[torch.Tensor]) -> List[Dict[str, torch.Tensor]]:
        found: List[Dict[str, torch.Tensor]] = []
        for image in images:
            found.append({"mean": image.mean()})
        return found


class Pair(nn.Module):
    def forward(self, pair: Tuple[torch.Tensor, torch.Tensor]):
        return pair[0] + pair[1]


def without_operator(source: pathlib.Path, out: pathlib.Path):
    """The module of `source` with relu replaced by an operator of torchvision."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            text = old.read(entry)
            if "/code/" in entry.filename and entry.filename.endswith(".py"):
                text = text.replace(b"torch.relu(x)", b"ops.torchvision.nms(x, x, 0.5)")
            if not entry.filename.endswith(".debug_pkl"):
                new.writestr(entry, text)


class Relu(nn.Module):
    def forward(self, x):
        return torch.relu(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("tests/modules"))
    out = parser.parse_args().out
    torch.manual_seed(0)
    scripted = {
        "buffers": Buffers(),
        "embedding": Embedding(),
        "tokens": Tokens(),
        "scaled": Scaled(),
        "images": Lists(),
        "pair": Pair(),
        "conv": nn.Conv2d(3, 4, 3, padding=1),
        "double": nn.Linear(4, 2).double(),
    }
    for name, module in scripted.items():
        torch.jit.script(module.eval()).save(out / f"{name}.pt")
    x = torch.randn(1, 4)
    for form in ("dict", "tuple", "list", "nested"):
        torch.jit.trace(Outputs(form).eval(), x, strict=False).save(out / f"{form}.pt")
    linear = nn.Linear(4, 2).eval()
    torch.save(linear.state_dict(), out / "state.pth")
    torch.save(linear, out / "whole.pt")
    torch.save(linear.state_dict(), out / "old.pth", _use_new_zipfile_serialization=False)
    torch.export.save(torch.export.export(linear, (x,)), out / "exported.pt2")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    torch.jit.optimize_for_inference(torch.jit.script(net)).save(out / "optimized.pt")
    torch.jit.script(Relu()).save(out / "relu.pt")
    without_operator(out / "relu.pt", out / "operator.pt")
    (out / "relu.pt").unlink()


if __name__ == "__main__":
    main()
