"""Predictors in NumPy, compared with what lat says."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from conftest import NAMES, Golden, golden_with, relative

import lat
from lat.architectures import Architectures

NB201 = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"


@pytest.fixture
def plain() -> lat.Predictor:
    return lat.Predictor(Golden("plain").path)


def test_the_golden_files_are_of_all_kinds() -> None:
    assert len(NAMES) == 21
    terms = {name: lat.Predictor(Golden(name).path)._terms for name in NAMES}
    assert {formula.scale for all_ in terms.values() for _, formula in all_} == {"plain", "log", "reciprocal"}
    assert terms["log_networks"][0][1].n_layers == 3
    # Fits of every kind, the linear ones on the scales that suit.
    assert [(name, terms[name][0][1].scale) for name in ("linear_log", "counts_reciprocal")] == [
        ("linear_log", "log"),
        ("counts_reciprocal", "reciprocal"),
    ]
    assert len(terms["transferred"]) == 3 and terms["transferred"][1][1].n_layers == 3


@golden_with("price")
def test_prices_are_those_of_lat_predict(golden: Golden) -> None:
    cost = lat.Predictor(golden.path)
    prices = cost.price(golden.said["texts"])
    assert relative(prices, golden.said["price"]) < 1e-6
    assert isinstance(cost.price(golden.said["texts"][0]), float)
    np.testing.assert_allclose(cost.price(golden.said["texts"][:1]), prices[:1], rtol=1e-12)


@golden_with("cost")
def test_costs_of_gates_are_those_of_a_search(golden: Golden) -> None:
    cost = lat.Predictor(golden.path)
    assert relative(cost(golden.said["gates"]), golden.said["cost"]) < 1e-6
    # A row alone has no batch dimension.
    assert cost(golden.said["gates"][0]).shape == ()
    if cost._spread is None:
        with pytest.raises(lat.LatError, match="tells no deviations"):
            cost.deviation(golden.said["gates"])
    else:
        # lat computes it in float32, where it is a small difference of large numbers.
        assert relative(cost.deviation(golden.said["gates"]), golden.said["sd"]) < 1e-4


@golden_with("reference")
def test_the_reference_is_that_of_a_search(golden: Golden) -> None:
    assert relative(lat.Predictor(golden.path).reference, golden.said["reference"]) < 1e-5


def test_several_predictors_have_deviations_and_references() -> None:
    names = ["darts", "log_networks", "plain", "reciprocal", "transferred"]
    assert all(lat.Predictor(Golden(name).path)._spread for name in names)
    assert [name for name in NAMES if "reference" in Golden(name).said] == [
        "cut_cells",
        "darts",
        "linear_log",
        "log_networks",
        "plain",
        "transferred",
    ]
    assert [name for name in NAMES if "price_sd" in Golden(name).said] == ["cut_cells", "log_networks", "plain", "reciprocal", "transferred"]


def test_an_architecture_is_a_text_a_dict_or_numbers(plain: lat.Predictor) -> None:
    price = plain.price(NB201)
    by_name = {name: choice for name, choice in zip(plain.decisions, ["nor_conv_3x3", "none", "skip_connect", "none", "none", "avg_pool_3x3"])}
    assert plain.price(by_name) == plain.price([3, 0, 1, 0, 0, 4]) == plain.price(np.array([3, 0, 1, 0, 0, 4])) == price
    np.testing.assert_allclose(plain.price([NB201, by_name, (3, 0, 1, 0, 0, 4)]), [price] * 3, rtol=1e-12)
    assert plain.price([]).shape == (0,)
    assert plain.gates(NB201).tolist() == np.eye(5)[[3, 0, 1, 0, 0, 4]].ravel().tolist()


def test_gates_are_a_dict_or_one_array(plain: lat.Predictor) -> None:
    gates = plain.gates([NB201, [1] * 6])
    by_name = dict(zip(plain.decisions, np.split(gates, 6, axis=1)))
    np.testing.assert_array_equal(plain(by_name), plain(gates))
    # In any order of the dict.
    np.testing.assert_array_equal(plain(dict(reversed(by_name.items()))), plain(gates))


def test_prices_have_a_floor_and_costs_have_none(plain: lat.Predictor) -> None:
    plain.floor = 1e6
    assert plain.price(NB201) == 1e6 and plain(plain.gates(NB201)) < 1e6


def test_a_genotype_of_darts_prices_as_its_text() -> None:
    golden = Golden("darts")
    Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    genotype = eval(golden.said["texts"][0], {"Genotype": Genotype, "range": range})
    cost = lat.Predictor(golden.path)
    assert cost.price(genotype) == cost.price(golden.said["texts"][0])
    assert cost.price([genotype]).shape == (1,)


@golden_with("price_sd")
def test_deviations_of_architectures_are_those_of_lat_predict(golden: Golden) -> None:
    cost = lat.Predictor(golden.path)
    assert relative(cost.deviation(cost.gates(golden.said["texts"])), golden.said["price_sd"]) < 1e-4


def test_cells_without_a_path_have_a_price_of_their_own() -> None:
    golden = Golden("cut_cells")
    cost = lat.Predictor(golden.path)
    cut, whole = golden.said["texts"][-4:], golden.said["texts"][:-4]
    # Learnt of costs of 0.004 within a percent; the least of the others is above 1.
    np.testing.assert_allclose(cost.price(cut), 0.004, rtol=0.01)
    assert len(set(cost.price(cut))) == 1 and cost.price(whole).min() > cost.floor > 0.1
    # A search's cost has a slope everywhere, and so is the model's alone.
    assert cost(cost.gates(cut)).min() > 0.1
    np.testing.assert_array_equal(cost.expected(cost.gates(cut)), cost.gates(cut))
    gates = cost.gates(cut[0])
    assert cost.deviation(gates) == cost.deviation(gates + 1e-7) == cost.deviation(cost.gates(cut[1])) < 1e-4
    # A mixture is not cut.
    assert cost.deviation(0.999 * gates + 0.0002) > 1e-3


def test_numbers_are_numbers_in_dicts_and_sequences() -> None:
    cost = lat.Predictor(Golden("numbers").path)
    text = "m=3000,sparsity=62.5,head=linear,width=55.333"
    by_name = {"m": 3000, "sparsity": 62.5, "head": "linear", "width": np.float32(55.333)}
    price = cost.price(text)
    assert price == cost.price(by_name) == cost.price([3000, 62.5, 1, 55.333]) == cost.price(np.array([3000, 62.5, 1, 55.333]))
    assert cost.price({**by_name, "m": "3e3", "width": 55.333}) == price != cost.price({**by_name, "m": 2999})
    np.testing.assert_allclose(cost.price([text, by_name, (3000, 62.5, 1, 55.333)]), [price] * 3, rtol=1e-12)
    # What is not built may be missing, and counts for nothing.
    rest = {"m": 3000, "sparsity": 0, "head": "none"}
    assert (
        cost.price(rest) == cost.price({**rest, "width": float("nan")}) == cost.price([3000, 0, 0, 99]) == cost.price("m=3000,sparsity=0,head=none")
    )
    for architecture, sentence in [
        ([0, 50, 1, 20], "for 'm' a number from 1 to 32768, found '0.0'"),
        ({**by_name, "sparsity": 99.6}, "for 'sparsity' a number from 0 to 99.5, found '99.6'"),
        ({"m": 1, "sparsity": 0, "head": "linear"}, "for 'width' a number from 16 to 100, found .*which has none"),
        ({**by_name, "n": 1}, "a choice for each of 4 decisions .*; 'n' differs"),
        ([3000, 50, 0.5, 20], "for 'head' the number of one of its choices, 0 to 1, found '0.5'"),
        ([3000, 50, 1], "expected 4 numbers, one per decision .* found 3"),
    ]:
        with pytest.raises(lat.LatError, match=sentence):
            cost.price(architecture)


def test_gates_of_numbers_are_shares_of_their_range() -> None:
    cost = lat.Predictor(Golden("numbers").path)
    assert list(cost.decisions.values()) == [("value", "ln value"), ("value",), ("none", "linear"), ("value", "ln value")]
    gates = cost.gates([[1, 0, 1, 16], [32768, 99.5, 1, 100], [8, 19.9, 0, 50]])
    np.testing.assert_allclose(gates, [[0, 0, 0, 0, 1, 0, 0], [1, 1, 1, 0, 1, 1, 1], [7 / 32767, 0.2, 0.2, 1, 0, 0, 0]], atol=1e-7)
    np.testing.assert_array_equal(gates, gates.astype(np.float32))
    # In the middle of logarithms if the range is wide.
    middle = cost.gates([32768**0.5, 49.75, 0, 58])
    middle[3:5], middle[5:] = 0.5, cost.gates([1, 0, 1, 58])[5:]
    assert abs(cost.reference / cost(middle) - 1) < 1e-6


def test_the_declaration_says_what_is_a_number() -> None:
    toml = 'id = "x"\n[[decision]]\nname = "a"\nchoices = ["value", "ln value"]\n[[decision]]\nname = "b"\nnumber = { from = 1, to = 3 }'
    decisions = dict.fromkeys("ab", ("value", "ln value"))
    found = Architectures({"space": "x", "declaration": toml}, decisions)
    np.testing.assert_allclose(found.gates(["a=ln value,b=3", {"a": "value", "b": 1}]), [[0, 1, 1, 1], [1, 0, 0, 0]])
    assert found.listed == [0, 1] and list(found.numbers) == [1]
    with pytest.raises(ValueError, match="the gates of the number b are value"):
        Architectures({"space": "x", "declaration": toml}, {**decisions, "b": ("value",)})


def test_two_edges_per_node_are_expected_in_darts(plain: lat.Predictor) -> None:
    golden = Golden("darts")
    cost = lat.Predictor(golden.path)
    derived = cost.gates(golden.said["texts"][0])
    # What is certain stays: strengths of the other edges are 0.
    np.testing.assert_allclose(cost.expected(derived), derived, atol=1e-12)
    soft = cost.expected(golden.said["gates"][1]).reshape(28, 8)
    np.testing.assert_allclose(soft.sum(1), 1)
    np.testing.assert_allclose([(1 - soft[begin:end, 0]).sum() for begin, end in [(0, 2), (2, 5), (5, 9), (9, 14)]], 2)
    uniform = np.full(30, 0.2)
    np.testing.assert_array_equal(plain.expected(uniform), uniform)


@pytest.mark.parametrize(
    ("gates", "sentence"),
    [
        (np.zeros(29), r"expected gates of shape \[30\] or \[b, 30\].* found shape \[29\]"),
        (np.zeros((6, 5)), r"flatten\(\) joins"),
        (np.full(30, np.nan), "expected finite gates"),
        ({"cell/0-1": np.zeros(5)}, "found none for 'cell/0-2'"),
        ({name: np.zeros(5) for name in ["x", "cell/0-1", "cell/0-2", "cell/1-2", "cell/0-3", "cell/1-3", "cell/2-3"]}, "'x', which is no decision"),
        ({name: np.zeros(4) for name in ["cell/0-1", "cell/0-2", "cell/1-2", "cell/0-3", "cell/1-3", "cell/2-3"]}, r"shape \[5\] or \[b, 5\]"),
    ],
)
def test_gates_that_do_not_fit_are_refused(plain: lat.Predictor, gates: object, sentence: str) -> None:
    with pytest.raises(lat.LatError, match=sentence):
        plain(gates)


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ("|nor_conv_3x3~0|", "expected .op~0"),
        (NB201.replace("avg_pool", "max_pool"), "an operation of: none, .*found 'max_pool_3x3'"),
        ({"cell/0-1": "none"}, "a choice for each of 6 decisions"),
        (dict.fromkeys(["cell/0-1", "cell/0-2", "cell/1-2", "cell/0-3", "cell/1-3", "cell/2-3"], "conv"), "for 'cell/0-1' one of none"),
        ([0, 0, 0, 0, 0, 5], "for .cell/2-3. the number of one of its choices, 0 to 4, found .5."),
        ([0] * 5, "expected 6 numbers, one per decision .* found 5"),
        ([0.5] * 6, "for .cell/0-1. the number of one of its choices, 0 to 4, found .0.5."),
        ([None] * 6, "expected a text, a dict of choices"),
    ],
)
def test_architectures_that_are_none_are_refused(plain: lat.Predictor, architecture: object, sentence: str) -> None:
    with pytest.raises(lat.LatError, match=sentence):
        plain.price(architecture)


def test_files_that_are_no_predictors_are_refused(tmp_path: Path) -> None:
    whole = Golden("plain").path.read_bytes()

    def refusal(content: bytes) -> str:
        path = tmp_path / "p.lat"
        path.write_bytes(content)
        with pytest.raises(lat.LatError) as refused:
            lat.load(path)
        return str(refused.value)

    with pytest.raises(lat.LatError, match="could not read .*none.lat: No such file"):
        lat.load(tmp_path / "none.lat")
    for content in (b"", b"no predictor at all", whole[:100], whole[:-1], b"\xff" * 100):
        assert "is not a predictor" in refusal(content)
    place = len(whole) - 9
    assert "is damaged: its content has checksum" in refusal(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    # A file of an older program has no checksum.
    other = whole.replace(b'"checksum', b'"checknum', 1).replace(b'"format\\":2', b'"format\\":9', 1)
    assert "expected predictor format 2, found 9" in refusal(other)
    assert "do not fit together" in refusal(other.replace(b'"format\\":9', b'"format\\":2', 1).replace(b'"n_gates\\":30', b'"n_gates\\":31', 1))
    # The price of cells without a path is made of the same gates.
    before, n_gates, after = other.replace(b'"format\\":9', b'"format\\":2', 1).rpartition(b'"n_gates\\":30')
    assert b"disconnected" in before
    assert "networks without a path is not made of its gates" in refusal(before + n_gates.replace(b"30", b"31") + after)
