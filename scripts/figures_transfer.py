"""Fits and tables of scripts/figures-transfer."""
import collections, json, math, os, pathlib, statistics, subprocess, sys, tempfile

DIR, OUT, WANTED = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
LAT = os.environ["LAT"]
SIZES = [int(n) for n in os.environ.get("NS", "10 20 50").split()]
SEEDS = [int(s) for s in os.environ.get("SEEDS", "0 1 2").split()]
# Names of files in examples/spaces where they are not the tables'.
FILES = {"nb201": "nasbench201"}
# Rows per source, and most rows a target is judged on.
N_SOURCE, N_TEST = 1200, 1000
WAYS = ["transfer", "ridge-on-sources", "best source, rescaled", "structured"]


def sizes(table):
    """Rows per device and batch."""
    try:
        import pyarrow.parquet as parquet
        columns = parquet.read_table(table, columns=["device", "batch"])
        rows = zip(columns["device"].to_pylist(), columns["batch"].to_pylist())
    except ImportError:
        try:
            import polars
        except ImportError:
            sys.exit("scripts/figures-transfer needs pyarrow or polars to list the tables' devices; pip install pyarrow")
        rows = polars.read_parquet(table, columns=["device", "batch"]).rows()
    return dict(sorted(collections.Counter((str(d), str(b)) for d, b in rows).items()))


def train(space, device, batch, *args):
    table = ["--space-file", f"examples/spaces/{FILES.get(space, space)}.toml"]
    table += ["--data", DIR / f"{space}_latency.parquet", "--architectures", DIR / f"{space}_arch.parquet", "--average-duplicates"]
    where = ["--where", f"device={device}", "--where", f"batch={batch}"]
    command = [str(part) for part in [LAT, "--threads", 1, "--quiet", "train", *table, *where, *args]]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(command)}\n{run.stderr}")


def source(space, device, batch, n_rows):
    """The predictor of a device, fitted unless it is there."""
    path = OUT / f"{space}-{device}-b{batch}.lat"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=OUT) as folder:
            n = min(N_SOURCE, n_rows * 4 // 5)
            train(space, device, batch, "--regressor", "structured", "--train", n, "--test", 0, "--seed", 7, "--out", f"{folder}/source.lat")
            os.replace(f"{folder}/source.lat", path)
    return path


def judge(target, n, seed, sources, n_rows):
    """One transfer, its errors written as a whole so that a run that is cut off leaves none in part."""
    result = OUT / "results" / f"{'-'.join(target)}-n{n}-seed{seed}.json"
    if result.exists():
        return
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        n_test = min(N_TEST, n_rows * 3 // 4)
        made = ["--out", f"{folder}/new.lat", "--json", f"{folder}/new.json"]
        train(*target, "--from", *sources, "--train", n, "--test", n_test, "--seed", seed, *made)
        rows = json.loads(pathlib.Path(f"{folder}/new.json").read_text())["regressors"]
        ways = {row["regressor"]: {"spearman": row["spearman"], "mape": row["mape"]} for row in rows}
        found = {"target": "/".join(target), "n": n, "seed": seed, "sources": [s.stem for s in sources], "ways": ways}
        pathlib.Path(f"{folder}/result.json").write_text(json.dumps(found) + "\n")
        os.replace(f"{folder}/result.json", result)
    print(f"{found['target']} n={n} seed {seed}: " + "; ".join(f"{way} {v['spearman']:.4f} {v['mape']:.2f} %" for way, v in ways.items()), flush=True)


def main():
    (OUT / "results").mkdir(parents=True, exist_ok=True)
    tables = {path.name.removesuffix("_latency.parquet"): sizes(path) for path in sorted(DIR.glob("*_latency.parquet"))}
    targets = [(space, *of) for space, rows in tables.items() for of in rows]
    if WANTED:
        targets = [t for t in targets if any(f"{'/'.join(t)}/".startswith(f"{w}/") for w in WANTED)]
    if not targets:
        sys.exit(f"no target: expected *_latency.parquet with columns device and batch in {DIR}, and names as SPACE/DEVICE/BATCH")
    # Seed by seed, so that a run that is cut off has seen every target.
    for seed in SEEDS:
        for n in SIZES:
            for target in targets:
                space, device, _ = target
                others = [(of, rows) for of, rows in tables[space].items() if of[0] != device]
                sources = [source(space, *of, rows) for of, rows in others]
                if sources:
                    judge(target, n, seed, sources, tables[space][target[1:]])
    (OUT / "transfer.md").write_text(report())


def means(results):
    """Per number of samples, target and way the mean Spearman and MAPE over seeds, and the number of seeds."""
    found = {}
    for r in results:
        cell = found.setdefault(r["n"], {}).setdefault(r["target"], {})
        for way, errors in r["ways"].items():
            cell.setdefault(way, []).append((errors["spearman"], errors["mape"]))
    mean = lambda pairs: (*[statistics.mean(v) for v in zip(*pairs)], len(pairs))
    return {n: {t: {w: mean(v) for w, v in cell.items()} for t, cell in of.items()} for n, of in sorted(found.items())}


def report():
    # Results of before have the former name of the last way.
    cells = means([json.loads(path.read_text().replace('"mlp"', f'"{WAYS[-1]}"')) for path in sorted((OUT / "results").glob("*.json"))])
    lines = []
    for n, targets in cells.items():
        ways = sorted({w for cell in targets.values() for w in cell}, key=lambda w: (WAYS.index(w) if w in WAYS else len(WAYS), w))
        lines += [f"| n = {n}: target | seeds | " + " | ".join(ways) + " |", "|---" * (len(ways) + 2) + "|"]
        for target, cell in targets.items():
            seeds = max(v[2] for v in cell.values())
            row = [f"{cell[w][0]:.3f}, {cell[w][1]:.2f} %" if w in cell else "-" for w in ways]
            lines.append(f"| {target} | {seeds} | " + " | ".join(row) + " |")
        own = {w: [cell[w] for cell in targets.values() if w in cell] for w in ways}
        geometric = lambda errors: math.exp(statistics.mean(math.log(max(e, 1e-9)) for e in errors))
        row = [f"{statistics.mean(v[0] for v in own[w]):.3f}, {geometric([v[1] for v in own[w]]):.2f} %" for w in ways]
        lines.append(f"| mean of {len(targets)} | | " + " | ".join(row) + " |")
        both = {t: c for t, c in targets.items() if "transfer" in c and "ridge-on-sources" in c}
        losses = {t: c["transfer"][0] - c["ridge-on-sources"][0] for t, c in both.items()}
        losses = [f"{t} {d:.4f}" for t, d in losses.items() if d < -1e-4]
        lines += ["", f"With {n} samples transfer ranks worse than the ridge on {len(losses)} of {len(both)} targets: {', '.join(losses) or 'none'}.", ""]
    return "\n".join(lines)


main()
