#!/usr/bin/env python3
"""Writes tests/parity/official_*.npz: what the authors' own code computes in one search step of a tiny supernet.

    scripts/parity-official FOLDER        (see there for what FOLDER holds and what Python needs)

None of that code is part of this project: it is imported from FOLDER and patched from outside where it asks for a GPU or draws
random numbers. Weights, images and architecture parameters are those of the formula in tests/parity/README.md, so the files hold
labels, random numbers, losses and gradients alone. Names of weights are ours; `layers_of` says which of the official layers has which.
"""

import argparse
import pathlib
import random
import sys
import types
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from official_code import (CELL_TYPES, CELLS, CLASSES, LAYERS, N_EDGES, Numbers, alpha, arrays, batch, digests, fill_weights, imported,
                           layers_of, parameters, set_to, weight_step, without_gpu)
from parity import DARTS_OPS, NOISE, TORCH, fill, noise, stored, uniform

DARTS_LR, DARTS_DECAY, DARTS_MOMENTUM = 0.025, 3e-4, 0.9

def darts_model(network, channels, dtype):
    model = network(channels, CLASSES, LAYERS, nn.CrossEntropyLoss()).to(dtype)
    cells = [((c.preprocess0, c.preprocess1), [dict(zip(DARTS_OPS, mixed._ops)) for mixed in c._ops]) for c in model.cells]
    named = parameters(layers_of(model.stem, cells, model.classifier))
    fill_weights(named)
    for cell, values in alpha().items():
        set_to(getattr(model, f"alphas_{cell}"), values)
    return model, named


def architect_step(architect, model, named, unrolled, dtype):
    """One step of the official `Architect` with a rate of 0, and the validation loss it takes the gradient of."""
    optimizer = torch.optim.SGD(model.parameters(), DARTS_LR, DARTS_MOMENTUM, weight_decay=DARTS_DECAY)
    for name, parameter in named.items():
        momentum = 0.1 * fill(f"m.{name}", tuple(parameter.shape)).astype(np.float64)
        optimizer.state[parameter]["momentum_buffer"] = torch.from_numpy(momentum).to(dtype)
    args = types.SimpleNamespace(momentum=DARTS_MOMENTUM, weight_decay=DARTS_DECAY, arch_learning_rate=0.0, arch_weight_decay=0.0)
    losses = []
    model._criterion.register_forward_hook(lambda _module, _inputs, loss: losses.append(loss))
    train, valid = batch("train", dtype), batch("valid", dtype)
    architect.Architect(model, args).step(*train, *valid, DARTS_LR, optimizer, unrolled)
    # Of the unrolled step's four losses (training, validation, and two of the finite difference) the second.
    assert len(losses) == (4 if unrolled else 1), len(losses)
    return losses[1 if unrolled else 0]


def darts(folder, dtype, channels=4, unrolled=False, kinds=("alpha",)):
    with imported(folder) as load:
        model, named = darts_model(load("model_search").Network, channels, dtype)
        if "beta" in kinds:
            for cell, values in alpha("beta", (N_EDGES,)).items():
                set_to(getattr(model, f"betas_{cell}"), values)
        valid_loss = architect_step(load("architect"), model, named, unrolled, dtype)
        of = lambda kind: torch.cat([getattr(model, f"{kind}s_{cell}").grad for cell in CELL_TYPES])
        gradients = {f"d{kind}": of(kind).clone() for kind in kinds}
        if "beta" in kinds:
            gradients["dbeta"] = gradients["dbeta"].reshape(-1, 1)
        train_loss = weight_step(model, named, dtype)
    return arrays(named, {"valid_loss": valid_loss, "train_loss": train_loss}, gradients)


