"""A thousand artefacts with sound checksums and something else wrong: each is refused, or prices every bid."""

import hashlib
import json
import math
import pathlib
import random
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bidder.decision.model_file import PRIOR_DIRECTORY, load_model
from core.errors import ConfigError
from core.model import CartValue, Goal
from tests.kit.bidding import Shopper, ShopState, TestBidder, price_of
from tests.kit.catalogues import catalogue, line_item
from tests.kit.openrtb import raw_request

Weights = npt.NDArray[Any]

MUTANTS = 1_000
MAX_CPM = 7_000_000

VALUES: tuple[Any, ...] = (
    -1, 0, 1, 10**9, 2**63, 2**100, -5.0, 0.5, 1e308, -1e308, 1e-308, "", "x", "default", None, True, [], {}, [1, 2],
    [2, 1], [0.1, 0.1], {"a": 10**9}, "advertiser:1", ["default", "default"], ["default", "advertiser:0"], [[]],
)  # fmt: skip


def seal(directory: pathlib.Path) -> None:
    """Checksums of what lies there now."""
    names = ("manifest.json", "weights.npy")
    sums = [f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (directory / "SHA256SUMS").write_text("".join(sums))


def paths(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in paths(child, (*path, key)))]


def mutate_manifest(chance: random.Random, directory: pathlib.Path) -> None:
    document = json.loads((directory / "manifest.json").read_text())
    for _ in range(chance.choice((1, 1, 1, 3))):
        *parents, key = chance.choice(paths(document)[1:])
        holder = document
        try:
            for parent in parents:
                holder = holder[parent]
            if chance.random() < 0.25:
                del holder[key]
            elif chance.random() < 0.1 and isinstance(holder, dict):
                holder[f"{key}x"] = holder[key]
            else:
                holder[key] = chance.choice(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    (directory / "manifest.json").write_text(json.dumps(document))


def other_type(chance: random.Random, weights: Weights) -> Weights:
    return weights.astype(chance.choice(("f8", "f2", "i4", "c8", "c16", ">f4", "U3", "?")))


def huge_number(chance: random.Random, weights: Weights) -> Weights:
    changed = weights.astype(chance.choice(("f4", "f8")))
    changed.flat[chance.randrange(changed.size)] = chance.choice((np.nan, np.inf, -np.inf, 1e30, 3e38, -3e38, 31.0))
    return changed


def other_shape(chance: random.Random, weights: Weights) -> Weights:
    if chance.random() < 0.5:
        return weights[chance.randrange(1, len(weights)) :]
    return np.concatenate((weights, weights), axis=chance.randrange(3))


def stronger(chance: random.Random, weights: Weights) -> Weights:
    return np.asfortranarray(weights * np.float32(chance.uniform(-20, 20)))


def one_number(chance: random.Random, _weights: Weights) -> Weights:
    return np.array(chance.uniform(-1, 1), np.float32)


def mutate_weights(chance: random.Random, directory: pathlib.Path) -> None:
    weights = np.load(directory / "weights.npy")
    weights = chance.choice((other_type, huge_number, other_shape, stronger, one_number))(chance, weights)
    with (directory / "weights.npy").open("wb") as file:
        if chance.random() < 0.1:
            np.savez(file, weights=weights)
        else:
            np.save(file, weights)


def damage_bytes(chance: random.Random, directory: pathlib.Path) -> None:
    """In the header, or all from some place on."""
    data = bytearray((directory / "weights.npy").read_bytes())
    if chance.random() < 0.3:
        data = data[: chance.randrange(len(data))]
    for _ in range(chance.randrange(1, 6)):
        if data:
            data[chance.randrange(min(len(data), 200))] = chance.randrange(256)
    (directory / "weights.npy").write_bytes(data)


MUTATIONS: tuple[Callable[[random.Random, pathlib.Path], None], ...] = (
    mutate_manifest,
    mutate_manifest,
    mutate_weights,
    damage_bytes,
)

SHOPPERS = (
    None,
    Shopper(shops={1: ShopState(last_visit_age_s=math.inf, visits=0, products_viewed=0)}),
    Shopper(shops={1: ShopState(cart_micros=10**10, cart_age_s=9_000.0, visits=2**32, products_viewed=2**32)}),
    Shopper(shops={1: ShopState(last_purchase_age_s=0.0, last_visit_age_s=0.0)}, shown=((1, 1_789_999_999),) * 50),
)


def test_a_thousand_broken_artefacts_are_refused_or_price_every_bid(tmp_path: pathlib.Path) -> None:
    configured = catalogue(
        line_item(1, goal=Goal.CPA, bid_micros=10**9, max_cpm_micros=MAX_CPM, cart=CartValue()),
        line_item(2, goal=Goal.CPC, bid_micros=10**9, max_cpm_micros=MAX_CPM, advertiser=2),
    )
    request = raw_request(regs={"gdpr": 0})
    refused = 0  # with a reason and a hint
    priced = 0
    for seed in range(MUTANTS):
        chance = random.Random(seed)
        directory = tmp_path / str(seed)
        shutil.copytree(PRIOR_DIRECTORY, directory)
        chance.choice(MUTATIONS)(chance, directory)
        seal(directory)
        try:
            model = load_model(directory)
        except ConfigError as error:
            refused += bool(error.message and error.hint)
        else:
            priced += 1
            bidder = TestBidder(configured, model=model)
            for shopper in SHOPPERS:
                price = price_of(bidder.answer(request, shopper))
                assert 0.0 <= price <= MAX_CPM / 1e6, seed
        shutil.rmtree(directory)
    assert refused + priced == MUTANTS
    assert refused > MUTANTS // 2
    assert priced > MUTANTS // 50


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("user_fields", "visits", "edges"), [4, 2]),
        (("user_fields", "visits", "edges"), [2, 2]),
        (("user_fields", "visits", "other"), 100_000),
        (("user_fields", "visits"), None),
        (("user_fields", "cart"), {"other": 1, "edges": [0.5]}),
        (("request_fields", "hour", "rows", "3"), 100_000),
        (("request_fields", "hour", "rows", "3"), -1),
        (("request_fields", "hour"), None),
        (("frequency_decay",), -5),
        (("purchase_floor",), 1.5),
        (("purchase_cycle_s",), 0),
        (("bias",), [1e308, 0]),
        (("bias",), [0]),
        (("columns",), ["default", "advertiser:7", "advertiser:7"]),
        (("columns",), ["advertiser:7"]),
        (("rows",), 3),
        (("rows",), 2**70),
    ],
)
def test_a_manifest_that_the_bid_path_would_stumble_over_is_refused(
    tmp_path: pathlib.Path, path: tuple[str, ...], value: object
) -> None:
    directory = pathlib.Path(shutil.copytree(PRIOR_DIRECTORY, tmp_path / "model"))
    document = json.loads((directory / "manifest.json").read_text())
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    (directory / "manifest.json").write_text(json.dumps(document))
    seal(directory)
    with pytest.raises(ConfigError):
        load_model(directory)


