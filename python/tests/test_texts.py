"""Architecture texts in their spellings. That the plain ones are read as lat reads them, test_predictor.py checks by their prices."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import Golden

import lat

NB201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"


def predictor(name: str) -> lat.Predictor:
    return lat.Predictor(Golden(name).path)


def are_one(name: str, *texts: str) -> None:
    cost = predictor(name)
    first = cost.gates(texts[0])
    for text in texts[1:]:
        np.testing.assert_array_equal(cost.gates(text), first, err_msg=text)


def test_cells_of_nasbench201() -> None:
    in_blanks, in_words = NB201.replace("+", " + "), f"[2020-01-01] the best arch: {NB201}, after 100 epochs"
    with pytest.raises(lat.LatError, match="expected .op~0"):
        predictor("plain").price(NB201.replace("|nor", "|nor|nor", 1))
    are_one("plain", NB201, in_blanks, in_words, NB201.replace("nor_conv", "conv"), f"Structure(4 nodes with {NB201})")


def test_genotypes_of_darts() -> None:
    text = Golden("darts").said["texts"][0]
    listed = text.replace("range(2, 6)", "[2, 3, 4, 5]")
    weighted = text.replace("0)", "0, 0.13)").replace("1)", "1, 1e-3)")
    as_json = text[len("Genotype(") : -1].replace("(", "[").replace(")", "]").replace("range[2, 6]", "[2, 3, 4, 5]").replace("'", '"')
    for field in ("normal_concat", "reduce_concat", "normal", "reduce"):
        as_json = as_json.replace(f"{field}=", f'"{field}": ')
    as_json = "{" + as_json + "}"
    cells = json.loads(as_json)
    per_node = {cell: [cells[cell][2 * node : 2 * node + 2] for node in range(4)] for cell in ("normal", "reduce")}
    triples = {cell: [(op, i // 2 + 2, origin) for i, (op, origin) in enumerate(cells[cell])] for cell in ("normal", "reduce")}
    are_one("darts", text, f"DARTS_V2 = {text} and so on", text.replace("), (", "),\n  ("), listed, weighted, as_json, str(per_node), str(triples))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("normal_concat=range(2, 6)", "normal_concat=[3, 4, 5]", "concatenates all four nodes"),
        ("Genotype(normal=[(", "Genotype(normal=[('skip_connect', 0), (", "eight pairs, two per node, found '9 pairs'"),
        ("sep_conv", "conv", "an operation of"),
        ("Genotype(", "Genotype[", "expected Genotype"),
        ("Genotype(", "Genotyp(", "expected Genotype"),
        ("('", "(('", "expected"),
    ],
)
def test_genotypes_that_do_not_fit_are_refused(old: str, new: str, sentence: str) -> None:
    text = Golden("darts").said["texts"][0]
    with pytest.raises(lat.LatError, match=sentence):
        predictor("darts").price(text.replace(old, new, 1))


def test_chains_are_words_in_any_brackets_or_numbers() -> None:
    text = Golden("fbnet").said["texts"][0]
    cost = predictor("fbnet")
    numbers = " ".join(str(choices.index(word)) for word, choices in zip(text.split(), cost.decisions.values()))
    are_one("fbnet", text, str(text.split()), numbers)
    proxyless = Golden("proxyless").said["texts"][0]
    are_one("proxyless", proxyless, f"3x3_MBConv1 {proxyless}")
    with pytest.raises(lat.LatError, match="expected 22 words, one per layer, found 21"):
        cost.price(text.rsplit(" ", 1)[0])
    with pytest.raises(lat.LatError, match="for stage1/layer1 one of k3_e1, .*found '9'"):
        cost.price(text.replace(text.split()[0], "9", 1))
    with pytest.raises(lat.LatError, match="eight digits"):
        predictor("nasbench-macro").price("0120120٣")


def text_of(lists: dict[str, list[int]], **renamed: str) -> str:
    return json.dumps({renamed.get(name, name): numbers for name, numbers in lists.items()})


def test_official_configurations() -> None:
    text = Golden("ofa").said["texts"][0]
    lists = json.loads(text)
    python = str({"wid": None, **lists})
    filled = json.dumps({**lists, "ks": [k or 3 for k in lists["ks"]], "e": [e or 6 for e in lists["e"]]})
    are_one("ofa", text, python, filled, f"d={lists['d']} ks={lists['ks']} e={lists['e']} r={lists['r']}")
    largest = json.dumps({**lists, "r": [224]})
    are_one("ofa", largest, json.dumps({name: lists[name] for name in ("d", "ks", "e")}))
    for space in ("attentivenas", "bignas"):
        text = Golden(space).said["texts"][0]
        row = [number for value in json.loads(text).values() for number in (value if isinstance(value, list) else [value])]
        assert len(row) == 31
        are_one(space, text, str(row))
    with pytest.raises(lat.LatError, match="for stage1/depth one of 2, 3, 4, found 7"):
        predictor("ofa").price(json.dumps({**lists, "d": [7, 2, 2, 2, 2]}))
    # A list that is not known may be a misspelt one.
    with pytest.raises(lat.LatError, match="expected lists d, ks, e, r, found 'res'"):
        predictor("ofa").price(text_of(lists, r="res"))
    with pytest.raises(lat.LatError, match="expected 20 numbers in one list ks, found 0"):
        predictor("ofa").price(json.dumps({"d": lists["d"], "e": lists["e"]}))


def test_words_of_fbnetv2() -> None:
    text = Golden("fbnetv2").said["texts"][0]
    with pytest.raises(lat.LatError, match="expected 19 words"):
        predictor("fbnetv2").price("r288 c16")
    with pytest.raises(lat.LatError, match="for resolution one of 128, .*found 'r287'"):
        predictor("fbnetv2").price(text.replace(text.split()[0], "r287"))
    with pytest.raises(lat.LatError, match="once each"):
        predictor("fbnetv2").price(text.replace(" c", " c99_c", 1))


def test_numbers_in_declared_texts() -> None:
    are_one(
        "numbers",
        "m=2048,sparsity=0,head=linear,width=55.333",
        " m=2048.0, width=5.5333e1,head=linear,sparsity=-0 ",
        "m=2.048e3,sparsity=.0,head=linear,width=55.3330000001",
    )
    # A slot that is not built counts as its least number.
    are_one("numbers", "m=1,sparsity=99.5,head=none", "m=1,sparsity=99.5,head=none,width=7", "m=1,sparsity=99.5,head=none,width=x")
    for cell in ("0", "32769", "1_000", "٣", "inf", "nan", "x", ""):
        with pytest.raises(lat.LatError, match=f"for 'm' a number from 1 to 32768, found '{cell}'"):
            predictor("numbers").price(f"m={cell},sparsity=0,head=none")
    for text, sentence in [
        ("m=1,head=none", "for 'sparsity' a number from 0 to 99.5, found .*which has none"),
        ("m=1,sparsity=0,head=linear,width=15", "for 'width' a number from 16 to 100, found '15'"),
        ("2048", "such as m=1, found '2048'"),
    ]:
        with pytest.raises(lat.LatError, match=sentence):
            predictor("numbers").price(text)
    # Nor are such numbers taken for values of a list.
    with pytest.raises(lat.LatError, match="found '12_8'"):
        predictor("pairs").price("resolution=12_8,d0=1,d1=1,k00=3,k03=5")


def test_declared_texts() -> None:
    are_one("template", "<conv|pool> x0.5", "<1|P> x0.50", " <conv | pool> x 5e-1 ")
    # What is not built is not told apart.
    are_one("template", "<none|pool> x2", "<none|conv> x2.0")
    are_one("pairs", "resolution=128,d0=1,d1=1,k00=3,k03=5", "k03=5, k00=3 ,d1=1,d0=1,resolution=128.0,k01=5")
    for name, text, sentence in [
        ("pairs", "resolution=128,d0=2,d1=1,k00=3,k03=5", "for 'k01' one of 3, 5, found .*which has none"),
        ("pairs", "resolution=129,d0=1,d1=1,k00=3,k03=5", "for 'resolution' one of 128, 144, 160, found '129'"),
        ("pairs", "depth=3", "name=choice,name=choice"),
        ("pairs", "d0=1,d0=1", "each of its 9 decisions once"),
        ("template", "conv|pool x2", r"the form <\{a\}\|\{b\}> x\{c\}, found 'conv\|pool x2'"),
        ("template", "<conv|3> x2", "for 'b' one of none, conv, pool, found '3'"),
    ]:
        with pytest.raises(lat.LatError, match=sentence):
            predictor(name).price(text)
