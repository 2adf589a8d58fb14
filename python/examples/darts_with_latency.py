"""DARTS' training loop (quark0/darts, first order) on a cell of NAS-Bench-201, with the latency in the architecture's loss.

    python python/examples/darts_with_latency.py [PREDICTOR.lat] [LAMBDA]

Images are made up, so that it needs no download and a minute of one CPU: it shows where the term goes, not what networks are worth.
The predictor of the tests is of the fake device; yours comes from `python -m lat profile --space nasbench201` and `python -m lat train`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import lat

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "plain.lat"
CHANNELS, CELLS, EPOCHS, BATCH = 8, 2, 12, 64


def operations() -> nn.ModuleList:
    """In the order of the predictor's choices: none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3."""

    def conv(k: int) -> nn.Sequential:
        return nn.Sequential(nn.ReLU(), nn.Conv2d(CHANNELS, CHANNELS, k, padding=k // 2, bias=False), nn.BatchNorm2d(CHANNELS, affine=False))

    return nn.ModuleList([nn.Identity(), conv(1), conv(3), nn.AvgPool2d(3, 1, 1, count_include_pad=False)])


class Cell(nn.Module):
    """Four nodes; an edge is the mixture of its operations, of which `none` adds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.ModuleList([operations() for _ in range(6)])

    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        nodes, edge = [x], 0
        for node in range(1, 4):
            mixed = []
            for origin in range(node):
                mixed.append(sum(w * op(nodes[origin]) for w, op in zip(weights[edge][1:], self.edges[edge])))
                edge += 1
            nodes.append(sum(mixed))
        return nodes[-1]


class Network(nn.Module):
    """The supernet, and `alphas` `[6, 5]`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS))
        self.cells = nn.ModuleList([Cell() for _ in range(CELLS)])
        self.classifier = nn.Linear(CHANNELS, 10)
        self.alphas = nn.Parameter(1e-3 * torch.randn(6, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x, self.alphas.softmax(-1))
        return self.classifier(F.relu(x).mean((2, 3)))


def images(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten textures, each noise through two convolutions of its own: `[n, 1, 8, 8]` and `[n]`."""
    labels = torch.randint(10, (n,))
    first, second = torch.randn(10, 4, 1, 3, 3), torch.randn(10, 1, 4, 3, 3)
    noise = torch.randn(n, 1, 1, 12, 12)
    textures = [F.conv2d(F.conv2d(x, first[y]).relu(), second[y])[0] for x, y in zip(noise, labels)]
    return torch.stack(textures), labels


def batches(data: tuple[torch.Tensor, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    order = torch.randperm(len(data[1])).split(BATCH)
    return [(data[0][part], data[1][part]) for part in order]


def search(cost: nn.Module, lambda_: float) -> tuple[dict[str, str], float]:
    """The loop of DARTS' train_search.py; gives the choice of each decision, and the supernet's accuracy."""
    torch.manual_seed(0)
    x, y = images(2048)
    train, valid = (x[:1024], y[:1024]), (x[1024:], y[1024:])
    model = Network()
    weights = [p for name, p in model.named_parameters() if name != "alphas"]
    optimizer = torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=3e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS, eta_min=1e-3)
    architect = torch.optim.Adam([model.alphas], lr=0.03, betas=(0.5, 0.999), weight_decay=1e-3)
    for _ in range(EPOCHS):
        for (x, y), (x_valid, y_valid) in zip(batches(train), batches(valid)):
            architect.zero_grad()
            loss = F.cross_entropy(model(x_valid), y_valid)
            gates = model.alphas.softmax(-1).flatten()  # [6, 5] to [30]: one number per choice of each decision
            loss = loss + lambda_ * cost(gates) / cost.reference  # the term
            loss.backward()
            architect.step()

            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(weights, 5)
            optimizer.step()
        scheduler.step()
    chosen = model.alphas.argmax(-1).tolist()
    accuracy = (model(valid[0]).argmax(-1) == valid[1]).float().mean().item()
    return {name: choices[i] for i, (name, choices) in zip(chosen, cost.decisions.items())}, accuracy


def main() -> None:
    cost = lat.load(sys.argv[1] if len(sys.argv) > 1 else GOLDEN)
    torch.set_num_threads(1)
    print(f"{cost.label['device_name']}: the average architecture costs {cost.reference:.4f} {cost.unit}")
    for lambda_ in (0.0, float(sys.argv[2]) if len(sys.argv) > 2 else 0.3):
        cell, accuracy = search(cost, lambda_)
        print(f"lambda {lambda_}: {cost.price(cell):.4f} {cost.unit}, supernet {100 * accuracy:.1f} %, {', '.join(cell.values())}")


if __name__ == "__main__":
    main()
