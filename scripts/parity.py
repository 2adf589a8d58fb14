#!/usr/bin/env python3
"""Writes tests/parity/*.npz: inputs, outputs and gradients of all layers and four small networks as PyTorch computes them.

Needs PyTorch 2.11.0 (CPU is enough) and numpy:

    python3 -m venv /tmp/torchenv && /tmp/torchenv/bin/pip install torch==2.11.0 numpy
    /tmp/torchenv/bin/python scripts/parity.py [--out tests/parity]

Two runs on one machine write identical bytes; another CPU may change the last bits. Weights are not stored: both sides compute
them from the formula at `fill`. Keys, names and the formula stand in tests/parity/README.md. The operations are written from
the papers' definitions (DARTS, arXiv 1806.09055; PC-DARTS, arXiv 1907.05737; NAS-Bench-201, arXiv 2001.00326) and the node
numbers follow space/src/darts/network.rs and space/src/nasbench201/mod.rs.
"""

import argparse
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

TORCH = "2.11.0"
# Largest deviation of float32 from float64 allowed in a fixture: tests compare at 1e-4 of each array's largest value. A batch
# of 2 images would break it: BN over 8 values meets channels that hardly vary, and their gradients drown in rounding.
NOISE = 1e-5
DARTS_OPS = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
DARTS_V2 = {
    "normal": [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
               ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2)],
    "reduce": [("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
               ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1)],
}
# All five operations, and every edge reaches the output.
NASBENCH201 = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
LABELS = [3, 7, 1, 9]


def uniform(name, size):
    """`size` reproducible numbers in [-1, 1), float64: hash of the name (FNV-1a, 32 bits) plus a Weyl sequence, mixed."""
    key = 0x811C9DC5
    for byte in name.encode():
        key = (key ^ byte) * 0x01000193 & 0xFFFFFFFF
    z = (key + np.arange(size, dtype=np.uint64) * 0x9E3779B9) & 0xFFFFFFFF
    z ^= z >> 16
    z = z * 0x21F0AAAD & 0xFFFFFFFF
    z ^= z >> 15
    z = z * 0x735A2D97 & 0xFFFFFFFF
    z ^= z >> 15
    return z.astype(np.float64) / 2**31 - 1


def fill(name, shape):
    """The tensor of this name as float32; its kind is read from the end of the name and the number of dimensions."""
    u = uniform(name, math.prod(shape))
    if len(shape) > 1 and name.endswith("weight"):
        u = u * math.sqrt(6 / math.prod(shape[1:]))
    elif name.endswith("weight"):
        u = 1 + 0.25 * u
    elif name.endswith("running_var"):
        u = 1 + 0.5 * u
    elif name.endswith(("bias", "running_mean")):
        u = 0.1 * u
    return u.reshape(shape).astype(np.float32)


