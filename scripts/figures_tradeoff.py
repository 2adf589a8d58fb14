#!/usr/bin/env python3
"""Every search method judged by published accuracies and measured latencies of NAS-Bench-201; see scripts/figures-tradeoff.

`run` makes what is missing, one folder per method, goal, device and seed, so that it can be stopped and started again. Targets go on
from the checkpoint of the search without a cost, whose steps they share. `table` prints Markdown; latencies in it are the table's,
not predicted ones.
"""
import argparse
import concurrent.futures
import itertools
import json
import pathlib
import shutil
import statistics
import subprocess
import sys

import pandas

DEVICES = {"titanx": "titanx_b32_latency_ms", "silver": "silver_4210r_latency_ms"}
# All methods that cover the space but darts-2nd, which takes three times as long as the slowest of them.
METHODS = "darts pc-darts gdas snas parsec dropnas proxylessnas p-darts mergenas entrannas toponas random local-search".split()
SAVINGS = (20, 40)
ACCURACIES = ("cifar10_test_acc", "cifar100_test_acc", "imagenet16_120_test_acc")
# The size of all searches: 10,000 images of CIFAR-10 at 16x16, eight channels, six epochs.
SIZE = ["--dataset", "cifar10", "--resolution", "16", "--channels", "8", "--epochs", "6"]
ROWS = 1000


def find(folder, name):
    for place in (folder, folder / "latency-tables", folder / "accuracy-tables"):
        if (place / name).exists():
            return place / name
    sys.exit(f"figures-tradeoff: expected {name} in {folder} or its folders latency-tables and accuracy-tables, and found none")


def cells(options):
    """All cells by text, with accuracies and latencies."""
    accuracy = pandas.read_parquet(find(options.tables, "nb201_accuracy.parquet"))
    latency = pandas.read_parquet(find(options.tables, "nb201_two_devices_whole.parquet"))
    return accuracy.merge(latency, on="arch_index").set_index("arch_str")