def p_darts(folder, dtype, epoch=12, rate=0.4, seed=0x0123456789ABCDEF):
    """The second stage in its 12th epoch: five operations per edge, dropout on skip connections, alpha's gradient clipped to a norm of 0.01."""
    keys = uniform("live", 2 * N_EDGES * 8).reshape(2, N_EDGES, 8)
    live = np.argsort(np.argsort(keys, -1), -1) < 5
    switches = [half.tolist() for half in live]
    call = [0]

    def dropout(x, p, training=True, inplace=False):
        stays = torch.from_numpy(hashed(x.numel(), seed + call[0])).reshape(x.shape) < 1 - p
        call[0] += 1
        return x * stays / (1 - p)

    with imported(folder) as load, mock.patch.object(F, "dropout", dropout):
        model = load("model_search").Network(4, CLASSES, LAYERS, nn.CrossEntropyLoss(), switches_normal=switches[0],
                                             switches_reduce=switches[1], p=rate).to(dtype)
        model.p = rate * np.exp(-(epoch - 10) * 0.2)  # `scale_factor` and `eps_no_archs` of train_search.py
        model.update_p()
        kept = lambda cell, e: [op for op, is_on in zip(DARTS_OPS, live[CELL_TYPES.index(cell)][e]) if is_on]
        edges = lambda c, cell: [dict(zip(kept(cell, e), mixed.m_ops)) for e, mixed in enumerate(c.cell_ops)]
        cells = [((c.preprocess0, c.preprocess1), edges(c, cell)) for c, cell in zip(model.cells, CELLS)]
        named = parameters(layers_of(model.stem, cells, model.classifier))
        fill_weights(named)
        for half, cell in enumerate(CELL_TYPES):
            set_to(getattr(model, f"alphas_{cell}"), alpha()[cell][live[half]].reshape(N_EDGES, 5))
        images, labels = batch("valid", dtype)
        valid_loss = F.cross_entropy(model(images), labels)
        valid_loss.backward()
        norm = nn.utils.clip_grad_norm_(model.arch_parameters(), 0.01)
        assert norm > 0.1, "there was something to clip"
        gradient = torch.zeros(2, N_EDGES, 8, dtype=dtype)
        gradient[torch.from_numpy(live)] = torch.cat([p.grad.flatten() for p in model.arch_parameters()])
        train_loss = weight_step(model, named, dtype)
    found = arrays(named, {"valid_loss": valid_loss, "train_loss": train_loss}, {"dalpha": gradient.reshape(-1, 8)})
    return found | {"live": live.reshape(-1, 8).astype(np.uint8), "seed": np.array([seed], dtype=np.int64)}


def hashed(n, seed):
    """The numbers that say what our dropout drops (src/supernet/skip_dropout.rs)."""
    bits = 0x7FFFFFFF
    start = (seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 33
    x = (np.arange(n, dtype=np.int64) * 0x9E3779B1 + start) & bits
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = ((x ^ (x >> shift)) * factor) & bits
    return ((x ^ (x >> 16)).astype(np.float32) / np.float32(bits + 1.0)).astype(np.float64)


GDAS_OPS = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "dua_sepc_3x3", "dua_sepc_5x5", "dil_sepc_3x3", "dil_sepc_5x5"]


