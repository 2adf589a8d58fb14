"""Compares what other programs compute with exported predictors to what lat computed; see scripts/check-exports."""
import importlib.util, json, os, pathlib, sys

import numpy as np

TOLERANCE = 1e-5
here = pathlib.Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("read_predictor", here.parent / "examples" / "read_predictor.py")
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)


def by_reader(folder, probs):
    head, tensors = reader.read(folder / "predictor.lat")
    return {"reported": reader.price(head, tensors, probs.astype(float))}


def by_onnx(folder, probs):
    import onnx, onnxruntime

    model = onnx.load(folder / "predictor.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(folder / "predictor.onnx", providers=["CPUExecutionProvider"])
    label = json.loads(session.get_modelmeta().custom_metadata_map["lat_label"])
    assert label["unit"] == "ms", label
    cost, sd = session.run(["cost", "sd"], {"probs": probs})
    # A batch of another size, since its dimension is open.
    (one,) = session.run(["cost"], {"probs": probs[:1]})
    np.testing.assert_allclose(one, cost[:1], rtol=TOLERANCE)
    return {"cost": cost, "sd": sd}


def by_torch(folder, probs):
    import torch

    extra = {"lat_label": ""}
    module = torch.jit.load(folder / "predictor.pt", _extra_files=extra)
    assert json.loads(extra["lat_label"])["unit"] == "ms", extra
    gates = torch.tensor(probs, requires_grad=True)
    cost = module(gates)
    cost.sum().backward()
    _, sd = torch.jit.load(folder / "predictor-sd.pt")(gates)
    return {"cost": cost.detach().numpy(), "sd": sd.detach().numpy(), "slope": gates.grad.numpy()}


def largest_difference(found, expected):
    assert found.shape == expected.shape, (found.shape, expected.shape)
    # Slopes may be zero: they count relative to the largest of their row.
    size = np.abs(expected) if expected.ndim == 1 else np.abs(expected).max(axis=1, keepdims=True)
    return float((np.abs(found - expected) / np.where(size == 0, 1, size)).max())


def main():
    ways = [by_reader, by_onnx] + ([by_torch] if importlib.util.find_spec("torch") else [])
    failed = False
    for folder in map(pathlib.Path, sys.argv[1:]):
        expected = {key: np.array(v) for key, v in json.loads((folder / "expected.json").read_text()).items()}
        for way in ways:
            for key, found in way(folder, expected["probs"].astype(np.float32)).items():
                difference = largest_difference(found, expected[key])
                good = difference <= TOLERANCE  # False for NaN
                failed |= not good
                print(f"check-exports: {folder.name} {way.__name__} {key}: {difference:.1e} {'good' if good else 'WRONG'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
