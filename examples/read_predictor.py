"""Prices architectures with a predictor of `lat train`, without lat: python read_predictor.py FILE.lat < gates.txt
A line of gates per architecture: for each decision of the label in turn one number per choice, 0/1 or probabilities.
docs/predictor-file.md describes the file, and the gates of decisions that are plain numbers."""
import json, sys
import numpy as np
from safetensors import safe_open

def read(path):
    with safe_open(path, "np") as file:
        head = json.loads(file.metadata()["lat"])
        assert head["format"] == 2, f"expected predictor format 2, found {head['format']}"
        assert not head.get("parts"), "expected a predictor of one model, found one that holds those of other devices; docs/predictor-file.md says how to add them"
        return head, {name: file.get_tensor(name).astype(float) for name in file.keys()}

def features(map, gates):
    values = np.hstack([np.ones((len(gates), 1)), gates])
    for level in map["levels"]:
        if "sums" in level:
            new = [sum((factor * values[:, v] for v, factor in terms), np.zeros(len(gates))) for terms in level["sums"]]
        else:
            new = [values[:, a] * values[:, b] for a, b in level["products"]]
        values = np.column_stack([values, *new])
    return values[:, [feature["value"] for feature in map["features"]]]

def price(head, tensors, gates):
    x = features(head["map"], gates)
    z = x @ tensors["linear"][:, 0] + head["intercept"]
    if head["n_layers"] > 0:
        h = np.hstack([x[:, head["inputs"]], x @ tensors["subtotals"] - tensors["subtotals.means"]])
        for i in range(head["n_layers"]):
            h = (h / (1 + np.exp(-h)) if i else h) @ tensors[f"layer{i}.weights"] + tensors[f"layer{i}.biases"]
        z += h[..., 0].mean(axis=0)
    t = z * head["sd"] + head["mu"]
    cost = {"plain": t, "log": np.exp(t), "reciprocal": 1 / np.maximum(t, 1e-3 * head["mu"])}[head["scale"]]
    reported = np.maximum(cost, head["floor"])  # as `lat predict` tells it
    if cut := head.get("disconnected"):  # No path from input to output.
        reported = np.where(features(cut["map"], gates)[:, 0] < 0.5, cut["cost"], reported)
    return reported

if __name__ == "__main__":
    head, tensors = read(sys.argv[1])
    for cost in price(head, tensors, np.loadtxt(sys.stdin, ndmin=2)):
        print(f"{cost:.6f} {head['label']['unit']}")
