#!/usr/bin/env python3
"""Every search method side by side: searches, trains what was found from scratch, measures it, prints the table.

Usage: figures_methods.py run|measure|table --lat PROGRAM --out DIR [--cifar DIR] [--sets a,b] [--methods a,b] [--seeds 3] [--jobs 2]

`run` makes what is missing (one folder per set, method, lambda and seed), `measure` times every architecture found once more, one
after the other on an idle machine, and `table` prints Markdown. On a CPU, seconds are the processor's (user and system) of one
thread, which other programs change little, and latencies are of one image, measured between runs of a reference network; on a GPU,
seconds are of the clock with as many searches side by side as --jobs says, and latencies are of 32 images as one CUDA graph.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# Data sets with what fits two cores, NAS-Bench-201 cells, three of them, and DARTS at the size of its search for a GPU.
SETS = {
    "digits": {
        "space": "nasbench201", "device": "cpu", "images": ["--dataset", "digits"],
        "profile": ["--samples", "300"], "search": [], "evaluate": [],
    },
    "cifar": {
        "space": "nasbench201", "device": "cpu", "images": ["--dataset", "cifar10", "--resolution", "16", "--images", "4000"],
        "profile": ["--samples", "300", "--channels", "8", "--resolution", "16"],
        "search": ["--channels", "8", "--batch", "128", "--epochs", "6"],
        "evaluate": ["--channels", "8", "--batch", "128", "--epochs", "12"],
    },
    "cifar-gpu": {
        "space": "darts", "device": "cuda:0", "images": ["--dataset", "cifar10", "--resolution", "32"],
        "profile": ["--samples", "300", "--preset", "cifar", "--batch", "32", "--mode", "graph"],
        "search": ["--images", "2560", "--channels", "16", "--layers", "8", "--batch", "64", "--epochs", "6"],
        "evaluate": ["--images", "5000", "--channels", "16", "--layers", "8", "--batch", "96", "--epochs", "10"],
    },
}  # fmt: skip


def call(args, log):
    """Runs a program; gives (exit code, processor seconds, peak resident MiB)."""
    with open(log, "a") as out:
        child = subprocess.Popen(args, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def load(path):
    return json.loads(path.read_text())


def images(options, name):
    return SETS[name]["images"] + (["--data-dir", options.cifar] if name != "digits" else [])


def predictor(options, name):
    """Measures 300 architectures at the data set's size and learns from them, once."""
    folder = options.out / name
    file = folder / "predictor.lat"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        log, of = folder / "predictor.log", SETS[name]
        for args in (
            ["profile", "--device", of["device"], "--space", of["space"], "--out", str(folder / "profile"), *of["profile"]],
            ["train", "--data", str(folder / "profile"), "--out", str(file), "--json", str(folder / "train.json")],
        ):
            code, _, _ = call([options.lat, "--threads", "1", *args], log)
            if code != 0:
                sys.exit(f"figures-methods: lat {args[0]} failed; see {log}")
    return file


def search_args(options, name, method, lam, seed, folder):
    size = SETS[name]["search"]
    if method == "p-darts" and "--layers" in size:
        # Its stages say how many cells there are.
        size = size[: size.index("--layers")] + size[size.index("--layers") + 2 :]
    return [
        options.lat, "--threads", "1", "--quiet", "search", "--space", SETS[name]["space"], "--device", SETS[name]["device"], "--method", method, "--lambda", lam, "--preset", "quick",
        "--predictor", str(options.out / name / "predictor.lat"), "--seed", str(seed), "--out", str(folder),
        *images(options, name), *size,
    ]  # fmt: skip


def one(options, name, method, lam, seed):
    """A search and the training of what it found; cost.json is written last and marks the pair as done."""
    folder = options.out / name / f"{method}-{lam}-{seed}"
    if (folder / "cost.json").exists() or (options.until and time.time() > options.until):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    code, seconds, peak = call(search_args(options, name, method, lam, seed, folder), log)
    if code == 0:
        evaluate = [
            options.lat, "--threads", "1", "--quiet", "evaluate", "--arch", str(folder / "search.json"), "--preset", "quick", "--seed",
            str(seed), "--out", str(folder / "evaluate"), "--device", SETS[name]["device"], *images(options, name), *SETS[name]["evaluate"],
        ]  # fmt: skip
        code, _, _ = call(evaluate, log)
    if code != 0:
        return f"{name} {method} lambda {lam} seed {seed}: exit code {code}, see {log}"
    if SETS[name]["device"] != "cpu":
        found = load(folder / "search.json")
        seconds, peak = found["seconds"], found["peak_memory_mib"]
    (folder / "cost.json").write_text(json.dumps({"search_s": seconds, "peak_mib": peak}))
    return None


