import hashlib
import pathlib
import pickle
import shutil

import numpy as np
import pytest

from bidder.decision.model_file import PRIOR_DIRECTORY, load_model
from core.errors import ConfigError


@pytest.fixture
def artefact(tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(PRIOR_DIRECTORY, tmp_path / "model"))


def seal(directory: pathlib.Path) -> None:
    names = ("manifest.json", "weights.npy")
    sums = [f"{hashlib.sha256((directory / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (directory / "SHA256SUMS").write_text("".join(sums))


def test_the_shipped_model_has_a_row_for_each_value() -> None:
    model = load_model()
    assert model.weights.shape == (model.manifest.rows, 2, len(model.manifest.columns))
    assert model.manifest.columns[0] == "default"
    fields = {**model.manifest.request_fields, **model.manifest.user_fields}
    for field in fields.values():
        highest = max((field.other, *field.rows.values(), field.other + 1 + len(field.edges) if field.edges else 0))
        assert 0 <= highest < model.manifest.rows
        assert list(field.edges) == sorted(field.edges)
    assert {"hour", "device", "size", "position", "deal"} <= set(fields)


@pytest.mark.parametrize("name", ["manifest.json", "weights.npy", "SHA256SUMS"])
def test_a_missing_file_is_refused(artefact: pathlib.Path, name: str) -> None:
    (artefact / name).unlink()
    with pytest.raises(ConfigError) as caught:
        load_model(artefact)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["manifest.json", "weights.npy"])
def test_an_altered_file_is_refused(artefact: pathlib.Path, name: str) -> None:
    data = bytearray((artefact / name).read_bytes())
    data[-2] ^= 1
    (artefact / name).write_bytes(data)
    with pytest.raises(ConfigError, match="altered"):
        load_model(artefact)


@pytest.mark.parametrize("fault", ["shape", "not a number", "pickle", "garbage", "format", "manifest"])
def test_weights_and_manifests_that_do_not_fit_are_refused_though_sealed(artefact: pathlib.Path, fault: str) -> None:
    weights = np.load(artefact / "weights.npy")
    if fault == "shape":
        np.save(artefact / "weights.npy", weights[1:])
    elif fault == "not a number":
        weights[3] = np.nan
        np.save(artefact / "weights.npy", weights)
    elif fault == "pickle":
        (artefact / "weights.npy").write_bytes(pickle.dumps(weights))
    elif fault == "garbage":
        (artefact / "weights.npy").write_bytes(b"garbage")
    else:
        manifest = artefact / "manifest.json"
        text = manifest.read_text()
        manifest.write_text(text.replace('"format": 2', '"format": 3', 1) if fault == "format" else "{}")
    seal(artefact)
    with pytest.raises(ConfigError):
        load_model(artefact)


@pytest.mark.parametrize("sums", ["", "nonsense\n"])
def test_an_artefact_without_sums_is_refused(artefact: pathlib.Path, sums: str) -> None:
    (artefact / "SHA256SUMS").write_text(sums)
    with pytest.raises(ConfigError):
        load_model(artefact)