def gdas(folder, dtype, fixed_reduction=False, tau=10 - 9.9 * 0.5):
    """The network of DARTS cells, one operation per edge drawn by given numbers: first for the weights, then for alpha.

    Its cells are made those of DARTS where they differ: BN behind pools, no BN before the classifier. A bias is 0 and cancels out."""
    cell_types = CELL_TYPES[:1] if fixed_reduction else CELL_TYPES
    numbers = Numbers("gumbel 1", 2 * len(cell_types) * N_EDGES * 8)

    def exponential_(tensor):
        return tensor.copy_(torch.from_numpy(-np.log(numbers.take(tuple(tensor.shape)))))

    with imported(folder) as load, mock.patch.object(torch.Tensor, "exponential_", exponential_):
        name = "search_model_gdas_frc_nasnet" if fixed_reduction else "search_model_gdas_nasnet"
        theirs = load(f"xautodl.models.cell_searchs.{name}")
        network = theirs.NASNetworkGDAS_FRC if fixed_reduction else theirs.NASNetworkGDAS
        model = network(4, 1, 4, 4, 3, CLASSES, GDAS_OPS, False, True).to(dtype)
        model.lastact = nn.Identity()
        model.set_tau(tau)
        searched = [cell for cell in model.cells if hasattr(cell, "edges")]
        for mixed in (mixed for cell in searched for mixed in cell.edges.values()):
            for op in (1, 2):
                channels = mixed._ops[4].op_a.op[3].num_features
                mixed._ops[op] = nn.Sequential(mixed._ops[op], nn.BatchNorm2d(channels, affine=False)).to(dtype)
        content = [[dict(zip(DARTS_OPS, cell.edges[key]._ops)) for key in cell.edge_keys] if cell in searched
                   else [*cell.ops1, *cell.ops2] for cell in model.cells]
        cells = [((c.preprocess0, c.preprocess1), inside) for c, inside in zip(model.cells, content)]
        named = parameters(layers_of(model.stem, cells, model.classifier))
        fill_weights(named)
        alphas = model.get_alphas()
        for parameter, cell in zip(alphas, cell_types, strict=True):
            set_to(parameter, alpha()[cell])
        train_loss = weight_step(model, named, dtype)
        of_weights = digests(named)
        images, labels = batch("valid", dtype)
        valid_loss = F.cross_entropy(model(images)[1], labels)
        gradient = torch.cat(torch.autograd.grad(valid_loss, alphas))
    found = arrays(named, {"valid_loss": valid_loss, "train_loss": train_loss}, {"dalpha": gradient})
    return found | of_weights | {"random": numbers.all}


def snas(folder, dtype, temperature=0.515):
    """One loss for weights and alpha, all operations weighed by a draw of given numbers. No drop path, no cost."""
    numbers = Numbers("gumbel", 2 * N_EDGES * 8)

    def uniform_(tensor):
        return tensor.copy_(torch.from_numpy(numbers.take(tuple(tensor.shape))))

    asked = dict(snas=True, temp=temperature, drop_path_prob=0.0, loc_mean=1.0, loc_std=0.01, nsample=1, init_channels=4, method="none",
                 separation="all", ckpt_false_list="[]", resource_lambda=0.0, distributed=False, world_size=1)
    args = mock.Mock(spec_set=[*asked, *SNAS_OFF], **asked, **dict.fromkeys(SNAS_OFF, False))
    with imported(folder, "torchvision", "torchvision.transforms") as load:
        theirs = load("model_search").Network
        model = theirs(4, CLASSES, LAYERS, nn.CrossEntropyLoss(), args, 0, 1).to(dtype)
        cells = [((c.preprocess0, c.preprocess1), [dict(zip(DARTS_OPS, mixed._ops)) for mixed in c._ops]) for c in model.cells]
        named = parameters(layers_of(model.stem, cells, model.classifier))
        fill_weights(named)
        for log_alpha, values in zip(model.arch_parameters(), alpha().values()):
            set_to(log_alpha, values)
        with mock.patch.object(torch.Tensor, "uniform_", uniform_):
            images, labels = batch("train", dtype)
            loss = F.cross_entropy(model(images)[0], labels)
        loss.backward()
        gradient = torch.cat([log_alpha.grad for log_alpha in model.arch_parameters()])
    return arrays(named, {"train_loss": loss}, {"dalpha": gradient}) | {"random": numbers.all}


# What the official options of SNAS switch on beyond the paper's search.
SNAS_OFF = ["dsnas", "use_ckpt", "resample_layer", "resource_efficient", "normalization", "running_mean_var", "log_penalty", "loss", "bn_affine",
            "minus_baseline", "auxiliary", "random_sample", "random_sample_fix_temp", "gen_max_child_flag"]

DROPNAS_OPS = ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "none"]


