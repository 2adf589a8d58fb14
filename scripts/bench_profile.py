#!/usr/bin/env python3
"""How fast a plain PyTorch loop measures DARTS architectures: the baseline for `lat profile`.

    head -100 genotypes.txt | python scripts/bench_profile.py --device cuda:0 > loop.json
    python scripts/bench_profile.py --file genotypes.txt --channels 8 --layers 5 --resolution 8 --like-lat

One genotype per line, as `lat` prints them; empty lines and lines that start with # are skipped. Each network is built in
PyTorch, put into eval mode and timed without gradients: by default with the usual loop (10 warm-up runs, 50 timed runs), with
--like-lat with the warm-up and the stop rule of `lat profile`, with --autorange by torch.utils.benchmark's blocked_autorange. One JSON object goes to standard output. Needs torch only.
"""

import argparse
import ast
import bisect
import json
import math
import sys
import time

import torch
from torch import nn
from torch.utils.benchmark import Timer

OPS = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")


def read_genotype(text):
    """{'normal': nodes, 'reduce': nodes}, each node a list of (op, predecessor)."""
    try:
        fields = {k.arg: k.value for k in ast.parse(text.strip(), mode="eval").body.keywords}
        cells = {name: ast.literal_eval(fields[name]) for name in ("normal", "reduce")}
    except (SyntaxError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"expected Genotype(normal=[('sep_conv_3x3', 0), ...], ..., reduce=[...], ...): {error!r}") from None
    for name in cells:
        concat = fields.get(f"{name}_concat")
        if concat is not None and ast.unparse(concat) not in ("range(2, 6)", "[2, 3, 4, 5]"):
            raise ValueError(f"expected {name}_concat=range(2, 6), found {ast.unparse(concat)}")
    return {name: check_cell(name, pairs) for name, pairs in cells.items()}


def check_cell(name, pairs):
    """Two pairs per node in a row, or one list per node."""
    if not isinstance(pairs, list) or not pairs:
        raise ValueError(f"expected 8 pairs or 4 lists in the {name} cell, found {pairs!r}")
    nodes = pairs if isinstance(pairs[0], list) else [pairs[i:i + 2] for i in range(0, len(pairs), 2)]
    if len(nodes) != 4 or not all(nodes) or (nodes is not pairs and len(pairs) != 8):
        raise ValueError(f"expected 8 pairs or 4 lists in the {name} cell, found {len(pairs)}")
    for node, edges in enumerate(nodes):
        for op, predecessor in edges:
            if op not in OPS or predecessor not in range(node + 2):
                raise ValueError(f"expected an operation of {', '.join(OPS)} and a predecessor from 0 to {node + 1} at node "
                                 f"{node} of the {name} cell, found ({op!r}, {predecessor})")
    return nodes