def run(options):
    for name in options.sets:
        predictor(options, name)
    jobs = [(name, m, lam, s) for s in range(options.seeds) for name in options.sets for m in options.methods for lam in options.lambdas]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        failures = [f for f in pool.map(lambda job: one(options, *job), jobs) if f]
    print("\n".join(failures) or "all there")


def done(options, name):
    for path in sorted((options.out / name).glob("*/cost.json")):
        method, lam, seed = path.parent.name.rsplit("-", 2)
        yield path.parent, method, lam, int(seed)


def measure(options):
    """A finished search that is called again only measures; the machine should be idle."""
    for name in options.sets:
        for folder, method, lam, seed in done(options, name):
            target = folder / "measured.json"
            if target.exists():
                continue
            before = load(folder / "search.json")
            code, _, _ = call(search_args(options, name, method, lam, seed, folder), folder / "log.txt")
            if code != 0:
                sys.exit(f"figures-methods: measuring {folder} failed; see {folder / 'log.txt'}")
            after = load(folder / "search.json")
            assert after["architecture"] == before["architecture"], folder
            (folder / "search.json").write_text(json.dumps(before, indent=2))
            target.write_text(json.dumps({"latency_ms": after["measured"], "predicted_ms": after["predicted"]}))


def mean_and_spread(values, form):
    mean = format(statistics.mean(values), form)
    return mean if len(values) < 2 else f"{mean} ± {format(statistics.stdev(values), form)}"


def table(options):
    for name in options.sets:
        rows = {}
        for folder, method, lam, _ in done(options, name):
            evaluation, cost = load(folder / "evaluate" / "evaluation.json"), load(folder / "cost.json")
            measured = folder / "measured.json"
            latency = load(measured)["latency_ms"] if measured.exists() else load(folder / "search.json")["measured"]
            row = (evaluation["test_accuracy"], latency, cost.get("search_s", cost.get("search_cpu_s")), cost["peak_mib"])
            rows.setdefault((method, lam), []).append(row)
        print(f"\n### {name}\n")
        seconds_of = "CPU s" if SETS[name]["device"] == "cpu" else "s"
        print(f"| method | λ | test accuracy % | latency ms | against λ = 0 | search {seconds_of} | peak MiB | seeds |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        order = {m: i for i, m in enumerate(options.methods)}
        reached = set()
        for (method, lam), found in sorted(rows.items(), key=lambda r: (order.get(r[0][0], 99), float(r[0][1]))):
            accuracy, latency, seconds, peak = zip(*found)
            base = rows.get((method, "0"))
            change = ""
            if lam != "0" and base:
                cut = 100 * (1 - statistics.mean(latency) / statistics.mean(b[1] for b in base))
                points = statistics.mean(accuracy) - statistics.mean(b[0] for b in base)
                change = f"{-cut:+.0f} %, {points:+.2f} points"
                if cut >= 20 and points >= -1:
                    reached.add(method)
            cells = (
                method, lam, mean_and_spread(accuracy, ".2f"), mean_and_spread(latency, ".3f"), change, f"{statistics.mean(seconds):.0f}",
                f"{statistics.mean(peak):.0f}", len(found),
            )  # fmt: skip
            print("| " + " | ".join(map(str, cells)) + " |")
        print(f"\nAt least 20 % less latency at most one point below λ = 0: {len(reached)} methods ({', '.join(sorted(reached, key=lambda m: order.get(m, 99)))}).")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "measure", "table"])
    parser.add_argument("--lat", default="target/debug/lat")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/figures-methods"))
    parser.add_argument("--cifar", help="folder of CIFAR-10 in its binary version; without it digits alone")
    parser.add_argument("--methods", help="comma separated [default: all]")
    parser.add_argument("--sets", help="comma separated [default: digits, and cifar where it is given]")
    parser.add_argument("--lambdas", default="0,0.05,0.2", type=lambda text: text.split(","))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="begin no search later than this")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.until = options.minutes and time.time() + 60 * options.minutes
    options.sets = options.sets.split(",") if options.sets else ["digits"] + (["cifar"] if options.cifar else [])
    if unknown := set(options.sets) - set(SETS):
        parser.error(f"expected --sets from {', '.join(SETS)}, found {', '.join(unknown)}")
    if not options.cifar and set(options.sets) - {"digits"}:
        parser.error("expected --cifar DIR with sets of CIFAR-10")
    if options.methods:
        options.methods = options.methods.split(",")
    else:
        listed = subprocess.run([options.lat, "list", "methods"], check=True, capture_output=True, text=True).stdout
        options.methods = [line.split()[0] for line in listed.splitlines()[1:] if line.strip()]
    {"run": run, "measure": measure, "table": table}[options.what](options)


if __name__ == "__main__":
    main()