def dropnas(folder, dtype, drop_rate=1e-3):
    """One loss for weights and alpha, operations dropped by given numbers, one per edge and operation in our order of draws: those
    with weights first, each group in the order of our list."""
    ours = ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5", "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect"]
    numbers = Numbers("drop", 2 * N_EDGES * 8)
    per_edge = numbers.take((2 * N_EDGES, 8))[:, [ours.index(op) for op in DROPNAS_OPS]]
    assert all((group > drop_rate ** 0.25).any() for edge in per_edge for group in (edge[:4], edge[4:])), "a group would be drawn again"
    draws = iter(per_edge.ravel())
    with imported(folder) as load, mock.patch.object(random, "random", lambda: next(draws)):
        model = load("models.search_cnn").SearchCNNController(8, 3, 4, CLASSES, LAYERS, nn.CrossEntropyLoss(), device_ids=[0]).to(dtype)
        net = model.net
        edges = lambda c: [dict(zip(DROPNAS_OPS, mixed._ops)) for node in c.dag for mixed in node]
        cells = [((c.preproc0, c.preproc1), edges(c)) for c in net.cells]
        named = parameters(layers_of(net.stem, cells, net.linear))
        fill_weights(named)
        for cell, values in alpha().items():
            rows = iter(values[:, [DARTS_OPS.index(op) for op in DROPNAS_OPS]])
            for node in getattr(model, f"alpha_{cell}"):
                set_to(node, [next(rows) for _ in range(len(node))])
        images, labels = batch("train", dtype)
        loss = model.criterion(model(images, drop_rate), labels)
        loss.backward()
        gradient = torch.cat([node.grad for cell in CELL_TYPES for node in getattr(model, f"alpha_{cell}")])
    gradient = gradient[:, [DROPNAS_OPS.index(op) for op in DARTS_OPS]]
    return arrays(named, {"train_loss": loss}, {"dalpha": gradient}) | {"random": numbers.all}


METHODS = {
    "darts": lambda root, dtype: darts(root / "darts/cnn", dtype),
    "darts_2nd": lambda root, dtype: darts(root / "darts/cnn", dtype, unrolled=True),
    "pc_darts": lambda root, dtype: darts(root / "PC-DARTS", dtype, channels=8, kinds=("alpha", "beta")),
    "p_darts": lambda root, dtype: p_darts(root / "pdarts", dtype),
    "gdas": lambda root, dtype: gdas(root / "AutoDL-Projects", dtype),
    "gdas_frc": lambda root, dtype: gdas(root / "AutoDL-Projects", dtype, fixed_reduction=True),
    "snas": lambda root, dtype: snas(root / "SNAS-Series/SNAS", dtype),
    "dropnas": lambda root, dtype: dropnas(root / "DropNAS", dtype),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", type=pathlib.Path, help="folder that holds the official repositories")
    default = pathlib.Path(__file__).resolve().parent.parent / "tests" / "parity"
    parser.add_argument("--out", type=pathlib.Path, default=default, help="folder of the .npz files (default: tests/parity)")
    args = parser.parse_args()
    if torch.__version__.split("+")[0] != TORCH:
        sys.exit(f"expected PyTorch {TORCH}, the version that the tests link; found {torch.__version__}")
    torch.set_num_threads(1)
    for name, make in METHODS.items():
        found = {}
        for dtype in (torch.float32, torch.float64):
            torch.set_default_dtype(dtype)
            with without_gpu():
                found[dtype] = make(args.checkouts.resolve(), dtype)
        torch.set_default_dtype(torch.float32)
        single = stored(found[torch.float32])
        steps = {k: a for k, a in single.items() if k.startswith("step/")}
        deviation, key = noise(steps, found[torch.float64])
        if deviation > NOISE:
            sys.exit(f"{name}: float32 is off by {deviation:.1e} at {key}, too noisy for a test at 1e-4; choose other inputs")
        path = args.out / f"official_{name}.npz"
        # What float64 gives, rounded once: the official formulas without their rounding.
        exact = stored(found[torch.float64])
        np.savez_compressed(path, **exact)
        print(f"{path.name:24} {len(exact):3} arrays {path.stat().st_size:6} bytes, float32 noise {deviation:.1e} ({key})")


if __name__ == "__main__":
    main()