def conv(c_in, c_out, k, stride=1, dilation=1, groups=1):
    return nn.Conv2d(c_in, c_out, k, stride, dilation * (k - 1) // 2, dilation, groups, bias=False)


def relu_conv_bn(c_in, c_out, k, stride=1):
    return nn.Sequential(nn.ReLU(), conv(c_in, c_out, k, stride), nn.BatchNorm2d(c_out))


def depthwise_pointwise(c, k, stride, dilation=1):
    return nn.Sequential(nn.ReLU(), conv(c, c, k, stride, dilation, groups=c), conv(c, c, 1), nn.BatchNorm2d(c))


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.even, self.odd = conv(c_in, c_out // 2, 1, 2), conv(c_in, c_out - c_out // 2, 1, 2)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x):
        x = torch.relu(x)
        shifted = x[:, :, 1:, 1:]
        if x.shape[2] % 2:
            shifted = nn.functional.pad(shifted, (0, 1, 0, 1))
        return self.bn(torch.cat([self.even(x), self.odd(shifted)], 1))


def operation(op, c, stride):
    kind, k = op[:-4], op[-1]
    if op == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c)
    if kind == "max_pool":
        return nn.MaxPool2d(int(k), stride, int(k) // 2)
    if kind == "avg_pool":
        return nn.AvgPool2d(int(k), stride, int(k) // 2, count_include_pad=False)
    if kind == "dil_conv":
        return depthwise_pointwise(c, int(k), stride, dilation=2)
    return nn.Sequential(depthwise_pointwise(c, int(k), stride), depthwise_pointwise(c, int(k), 1))


class Cell(nn.Module):
    def __init__(self, nodes, c_older, c_last, c, reduces, follows_reduction):
        super().__init__()
        self.older = FactorizedReduce(c_older, c) if follows_reduction else relu_conv_bn(c_older, c, 1)
        self.last = relu_conv_bn(c_last, c, 1)
        self.predecessors = [[p for _, p in edges] for edges in nodes]
        strides = [[2 if reduces and p < 2 else 1 for p in node] for node in self.predecessors]
        self.ops = nn.ModuleList(
            nn.ModuleList(operation(op, c, s) for (op, _), s in zip(edges, ss)) for edges, ss in zip(nodes, strides))

    def forward(self, older, last):
        values = [self.older(older), self.last(last)]
        for ops, predecessors in zip(self.ops, self.predecessors):
            values.append(sum(op(values[p]) for op, p in zip(ops, predecessors)))
        return torch.cat(values[2:], 1)


class Network(nn.Module):
    """The evaluation network: a stem of three stride-2 convolutions above 64 pixels, else of one convolution to 3C."""

    def __init__(self, genotype, channels, layers, resolution, classes):
        super().__init__()
        if imagenet := resolution > 64:
            half = nn.Sequential(conv(3, channels // 2, 3, 2), nn.BatchNorm2d(channels // 2))
            self.stem0 = nn.Sequential(half, relu_conv_bn(channels // 2, channels, 3, 2))
            self.stem1 = relu_conv_bn(channels, channels, 3, 2)
        else:
            self.stem0 = nn.Sequential(conv(3, 3 * channels, 3), nn.BatchNorm2d(3 * channels))
            self.stem1 = nn.Identity()
        c_older = c_last = channels if imagenet else 3 * channels
        c, follows_reduction, thirds = channels, imagenet, (layers // 3, 2 * layers // 3)
        self.cells = nn.ModuleList()
        for cell in range(layers):
            reduces = cell in thirds
            c *= 2 if reduces else 1
            nodes = genotype["reduce" if reduces else "normal"]
            self.cells.append(Cell(nodes, c_older, c_last, c, reduces, follows_reduction))
            c_older, c_last, follows_reduction = c_last, 4 * c, reduces
        self.linear = nn.Linear(c_last, classes)

    def forward(self, x):
        older = self.stem0(x)
        last = self.stem1(older)
        for cell in self.cells:
            older, last = last, cell(older, last)
        return self.linear(last.mean((2, 3)))


class FixedCount:
    """The usual loop: so many runs."""

    def __init__(self, warmup, runs):
        self.warmup, self.runs, self.times = warmup, runs, []

    def is_warm(self, n, _elapsed_ms):
        return n >= self.warmup

    def push(self, ms):
        bisect.insort(self.times, ms)
        return len(self.times) >= self.runs


class MedianInterval(FixedCount):
    """The rule of `lat profile` with its defaults (profiler/src/timing/stop.rs): 10 ms and two runs of warm-up; then at least 10 runs
    and 10 ms until the 95 % interval of the median is within 1 %, at most 80 ms or 1000 runs, and 6 runs where they take 1 s."""

    def __init__(self):
        super().__init__(2, 10)

    def is_warm(self, n, elapsed_ms):
        return n >= self.warmup and elapsed_ms >= 10.0

    def push(self, ms):
        enough = super().push(ms)
        n, total_ms = len(self.times), sum(self.times)
        if n >= 1000 or (n >= 6 and total_ms >= 1000.0):
            return True
        return enough and (total_ms >= 80.0 or (total_ms >= 10.0 and self.is_narrow()))

    def is_narrow(self):
        n, median = len(self.times), middle(self.times)
        rank, below = 0, 0
        # The largest rank r with P(Binomial(n, 1/2) < r) <= 2.5 %, in whole numbers.
        while 40 * (below := below + math.comb(n, rank)) <= 2**n:
            rank += 1
        return rank > 0 and max(self.times[n - rank] - median, median - self.times[rank - 1]) <= 0.01 * median


def middle(ordered):
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def measure(genotype, args, device):
    """One row: builds the network, warms up, times."""
    begin = time.perf_counter()
    net = Network(genotype, args.channels, args.layers, args.resolution, args.classes)
    if args.init == "he":
        for w in (p for p in net.parameters() if p.dim() == 4):
            nn.init.normal_(w, std=math.sqrt(2 / w[0].numel()))
    net = net.to(device).eval()
    x = torch.randn(args.batch, 3, args.resolution, args.resolution, device=device)
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda _: None
    params = sum(p.numel() for p in net.parameters())
    built, n_warmup = time.perf_counter(), 0
    if args.autorange:
        # It warms up and waits for the device itself; 0.2 s are its default.
        timer = Timer("net(x)", globals={"net": net, "x": x}, num_threads=torch.get_num_threads())
        found = timer.blocked_autorange(min_run_time=0.2)
        return {"params": params, "median_ms": 1e3 * found.median, "n_warmup": n_warmup, "n_runs": len(found.times) * found.number_per_run,
                "build_s": built - begin, "runs_s": time.perf_counter() - built}
    stop = MedianInterval() if args.like_lat else FixedCount(args.warmup, args.runs)
    while not stop.is_warm(n_warmup, 1e3 * (time.perf_counter() - built)):
        net(x)
        synchronize(device)
        n_warmup += 1
    done = False
    while not done:
        start = time.perf_counter()
        net(x)
        synchronize(device)
        done = stop.push(1e3 * (time.perf_counter() - start))
    end = time.perf_counter()
    return {"params": params, "median_ms": middle(stop.times), "n_warmup": n_warmup, "n_runs": len(stop.times),
            "build_s": built - begin, "runs_s": end - built}


def read_lines(args):
    with open(args.file) if args.file else sys.stdin as lines:
        texts = [line.strip() for line in lines]
    texts = [text for text in texts if text and not text.startswith("#")]
    if not texts:
        raise ValueError("expected at least one genotype, found none")
    genotypes = []
    for number, text in enumerate(texts, 1):
        try:
            genotypes.append(read_genotype(text))
        except ValueError as error:
            raise ValueError(f"genotype {number}: {error}") from None
    return texts, genotypes


def arguments():
    def least(low):
        def number(text):
            if (value := int(text)) < low:
                raise argparse.ArgumentTypeError(f"expected at least {low}, found {value}")
            return value
        return number

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", help="genotypes, one a line (default: standard input)")
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--channels", type=least(2), default=36)
    parser.add_argument("--layers", type=least(3), default=20, help="cells")
    parser.add_argument("--resolution", type=least(4), default=32, help="pixels; above 64 the ImageNet stem is used")
    parser.add_argument("--classes", type=least(1), default=10)
    parser.add_argument("--batch", type=least(1), default=1)
    parser.add_argument("--warmup", type=least(0), default=10, help="warm-up runs")
    parser.add_argument("--runs", type=least(1), default=50, help="timed runs")
    parser.add_argument("--like-lat", action="store_true", help="warm up and stop as `lat profile` does; not with --warmup, --runs")
    parser.add_argument("--autorange", action="store_true", help="time with torch.utils.benchmark's blocked_autorange")
    parser.add_argument("--init", choices=("default", "he"), default="default",
                        help="default: PyTorch's, whose shrinking activations may turn into slow denormal numbers on a CPU; "
                             "he: normal with variance 2/fan-in, as `lat profile` does")
    parser.add_argument("--threads", type=least(1), help="CPU threads (default: PyTorch's)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.like_lat and args.autorange:
        parser.error("--like-lat and --autorange are two protocols; choose one")
    if args.like_lat and (args.warmup, args.runs) != (10, 50):
        parser.error("--like-lat decides the numbers of runs; leave --warmup and --runs out")
    if args.channels % 2:
        parser.error(f"--channels must be even, found {args.channels}")
    return args


@torch.no_grad()
def main():
    args = arguments()
    try:
        texts, genotypes = read_lines(args)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    device = torch.device(args.device)
    # The first network of a process also loads the device's libraries, which is no part of any row.
    measure(genotypes[0], args, device)
    begin = time.perf_counter()
    rows = [{"architecture": text} | measure(genotype, args, device) for text, genotype in zip(texts, genotypes)]
    wall_s = time.perf_counter() - begin
    report = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "skeleton": {key: getattr(args, key) for key in ("channels", "layers", "resolution", "classes")},
        "batch": args.batch,
        "init": args.init,
        "protocol": "like lat" if args.like_lat else "blocked_autorange" if args.autorange else f"{args.warmup} warm-up runs, {args.runs} timed runs",
        "n_rows": len(rows),
        "wall_s": wall_s,
        "rows_per_s": len(rows) / wall_s,
        "share_in_runs": sum(row["runs_s"] for row in rows) / wall_s,
        "rows": rows,
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
