"""One epoch of the network of `scripts/bench-train`, per line on standard input; its seconds on standard output."""
import sys
import time

import numpy as np

N_ROWS, N_FEATURES, WIDTH, BATCH = 80_000, 196, 128, 256
rng = np.random.default_rng(0)
codes = (rng.random((N_ROWS, N_FEATURES)) < 1 / 7).astype(np.float32)
targets = codes[:, 0] - codes[:, 1] * codes[:, 2]


def pytorch(threads):
    import torch

    torch.set_num_threads(threads)
    sizes = [N_FEATURES, WIDTH, WIDTH, WIDTH]
    layers = [layer for a, b in zip(sizes, sizes[1:]) for layer in (torch.nn.Linear(a, b), torch.nn.SiLU())]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, 1))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    x, y, weight = torch.from_numpy(codes), torch.from_numpy(targets), torch.ones(N_ROWS)

    def epoch():
        order = torch.randperm(N_ROWS)
        for rows in order[: N_ROWS // BATCH * BATCH].split(BATCH):
            optimizer.zero_grad()
            losses = torch.nn.functional.huber_loss(net(x[rows]).squeeze(-1), y[rows], reduction="none") * weight[rows]
            losses.mean().backward()
            optimizer.step()

    return epoch


def scikit_learn(threads):
    import warnings

    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits

    warnings.filterwarnings("ignore")
    threadpool_limits(threads)
    return lambda: MLPRegressor(hidden_layer_sizes=(WIDTH,) * 3, batch_size=BATCH, max_iter=1, random_state=0).fit(codes, targets)


if __name__ == "__main__":
    epoch = {"pytorch": pytorch, "scikit-learn": scikit_learn}[sys.argv[1]](int(sys.argv[2]))
    for _ in sys.stdin:
        started = time.perf_counter()
        epoch()
        print(time.perf_counter() - started, flush=True)