@pytest.mark.parametrize("dtype", ["f8", "f2", "c8", "i4", ">f4"])
def test_weights_of_another_type_are_refused(tmp_path: pathlib.Path, dtype: str) -> None:
    directory = pathlib.Path(shutil.copytree(PRIOR_DIRECTORY, tmp_path / "model"))
    with warnings.catch_warnings(action="ignore"):
        np.save(directory / "weights.npy", np.load(directory / "weights.npy").astype(dtype))
    seal(directory)
    with pytest.raises(ConfigError, match="not float32"):
        load_model(directory)


def test_an_artefact_of_format_1_is_read_without_what_it_says_of_carts(tmp_path: pathlib.Path) -> None:
    """Before, having a cart was a feature, and hours were of UTC."""
    directory = pathlib.Path(shutil.copytree(PRIOR_DIRECTORY, tmp_path / "model"))
    document = json.loads((directory / "manifest.json").read_text())
    for name in ("purchase_floor", "purchase_cycle_s"):
        document.pop(name, None)
    document["format"], document["rows"] = 1, document["rows"] + 3
    document["user_fields"]["cart"] = {"other": document["rows"] - 3, "edges": [0.5]}
    weights = np.load(directory / "weights.npy")
    carts = np.array([(0.0, 0.0), (0.0, 0.0), (0.5, 1.4)], np.float32)[:, :, None]
    np.save(directory / "weights.npy", np.concatenate((weights, carts)))
    (directory / "manifest.json").write_text(json.dumps(document))
    seal(directory)
    bidder = TestBidder(
        catalogue(line_item(1, goal=Goal.CPC, bid_micros=10**9, max_cpm_micros=10**9)), model=load_model(directory)
    )
    request = raw_request(regs={"gdpr": 0})
    plain = price_of(bidder.answer(request, Shopper(shops={1: ShopState()})))
    assert plain > 0
    assert price_of(bidder.answer(request, Shopper(shops={1: ShopState(cart_micros=10**8, cart_age_s=1.0)}))) == plain
