"""What scripts/parity_official.py needs to run the authors' code on a CPU and to speak of its weights by our names."""

import contextlib
import importlib
import sys
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parity import DARTS_OPS, fill, uniform

CLASSES, LAYERS, BATCH, N_EDGES = 10, 3, 4, 14
LABELS = {"train": [3, 7, 1, 9], "valid": [0, 4, 4, 8]}
CELL_TYPES = ("normal", "reduce")
CELLS = ("normal", "reduce", "reduce")
SEP = ["dw1", "pw1", "bn1", "dw2", "pw2", "bn2"]
# Our names of an operation's layers, in the order in which the official modules list theirs.
OP_LAYERS = {"none": [], "max_pool_3x3": ["bn"], "avg_pool_3x3": ["bn"], "sep_conv_3x3": SEP, "sep_conv_5x5": SEP,
             "dil_conv_3x3": ["dw", "pw", "bn"], "dil_conv_5x5": ["dw", "pw", "bn"], "factorized_reduce": ["conv1", "conv2", "bn"],
             "skip_connect": [], "nor_conv_1x1": ["conv", "bn"]}
# Those of the four branches of GDAS' fixed reduction cell.
BRANCHES = 2 * [["conv1", "conv2", "bn1", "pw", "bn2"]] + 2 * [["bn"]]


# The official code on a CPU.

@contextlib.contextmanager
def imported(folder, *stubs):
    """Lets the code of a checkout be imported by the names it uses itself; they are forgotten afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.modules.update({name: mock.MagicMock(name=name) for name in stubs})
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            is_theirs = str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder))
            if is_theirs or name in stubs:
                del sys.modules[name]


@contextlib.contextmanager
def without_gpu():
    """Calls for a GPU do nothing."""
    def to(original):
        def patched(self, *args, **kwargs):
            asks_for_gpu = bool(args) and isinstance(args[0], (str, torch.device)) and torch.device(args[0]).type == "cuda"
            return self if asks_for_gpu else original(self, *args, **kwargs)
        return patched

    with mock.patch.object(torch.Tensor, "cuda", lambda self, *a, **k: self), \
            mock.patch.object(nn.Module, "cuda", lambda self, *a, **k: self), \
            mock.patch.object(torch.Tensor, "to", to(torch.Tensor.to)), mock.patch.object(nn.Module, "to", to(nn.Module.to)):
        yield


class Numbers:
    """Random numbers in (0, 1), float32, handed out in order; `stored` is what a file keeps."""

    def __init__(self, name, size):
        self.all = ((uniform(name, size) + 1) / 2).clip(1e-6, 1 - 1e-6).astype(np.float32)
        self.at = 0

    def take(self, shape):
        size = int(np.prod(shape))
        self.at += size
        assert self.at <= len(self.all), "more random numbers were drawn than expected"
        return self.all[self.at - size:self.at].reshape(shape).astype(np.float64)


# Names.

def layers_of(stem, cells, head):
    """Our names of the official layers; `cells` gives preprocessing modules and edges, each a dict of operations by name, or the
    branches of a fixed cell."""
    found, n = {}, 1

    def take(prefix, names, module):
        layers = [m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))]
        assert len(layers) == len(names), f"{prefix}: expected layers {names}, found {layers}"
        found.update({f"{prefix}.{name}": layer for name, layer in zip(names, layers)})

    take("s1", ["conv", "bn"], stem)
    for cell, (inputs, edges) in enumerate(cells):
        for module in inputs:
            n += 1
            is_reduction = sum(isinstance(m, nn.Conv2d) for m in module.modules()) == 2
            take(f"s{n}", OP_LAYERS["factorized_reduce" if is_reduction else "nor_conv_1x1"], module)
        if isinstance(edges[0], nn.Module):
            for names, module in zip(BRANCHES, edges):
                n += 1
                take(f"s{n}", names, module)
            n += 1  # the cell's concatenation
            continue
        edges = iter(edges)
        for node in range(4):
            for predecessor in range(node + 2):
                n += 1
                for op, module in next(edges).items():
                    if op == "skip_connect" and CELLS[cell] == "reduce" and predecessor < 2:
                        op = "factorized_reduce"
                    take(f"s{n}.{op}", OP_LAYERS[op], module)
            n += 1  # the node's sum
        n += 1  # the cell's concatenation
    take(f"s{n + 2}", ["linear"], head)  # after the auxiliary head, which only training reads
    return found


def parameters(layers):
    """Trainable weights by our names. A bias before a BN changes nothing; ours have none."""
    named = {}
    for name, layer in layers.items():
        for kind, parameter in layer.named_parameters(recurse=False):
            if kind == "bias" and isinstance(layer, nn.Conv2d):
                nn.init.zeros_(parameter)
            else:
                named[f"{name}.{kind}"] = parameter
    return dict(sorted(named.items()))


def set_to(tensor, values):
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def fill_weights(named):
    for name, parameter in named.items():
        set_to(parameter, fill(name, tuple(parameter.shape)))


def alpha(kind="alpha", shape=(N_EDGES, 8)):
    return {cell: fill(f"{kind}.{cell}", shape) for cell in CELL_TYPES}


def batch(name, dtype):
    images = torch.from_numpy(fill(f"x.{name}", (BATCH, 3, 8, 8))).to(dtype)
    return images, torch.tensor(LABELS[name])


# What a file holds.

def digests(named):
    """Norm of each weight's gradient and its product with a fixed direction, in the order of names."""
    flat = {n: np.zeros(p.numel()) if p.grad is None else p.grad.double().numpy().ravel() for n, p in named.items()}
    dot = [g @ uniform(f"r.{n}", g.size) for n, g in flat.items()]
    return {"step/dw_norm": np.array([np.linalg.norm(g) for g in flat.values()]), "step/dw_dot": np.array(dot)}


def arrays(named, losses, gradients):
    """Losses by their names, gradients of parameters by theirs, and those of the weights, which the last pass left."""
    found = {f"step/{name}": loss.detach().reshape(1).numpy() for name, loss in losses.items()}
    found |= {f"step/{name}": g.detach().numpy() for name, g in gradients.items()}
    found |= {f"labels/{name}": np.array(labels, dtype=np.int64) for name, labels in LABELS.items()}
    found["names"] = np.frombuffer("\n".join(named).encode(), dtype=np.uint8)
    return found | digests(named)


def weight_step(model, named, dtype):
    """The loss on the training images; leaves its gradients in the weights."""
    images, labels = batch("train", dtype)
    for parameter in named.values():
        parameter.grad = None
    logits = model(images)
    loss = F.cross_entropy(logits[-1] if isinstance(logits, tuple) else logits, labels)
    loss.backward()
    return loss
