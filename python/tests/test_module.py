"""The differentiable module, compared with what lat computes; skipped without PyTorch."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from conftest import Golden, golden_with, relative  # noqa: E402

import lat  # noqa: E402

torch.set_num_threads(1)  # Everything here is small.
DTYPES = [torch.float32, torch.float64]


@golden_with("gradient")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_costs_and_gradients_are_those_of_a_search(golden: Golden, dtype: torch.dtype) -> None:
    cost = lat.load(golden.path).to(dtype)
    gates = torch.tensor(golden.said["gates"], dtype=dtype, requires_grad=True)
    found = cost(gates)
    assert found.dtype == dtype and found.shape == (len(gates),)
    found.sum().backward()
    assert relative(found.detach(), golden.said["cost"]) < 1e-6
    expected = golden.array("gradient")
    # Slopes may be zero: they count relative to the largest of their row.
    size = np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(gates.grad.numpy() - expected) / size).max() < 1e-5
    if cost.predictor._spread is not None:
        assert relative(cost.deviation(gates).detach(), golden.said["sd"]) < 1e-4


@golden_with("gradient")
def test_gradients_are_right_in_double_precision(golden: Golden) -> None:
    cost = lat.load(golden.path).double()
    gates = torch.tensor(golden.said["gates"][1], dtype=torch.float64, requires_grad=True)
    direction = torch.linspace(-1, 1, len(gates), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(cost(gates), gates)
    with torch.no_grad():
        measured = (cost(gates + 1e-6 * direction) - cost(gates - 1e-6 * direction)) / 2e-6
    assert abs((gradient @ direction - measured) / measured) < 1e-4


def test_cells_without_a_path_have_a_deviation_of_their_own_and_a_cost_with_a_slope() -> None:
    golden = Golden("cut_cells")
    cost = lat.load(golden.path)
    gates = cost.gates(golden.said["texts"]).requires_grad_()
    assert relative(cost.deviation(gates).detach(), golden.said["price_sd"]) < 1e-4
    costs = cost(gates)
    costs.sum().backward()
    assert costs.min() > 0.1 and gates.grad.abs().amax(1).min() > 0
    assert cost.price(golden.said["texts"])[-1] < 0.005


def test_gates_are_a_dict_or_one_tensor() -> None:
    cost = lat.load(Golden("plain").path)
    logits = {name: torch.zeros(3, len(choices), requires_grad=True) for name, choices in cost.decisions.items()}
    gates = {name: logit.softmax(-1) for name, logit in logits.items()}
    found = cost(gates)
    assert found.shape == (3,)
    torch.testing.assert_close(found, cost(torch.cat(list(gates.values()), 1)))
    assert cost({name: row[0] for name, row in gates.items()}).shape == ()
    found.sum().backward()
    assert all(logit.grad is not None and logit.grad.abs().max() > 0 for logit in logits.values())
    assert abs(float(found[0].detach()) / cost.reference - 1) < 1e-6


def test_it_is_a_module_without_parameters_and_without_state() -> None:
    cost = lat.load(Golden("log_networks").path)
    assert isinstance(cost, torch.nn.Module) and not list(cost.parameters()) and not cost.state_dict()
    text = Golden("log_networks").said["texts"][0]
    assert cost.price(text) == lat.Predictor(Golden("log_networks").path).price(text)
    assert (cost.unit, cost.n_gates, len(cost.decisions), cost.label["space"]) == ("ms", 30, 6, "nasbench201")
    torch.testing.assert_close(copy.deepcopy(cost).double()(cost.gates(text).double()).float(), cost(cost.gates(text)))
    assert "nasbench201" in repr(cost)


def test_half_precision_gates_and_autocast_change_nothing() -> None:
    cost = lat.load(Golden("log_networks").path)
    gates = cost.gates(Golden("log_networks").said["texts"])
    expected = cost(gates)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(cost(gates.bfloat16()), expected, rtol=0, atol=0)


def test_the_buffers_move_with_the_module() -> None:
    cost = lat.load(Golden("plain").path).to("meta")
    assert cost(torch.zeros(2, 30, device="meta")).device.type == "meta"


def test_expected_gates_carry_gradients() -> None:
    golden = Golden("darts")
    cost = lat.load(golden.path).double()
    probs = torch.tensor(golden.said["gates"][1], dtype=torch.float64, requires_grad=True)
    gates = cost.expected(probs)
    np.testing.assert_allclose(gates.detach(), lat.Predictor(golden.path).expected(golden.said["gates"][1]))
    cost(gates).backward()
    assert probs.grad.abs().max() > 0


def test_the_two_alphas_of_darts_get_gradients() -> None:
    cost = lat.load(Path(__file__).parent / "golden" / "darts.lat")
    alphas = [torch.zeros(14, 8, requires_grad=True) for _ in range(2)]
    probs = torch.cat([alpha.softmax(-1) for alpha in alphas]).flatten()
    term = cost(cost.expected(probs)) / cost.reference
    term.backward()
    np.testing.assert_allclose(term.item(), 1, rtol=1e-4)
    larger, smaller = 5, 3  # sep_conv_5x5 and skip_connect
    for alpha in alphas:
        assert (alpha.grad[:, larger] > 0).all() and (alpha.grad[:, smaller] < 0).all()


def test_the_example_finds_cheaper_cells_with_the_term(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(__file__).resolve().parents[1] / "examples" / "darts_with_latency.py"
    spec = importlib.util.spec_from_file_location("darts_with_latency", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setattr(example, "EPOCHS", 1)
    cost = lat.load(Golden("plain").path)
    (plain, _), (fast, _) = example.search(cost, 0.0), example.search(cost, 100.0)
    assert cost.price(fast) < 0.8 * cost.price(plain)