class Net:
    """Weights by name, made when first asked for, and the settings that all operations share."""

    def __init__(self, train, affine, normalised_pools, dtype):
        self.train, self.affine, self.normalised_pools, self.dtype = train, affine, normalised_pools, dtype
        self.weights, self.stats = {}, {}

    def leaf(self, name, shape):
        return torch.from_numpy(fill(name, shape)).to(self.dtype).requires_grad_()

    def weight(self, name, shape):
        if name not in self.weights:
            self.weights[name] = self.leaf(name, shape)
        return self.weights[name]

    def stat(self, name, c):
        if name not in self.stats:
            self.stats[name] = self.leaf(name, (c,)).detach().clone()
        return self.stats[name]

    def conv(self, name, x, c_out, k, stride=1, dilation=1, groups=1):
        w = self.weight(f"{name}.weight", (c_out, x.shape[1] // groups, k, k))
        return F.conv2d(x, w, stride=stride, padding=dilation * (k - 1) // 2, dilation=dilation, groups=groups)

    def bn(self, name, x, affine=None):
        c = x.shape[1]
        scale = shift = None
        if self.affine if affine is None else affine:
            scale, shift = self.weight(f"{name}.weight", (c,)), self.weight(f"{name}.bias", (c,))
        mean, var = self.stat(f"{name}.running_mean", c), self.stat(f"{name}.running_var", c)
        return F.batch_norm(x, mean, var, scale, shift, training=self.train, momentum=0.1, eps=1e-5)

    def linear(self, name, x, classes):
        return F.linear(x, self.weight(f"{name}.weight", (classes, x.shape[1])), self.weight(f"{name}.bias", (classes,)))

    def depthwise_pointwise(self, p, n, x, c_out, k, stride, dilation):
        c = x.shape[1]
        x = self.conv(f"{p}dw{n}", F.relu(x), c, k, stride, dilation, groups=c)
        return self.bn(f"{p}bn{n}", self.conv(f"{p}pw{n}", x, c_out, 1))

    def op(self, op, p, x, c_out, stride):
        """Operation `op` on x, weights under the prefix `p` (empty, or with its final dot)."""
        kind, k = (op[:-4], int(op[-1])) if op[-2:-1] == "x" else (op, 0)
        if kind == "skip_connect":
            kind = "identity" if stride == 1 else "factorized_reduce"
        match kind:
            case "identity":
                return x
            case "max_pool" | "avg_pool":
                pool = F.max_pool2d if kind == "max_pool" else lambda *a: F.avg_pool2d(*a, count_include_pad=False)
                x = pool(x, k, stride, k // 2)
                return self.bn(f"{p}bn", x) if self.normalised_pools else x
            case "nor_conv":
                return self.bn(f"{p}bn", self.conv(f"{p}conv", F.relu(x), c_out, k, stride))
            case "conv_bn":
                return self.bn(f"{p}bn", self.conv(f"{p}conv", x, c_out, k, stride))
            case "sep_conv":
                x = self.depthwise_pointwise(p, 1, x, x.shape[1], k, stride, 1)
                return self.depthwise_pointwise(p, 2, x, c_out, k, 1, 1)
            case "dil_conv":
                return self.depthwise_pointwise(p, "", x, c_out, k, stride, 2)
            case "factorized_reduce":
                x = F.relu(x)
                # On odd sizes the shifted map would give one row and column less: zeros at its bottom and right stand in.
                shifted = F.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))
                halves = [self.conv(f"{p}conv1", x, c_out // 2, 1, 2), self.conv(f"{p}conv2", shifted, c_out - c_out // 2, 1, 2)]
                return self.bn(f"{p}bn", torch.cat(halves, 1))
            case "bn_relu":
                return F.relu(self.bn(f"{p}bn", x))
            case "residual_block":
                y = self.bn(f"{p}bn1", self.conv(f"{p}conv1", F.relu(x), c_out, 3, stride))
                y = self.bn(f"{p}bn2", self.conv(f"{p}conv2", F.relu(y), c_out, 3))
                # The reference is undefined on odd sizes; windows that hang over average what they cover.
                return y + self.conv(f"{p}shortcut", F.avg_pool2d(x, 2, 2, ceil_mode=True), c_out, 1)
        raise ValueError(f"no operation {op}")


class Names:
    """Node names in the order in which the graph's builder pushes nodes; the image batch is s0."""

    def __init__(self):
        self.n = 0

    def next(self):
        self.n += 1
        return f"s{self.n}"


def edge_index(node, predecessor):
    return sum(range(2, node + 2)) + predecessor


def darts(net, x, channels, layers, classes, mix):
    """The macro network. `mix(name, cell_type, node, predecessor, x, stride)` is the edge's output, or None for no edge."""
    names = Names()
    stem = f"{names.next()}."
    s0 = s1 = net.bn(f"{stem}bn", net.conv(f"{stem}conv", x, 3 * channels, 3), affine=True)
    thirds, was_reduction = (layers // 3, 2 * layers // 3), False
    for cell in range(layers):
        is_reduction = cell in thirds
        channels *= 2 if is_reduction else 1
        older = ("factorized_reduce", 2) if was_reduction else ("nor_conv_1x1", 1)
        values = [net.op(older[0], f"{names.next()}.", s0, channels, older[1])]
        values.append(net.op("nor_conv_1x1", f"{names.next()}.", s1, channels, 1))
        for node in range(4):
            edges = []
            for predecessor, value in enumerate(values):
                stride = 2 if is_reduction and predecessor < 2 else 1
                cell_type = "reduce" if is_reduction else "normal"
                edges.append(mix(names.next(), cell_type, node, predecessor, value, stride))
            names.next()
            values.append(sum(e for e in edges if e is not None))
        names.next()
        s0, s1, was_reduction = s1, torch.cat(values[2:], 1), is_reduction
    names.next()  # the auxiliary head, which only training reads
    return net.linear(f"{names.next()}.linear", s1.mean((2, 3)), classes)


def derived(net, genotype):
    """Edges of a derived network: the genotype's operation or nothing."""

    def mix(name, cell_type, node, predecessor, x, stride):
        for op, kept in genotype[cell_type][2 * node:2 * node + 2]:
            if kept == predecessor:
                built = "factorized_reduce" if op == "skip_connect" and stride == 2 else op
                return net.op(op, f"{name}.{built}.", x, x.shape[1], stride)
        return None

    return mix


def weighted_sum(net, name, weights, x, stride):
    """All candidates times their weights; `none` adds nothing."""
    total = 0
    for op, weight in zip(DARTS_OPS[1:], weights[1:]):
        built = "factorized_reduce" if op == "skip_connect" and stride == 2 else op
        total = total + weight * net.op(op, f"{name}.{built}.", x, x.shape[1], stride)
    return total


def supernet(net, alpha):
    """Edges of the DARTS supernet: softmax of alpha over the candidates."""

    def mix(name, cell_type, node, predecessor, x, stride):
        weights = F.softmax(alpha[cell_type], -1)[edge_index(node, predecessor)]
        return weighted_sum(net, name, weights, x, stride)

    return mix


def partial_supernet(net, alpha, beta, k):
    """Edges of the PC-DARTS supernet: 1/k of the channels mixed, the rest past it, shuffled, times softmax of beta per node."""

    def mix(name, cell_type, node, predecessor, x, stride):
        n, c, h, w = x.shape
        weights = F.softmax(alpha[cell_type], -1)[edge_index(node, predecessor)]
        mixed = weighted_sum(net, name, weights, x[:, :c // k], stride)
        past = x[:, c // k:] if stride == 1 else F.max_pool2d(x[:, c // k:], 2, 2, ceil_mode=True)
        y = torch.cat([mixed, past], 1)
        h, w = y.shape[2:]
        y = y.view(n, k, c // k, h, w).transpose(1, 2).reshape(n, c, h, w)
        first = edge_index(node, 0)
        return y * F.softmax(beta[cell_type][first:first + node + 2], 0)[predecessor]

    return mix


def nasbench201(net, x, channels, layers, classes, text):
    """The NAS-Bench-201 network of one architecture."""
    names = Names()
    ops = [[edge.split("~")[0] for edge in node.strip("|").split("|")] for node in text.split("+")]
    x = net.op("conv_bn_3x3", f"{names.next()}.", x, channels, 1)
    for cell in range(layers):
        if cell > 0 and cell % (layers // 3) == 0:
            channels *= 2
            x = net.op("residual_block", f"{names.next()}.", x, channels, 2)
        values = [x]
        for into in ops:
            edges = []
            for value, op in zip(values, into):
                name = names.next()
                if op != "none":
                    edges.append(net.op(op, f"{name}.{op}.", value, channels, 1))
            names.next()
            values.append(sum(edges))
        x = values[3]
    x = net.op("bn_relu", f"{names.next()}.", x, channels, 1)
    return net.linear(f"{names.next()}.linear", x.mean((2, 3)), classes)


def op_cases():
    """Per operation its output channels (of 3 input channels; another number where it may change the width) and its cases: name,
    stride, height (= width) of the input."""
    for op in ("nor_conv_1x1", "nor_conv_3x3", "conv_bn_3x3", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"):
        yield op, 4, [("s1", 1, 6), ("s2", 2, 6)]
    yield "max_pool_3x3", 3, [("s1", 1, 6), ("s2", 2, 6)]
    yield "avg_pool_3x3", 3, [("s1", 1, 6), ("s2", 2, 6)]
    yield "bn_relu", 3, [("s1", 1, 6)]
    yield "factorized_reduce", 4, [("s2", 2, 6), ("odd", 2, 5)]
    yield "residual_block", 4, [("s2", 2, 6), ("odd", 2, 5)]


def op_modes(op, n, case):
    """Name, train, affine, pools followed by BN. What a mode changes is the same at each stride, so later cases have fewer."""
    if "pool" in op:
        return [("bare", False, False, False), ("train_plain", True, False, True), ("eval_plain", False, False, True)]
    modes = [("train", True, True, False), ("eval", False, True, False), ("train_plain", True, False, False)]
    return modes[:1] if case == "odd" else modes[:3 - n]


def op_arrays(op, c_out, sizes, dtype):
    arrays = {}
    for n, (case, stride, hw) in enumerate(sizes):
        for mode, train, affine, normalised in op_modes(op, n, case):
            net = Net(train, affine, normalised, dtype)
            x = net.leaf("x", (2, 3, hw, hw))
            y = net.op(op, "", x, c_out, stride)
            (y * net.leaf("g", y.shape).detach()).sum().backward()
            found = {"y": y, "dx": x.grad}
            found |= {f"dw/{name}": w.grad for name, w in net.weights.items()}
            if train:
                found |= {f"after/{name}": s for name, s in net.stats.items()}
            arrays |= {f"{case}/{mode}/{key}": t.detach().numpy() for key, t in found.items()}
    return arrays


def network_cases(name):
    """Mode, train, affine; and the number of first channels."""
    if name in ("darts", "nasbench201"):
        return 4, [("train", True, True), ("eval", False, True)]
    return (8 if name == "pc_darts_supernet" else 4), [("train", True, False)]


def network_arrays(name, dtype):
    channels, modes = network_cases(name)
    arrays = {"labels": np.array(LABELS, dtype=np.int64)}
    for mode, train, affine in modes:
        net = Net(train, affine, not affine, dtype)
        x = net.leaf("x", (len(LABELS), 3, 8, 8)).detach()
        alpha = {t: net.leaf(f"alpha.{t}", (14, 8)) for t in ("normal", "reduce")}
        beta = {t: net.leaf(f"beta.{t}", (14,)) for t in ("normal", "reduce")}
        gates = {"darts": {}, "nasbench201": {}, "darts_supernet": {"alpha": alpha}}.get(name, {"alpha": alpha, "beta": beta})
        match name:
            case "darts":
                logits = darts(net, x, channels, 3, 10, derived(net, DARTS_V2))
            case "darts_supernet":
                logits = darts(net, x, channels, 3, 10, supernet(net, alpha))
            case "pc_darts_supernet":
                logits = darts(net, x, channels, 3, 10, partial_supernet(net, alpha, beta, 4))
            case "nasbench201":
                logits = nasbench201(net, x, channels, 3, 10, NASBENCH201)
        loss = F.cross_entropy(logits, torch.tensor(LABELS))
        loss.backward()
        arrays["x"] = x.numpy()
        found = {"logits": logits, "loss": loss.reshape(1)}
        for kind, tensors in gates.items():
            for cell_type, tensor in tensors.items():
                arrays[f"{kind}/{cell_type}"] = tensor.detach().numpy()
                found[f"d{kind}/{cell_type}"] = tensor.grad
        arrays |= {f"{mode}/{key}": t.detach().numpy() for key, t in found.items()}
        arrays |= {f"{mode}/{key}": a for key, a in digests(net).items()}
        if name != "pc_darts_supernet":  # the same names as in darts_supernet
            arrays["names"] = np.frombuffer("\n".join(sorted(net.weights)).encode(), dtype=np.uint8)
    return arrays


def digests(net):
    """Per weight, in the order of sorted names: norm of its gradient, and its gradient's product with a fixed direction."""
    names = sorted(net.weights)
    grads = [net.weights[n].grad.numpy().astype(np.float64).ravel() for n in names]
    found = {"dw_norm": [np.linalg.norm(g) for g in grads], "dw_dot": [g @ uniform(f"r.{n}", g.size) for n, g in zip(names, grads)]}
    if net.train:
        found["after_norm"] = [np.linalg.norm(net.stats[n].numpy().astype(np.float64)) for n in sorted(net.stats)]
    return {key: np.array(values) for key, values in found.items()}


def stored(arrays):
    return {k: np.ascontiguousarray(a, dtype=np.float32 if a.dtype.kind == "f" else a.dtype) for k, a in arrays.items()}


def noise(arrays, exact):
    """Largest deviation of any array from its float64 twin, relative to the twin's largest value, and whose it is."""
    worst = (0.0, "")
    for key, a in arrays.items():
        e = np.asarray(exact[key], dtype=np.float64)
        worst = max(worst, (float(np.abs(a - e).max() / np.abs(e).max()), key))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).resolve().parent.parent / "tests" / "parity"
    parser.add_argument("--out", type=pathlib.Path, default=default, help="folder of the .npz files (default: tests/parity)")
    out = parser.parse_args().out
    if torch.__version__.split("+")[0] != TORCH:
        sys.exit(f"expected PyTorch {TORCH}, the version that the tests link; found {torch.__version__}")
    torch.set_num_threads(2)
    out.mkdir(parents=True, exist_ok=True)
    makers = {op: lambda dtype, a=(op, c_out, sizes): op_arrays(*a, dtype) for op, c_out, sizes in op_cases()}
    networks = ("darts", "nasbench201", "darts_supernet", "pc_darts_supernet")
    makers |= {name: lambda dtype, a=name: network_arrays(a, dtype) for name in networks}
    total = 0
    for name, make in makers.items():
        arrays = stored(make(torch.float32))
        deviation, key = noise(arrays, make(torch.float64))
        if deviation > NOISE:
            sys.exit(f"{name}: float32 is off by {deviation:.1e} at {key}, too noisy for a test at 1e-4; choose other inputs")
        path = out / f"{name}.npz"
        np.savez(path, **arrays)
        total += path.stat().st_size
        print(f"{path.name:24} {len(arrays):4} arrays {path.stat().st_size:7} bytes, float32 noise {deviation:.1e} ({key})")
    print(f"{'total':24} {total:19} bytes")


if __name__ == "__main__":
    main()