def predictor(options, table, device):
    """Learns from 1,000 measured cells of the device, once."""
    file = options.out / f"{device}.lat"
    if not file.exists():
        rows = table.sample(ROWS, random_state=0)[DEVICES[device]]
        csv = options.out / f"{device}.csv"
        rows.rename("latency_ms").rename_axis("architecture").to_csv(csv)
        subprocess.run(
            [options.lat, "--threads", "1", "train", "--space", "nasbench201", "--data", csv, "--out", file,
             "--json", options.out / f"{device}-train.json"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return file


def folder(options, method, goal, seed, device):
    return options.out / f"{method}-{goal}-{device}-seed{seed}"


def search(options, method, goal, seed, device, goal_args, start=None):
    """Runs a search, or its last step alone from another one's checkpoint, unless it is done."""
    out = folder(options, method, goal, seed, device)
    if (out / "search.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    if start is not None and not (out / "checkpoint.safetensors").exists():
        shutil.copy(start / "checkpoint.safetensors", out)
    command = [
        options.lat, "--threads", "1", "--quiet", "search", "--space", "nasbench201", "--method", method, "--seed", str(seed),
        *SIZE, "--data-dir", options.images, "--predictor", options.out / f"{device}.lat", "--out", out, *goal_args,
    ]  # fmt: skip
    with open(out / "log.txt", "w") as log:
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode != 0:
            print(f"figures-tradeoff: {out.name} failed; see {out / 'log.txt'}", file=sys.stderr)


def load(path):
    return json.loads((path / "search.json").read_text()) if (path / "search.json").exists() else None


def targets(options, method, seed):
    """A fifth and two fifths less than what the search without a cost found, on both devices."""
    start = folder(options, method, "lambda0", seed, "titanx")
    if not (start / "search.json").exists():
        return
    search(options, method, "lambda0", seed, "silver", ["--lambda", "0"], start)
    for device in DEVICES:
        found = load(folder(options, method, "lambda0", seed, device))
        for saving in SAVINGS if found else ():
            target = found["predicted"] * (1 - saving / 100)
            search(options, method, f"target{saving}", seed, device, ["--target-ms", f"{target:.4f}"], start)


def run(options):
    table = cells(options)
    options.out.mkdir(parents=True, exist_ok=True)
    for device in DEVICES:
        predictor(options, table, device)
    pairs = [(m, s) for s in options.seeds for m in options.methods]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for step in options.steps:
            if step == "lambda0":
                jobs = [pool.submit(search, options, m, step, s, "titanx", ["--lambda", "0"]) for m, s in pairs]
            elif step == "targets":
                jobs = [pool.submit(targets, options, m, s) for m, s in pairs]
            else:
                jobs = [pool.submit(search, options, m, "default", s, step.removeprefix("default-"), []) for m, s in pairs]
            for job in jobs:
                job.result()


class Front:
    """The true Pareto front of a device."""

    def __init__(self, table, device):
        best, self.points = -1.0, []
        for latency, accuracy in table.sort_values(DEVICES[device])[[DEVICES[device], ACCURACIES[0]]].itertuples(index=False):
            if accuracy > best:
                best = accuracy
                self.points.append((latency, accuracy))

    def at(self, latency):
        return max(a for l, a in self.points if l <= latency + 1e-9)


def spread(values):
    if not values:
        return "-"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def rows_of(options, table, device, method, front):
    """Per goal what the seeds found: accuracies, latency, regret, whether the target was met, what the method's own rule gave."""
    found = {}
    for goal in ["lambda0", "default"] + [f"target{s}" for s in SAVINGS]:
        for seed in options.seeds:
            result = load(folder(options, method, goal, seed, device))
            if result is None:
                continue
            cell, own = table.loc[result["architecture"]], table.loc[result["most_probable"]]
            found.setdefault(goal, {})[seed] = {
                "accuracies": [cell[a] for a in ACCURACIES], "latency": cell[DEVICES[device]],
                "regret": front.at(cell[DEVICES[device]]) - cell[ACCURACIES[0]], "own": own[ACCURACIES[0]],
                "predicted": result["predicted"], "budget": result["budget"], "free": result["free_cost"],
            }  # fmt: skip
    return found


def best_eight(regrets):
    return statistics.mean(sorted(statistics.mean(r) for r in regrets.values() if r)[:8])


def print_device(options, table, device):
    """The device's table; returns per method the regrets of its runs with a cost."""
    front = Front(table, device)
    print(f"\n### {device}\n")
    print("| method | CIFAR-10, lambda 0 | its own rule | ms | " + " | ".join(
        f"{g}: ms % | points | regret" for g in ("default lambda", "target -20 %", "target -40 %")) + " |")
    print("|---|---|---|---|" + "---|---|---|" * 3)
    met, runs, regrets, means, losses, savings, over = 0, 0, {}, {}, {}, {}, []
    for method in options.methods:
        found = rows_of(options, table, device, method, front)
        base = found.get("lambda0")
        if not base:
            continue
        cells_of = [method, spread([r["accuracies"][0] for r in base.values()]), spread([r["own"] for r in base.values()]),
                    spread([r["latency"] for r in base.values()])]  # fmt: skip
        means[method] = statistics.mean(r["accuracies"][0] for r in base.values())
        for goal in ["default"] + [f"target{s}" for s in SAVINGS]:
            pairs = [(r, base[seed]) for seed, r in found.get(goal, {}).items() if seed in base]
            saved = [100 * (r["latency"] / b["latency"] - 1) for r, b in pairs]
            points = [r["accuracies"][0] - b["accuracies"][0] for r, b in pairs]
            regret = [r["regret"] for r, _ in pairs]
            cells_of += [spread(saved), spread(points), spread(regret)]
            regrets.setdefault(method, []).extend(regret)
            if points:
                losses.setdefault(goal, []).append(statistics.mean(points))
                # What the true front itself loses on the way from the one latency to the other.
                least = [front.at(r["latency"]) - front.at(b["latency"]) for r, b in pairs]
                losses.setdefault(f"front {goal}", []).append(statistics.mean(least))
                savings.setdefault(goal, []).append(-statistics.mean(saved))
            if goal.startswith("target"):
                runs += len(pairs)
                over += [100 * (r["latency"] / r["budget"] - 1) for r, _ in pairs]
                met += sum(0.9 * r["budget"] <= r["predicted"] <= r["budget"] * 1.000001 or r["free"] <= r["budget"] for r, _ in pairs)
        print("| " + " | ".join(cells_of) + " |")
    if not means:
        return {}
    if runs:
        print(f"\nTargets met (predicted cost from 0.9 T to T): {met} of {runs}. Mean regret of the eight best methods: {best_eight(regrets):.2f}.")
        far = sum(o > 3 for o in over)
        print(f"By the table's latencies {100 * far / runs:.0f} % of them are more than 3 % above T, the furthest {max(over):.1f} %.")
    for goal, limit in (("default", 0.5), ("target20", 0.5), ("target40", 1.2)):
        if goal in losses:
            within = sum(loss >= -limit for loss in losses[goal])
            asked = 40 if goal == "target40" else 20
            both = sum(loss >= -limit and saved >= asked for loss, saved in zip(losses[goal], savings[goal]))
            print(f"{goal}: at most {limit} points lost by {within} of {len(losses[goal])} methods, {both} of which save {asked} % or more; "
                  f"mean {statistics.mean(losses[goal]):.2f} points at {-statistics.mean(savings[goal]):.1f} %, "
                  f"of the true front {statistics.mean(losses[f'front {goal}']):.2f}.")  # fmt: skip
    print(f"Methods at 93.0 or more at lambda 0: {sum(m >= 93.0 for m in means.values())}; least: {min(means.values()):.2f}.")
    return regrets


def print_spread(options, table):
    """How far the seeds of one method are apart without a cost: of what is named, and of the method's own answer."""
    spreads = []
    for method in options.methods:
        found = [load(folder(options, method, "lambda0", seed, "titanx")) for seed in options.seeds]
        pairs = [[table.loc[r[key], ACCURACIES[0]] for r in found if r] for key in ("architecture", "most_probable")]
        if len(pairs[0]) > 1:
            spreads.append([statistics.stdev(values) for values in pairs])
    if spreads:
        named, own = (statistics.mean(values) for values in zip(*spreads))
        print(f"Mean standard deviation over seeds at lambda 0: {named:.2f} points, by the methods' own rules {own:.2f}.")


def print_accuracies(options, table):
    print("\n### All three data sets, lambda 0 and target -20 % on titanx\n")
    print("| method | CIFAR-10 | CIFAR-100 | ImageNet16-120 | target: CIFAR-10 | CIFAR-100 | ImageNet16-120 |\n|---|---|---|---|---|---|---|")
    front = Front(table, "titanx")
    for method in options.methods:
        found = rows_of(options, table, "titanx", method, front)
        if "lambda0" not in found:
            continue
        values = [spread([r["accuracies"][i] for r in found.get(g, {}).values()]) for g in ("lambda0", "target20") for i in range(3)]
        print(f"| {method} | " + " | ".join(values) + " |")


MEASURES = ("patterns", "correlation", "progressivity", "trainability", "score")


def print_finalists(options, table):
    """How the measures tell the short lists' members apart: rank correlation with the accuracy, and what the best by each one has."""
    print("\n### How finalists are told apart\n")
    print("| short lists | mean of a list | its best | " + " | ".join(f"{m}: rank correlation | its choice" for m in MEASURES) + " |")
    print("|---|---|---|" + "---|---|" * len(MEASURES))
    for goal in ["lambda0"] + [f"target{s}" for s in SAVINGS]:
        lists = []
        for method, seed, device in itertools.product(options.methods, options.seeds, DEVICES):
            result = load(folder(options, method, goal, seed, device))
            # One list of lambda 0 serves both devices.
            if result is None or len(result["finalists_best"]) < 8 or (goal == "lambda0" and device != "titanx"):
                continue
            rows = pandas.DataFrame(result["finalists_best"])
            rows["accuracy"] = [table.loc[text][ACCURACIES[0]] for text in rows["architecture"]]
            lists.append(rows)
        if not lists:
            continue
        cells_of = [f"{goal}, {len(lists)}", *(f"{statistics.mean(f(r['accuracy']) for r in lists):.2f}" for f in (statistics.mean, max))]
        for measure in MEASURES:
            ranks = [rows[measure].rank().corr(rows["accuracy"].rank()) for rows in lists]
            cells_of.append(f"{statistics.mean(r for r in ranks if r == r):.2f}")
            cells_of.append(f"{statistics.mean(rows['accuracy'][rows[measure].idxmax()] for rows in lists):.2f}")
        print("| " + " | ".join(cells_of) + " |")


def table(options):
    all_cells = cells(options)
    regrets = {}
    for device in DEVICES:
        for method, values in print_device(options, all_cells, device).items():
            regrets.setdefault(method, []).extend(values)
    if any(regrets.values()):
        print(f"\nBoth devices together: mean regret of the eight best methods {best_eight(regrets):.2f}.")
    print_spread(options, all_cells)
    print_accuracies(options, all_cells)
    print_finalists(options, all_cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--lat", required=True)
    parser.add_argument("--tables", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/tradeoff"))
    parser.add_argument("--methods", type=lambda t: t.split(","), default=METHODS)
    parser.add_argument("--seeds", type=lambda t: [int(s) for s in t.split(",")], default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=lambda t: t.split(","), default=["lambda0", "targets", "default-titanx", "default-silver"])
    options = parser.parse_args()
    if options.what == "run" and options.images is None:
        sys.exit("figures-tradeoff: expected --images DIR with the binary version of CIFAR-10 or a part of it")
    {"run": run, "table": table}[options.what](options)


if __name__ == "__main__":
    main()
