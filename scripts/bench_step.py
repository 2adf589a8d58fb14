"""One search step of DARTS (first order), PC-DARTS or GDAS in plain PyTorch, timed; scripts/bench-vs-pytorch runs it beside lat.

    python scripts/bench_step.py darts --channels 16 --layers 8 --batch 16 --resolution 32 --steps 5 --warm-up 2 [--channels-last]

Written from the papers and in the structure of the public code: every edge holds all candidates and sums them weighted, gradients of all
parameters are computed in both updates. Prints the steps' milliseconds as JSON. Images are random: no reading is timed.
"""

import argparse
import json
import resource
import time

import torch
import torch.nn.functional as F
from torch import nn

NAMES = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
STEPS, EDGES = 4, 14


def norm(c):
    return nn.BatchNorm2d(c, affine=False)


def stack(c, k, stride, dilation):
    """ReLU, depthwise, 1x1, batch norm."""
    padding = dilation * (k - 1) // 2
    depthwise = nn.Conv2d(c, c, k, stride, padding, dilation, groups=c, bias=False)
    return nn.Sequential(nn.ReLU(), depthwise, nn.Conv2d(c, c, 1, bias=False), norm(c))


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class Reduce(nn.Module):
    """Halves a map by two strided 1x1 convolutions, the second one pixel further on."""

    def __init__(self, c_in, c):
        super().__init__()
        self.first = nn.Conv2d(c_in, c // 2, 1, 2, bias=False)
        self.second = nn.Conv2d(c_in, c - c // 2, 1, 2, bias=False)
        self.norm = norm(c)

    def forward(self, x):
        x = F.relu(x)
        return self.norm(torch.cat([self.first(x), self.second(x[:, :, 1:, 1:])], 1))


def operation(name, c, stride):
    if name == "none":
        return Zero(stride)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(c))
    if name == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(c))
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Reduce(c, c)
    k = int(name[-1])
    if name.startswith("sep"):
        return nn.Sequential(stack(c, k, stride, 1), stack(c, k, 1, 1))
    return stack(c, k, stride, 2)


class Edge(nn.Module):
    """All candidates of an edge; of PC-DARTS they see a quarter of the channels."""

    def __init__(self, c, stride, share):
        super().__init__()
        self.share, self.stride = share, stride
        self.ops = nn.ModuleList(operation(name, c // share, stride) for name in NAMES)

    def mixed(self, x, weights, chosen):
        if chosen is None:
            return sum(w * op(x) for w, op in zip(weights, self.ops))
        return sum(weights[i] * self.ops[i](x) if i == chosen else weights[i] for i in range(len(self.ops)))

    def forward(self, x, weights, chosen):
        if self.share == 1:
            return self.mixed(x, weights, chosen)
        c = x.shape[1] // self.share
        mixed = self.mixed(x[:, :c], weights, chosen)
        rest = x[:, c:] if self.stride == 1 else F.max_pool2d(x[:, c:], 2, 2)
        n, all_c, h, w = (joined := torch.cat([mixed, rest], 1)).shape
        return joined.view(n, self.share, all_c // self.share, h, w).transpose(1, 2).reshape(n, all_c, h, w)


class Cell(nn.Module):
    def __init__(self, c_before, c_last, c, reduces, reduced, share):
        super().__init__()
        self.first = Reduce(c_before, c) if reduced else nn.Sequential(nn.ReLU(), nn.Conv2d(c_before, c, 1, bias=False), norm(c))
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(c_last, c, 1, bias=False), norm(c))
        strides = [2 if reduces and source < 2 else 1 for node in range(STEPS) for source in range(node + 2)]
        self.edges = nn.ModuleList(Edge(c, stride, share) for stride in strides)

    def forward(self, before, last, weights, chosen, betas):
        states, edge = [self.first(before), self.second(last)], 0
        for _ in range(STEPS):
            total = 0
            for state in states:
                out = self.edges[edge](state, weights[edge], None if chosen is None else chosen[edge])
                total = total + (out if betas is None else betas[edge] * out)
                edge += 1
            states.append(total)
        return torch.cat(states[-STEPS:], 1)


class Net(nn.Module):
    def __init__(self, method, c, layers, classes=10):
        super().__init__()
        self.method, share = method, 4 if method == "pc-darts" else 1
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * c, 3, padding=1, bias=False), nn.BatchNorm2d(3 * c))
        before, last, reduced, cells = 3 * c, 3 * c, False, []
        self.reduces = [layer in (layers // 3, 2 * layers // 3) for layer in range(layers)]
        for reduces in self.reduces:
            c = 2 * c if reduces else c
            cells.append(Cell(before, last, c, reduces, reduced, share))
            before, last, reduced = last, STEPS * c, reduces
        self.cells, self.head = nn.ModuleList(cells), nn.Linear(last, classes)
        self.alphas = [nn.Parameter(1e-3 * torch.randn(EDGES, len(NAMES))) for _ in range(2)]
        self.betas = [nn.Parameter(1e-3 * torch.randn(EDGES)) for _ in range(2)] if method == "pc-darts" else []

    def gates(self, kind):
        alpha, betas, chosen = self.alphas[kind], None, None
        if self.method == "gdas":
            noise = -torch.empty_like(alpha).exponential_().log()
            soft = ((alpha.log_softmax(1) + noise) / 10.0).softmax(1)
            chosen = soft.argmax(1).tolist()
            hard = torch.zeros_like(soft).scatter_(1, soft.argmax(1, keepdim=True), 1.0)
            return hard - soft.detach() + soft, chosen, None
        if self.betas:
            bounds = [(0, 2), (2, 5), (5, 9), (9, 14)]
            betas = torch.cat([self.betas[kind][a:b].softmax(0) for a, b in bounds])
        return alpha.softmax(1), chosen, betas

    def forward(self, x):
        gates = [self.gates(0), self.gates(1)]
        before = last = self.stem(x)
        for cell, reduces in zip(self.cells, self.reduces):
            before, last = last, cell(before, last, *gates[int(reduces)])
        return self.head(F.adaptive_avg_pool2d(last, 1).flatten(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=["darts", "pc-darts", "gdas"])
    for name, default in (("channels", 16), ("layers", 8), ("batch", 16), ("resolution", 32), ("steps", 5), ("warm-up", 2), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    net = Net(options.method, options.channels, options.layers).to(options.device)
    gates = net.alphas + net.betas
    for gate in gates:
        gate.data = gate.data.to(options.device)
    of_gates = torch.optim.Adam(gates, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    of_weights = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    shape = (options.batch, 3, options.resolution, options.resolution)
    times = []
    for step in range(options.warm_up + options.steps):
        images = [torch.randn(shape, device=options.device) for _ in range(2)]
        if options.channels_last:
            images = [image.contiguous(memory_format=torch.channels_last) for image in images]
        labels = torch.randint(10, (options.batch,), device=options.device)
        begun = time.perf_counter()
        of_gates.zero_grad()
        F.cross_entropy(net(images[0]), labels).backward()
        of_gates.step()
        of_weights.zero_grad()
        F.cross_entropy(net(images[1]), labels).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        of_weights.step()
        if options.device != "cpu":
            torch.cuda.synchronize()
        if step >= options.warm_up:
            times.append(1e3 * (time.perf_counter() - begun))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"steps_ms": times, "peak_memory_mib": peak_mib}))


if __name__ == "__main__":
    main()
