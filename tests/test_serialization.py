"""Files: what is loaded is what was saved, random states included; a file is written whole or not at all."""

import json
import os
import stat

import numpy as np
import pytest
from helpers import CELLS, assert_same_bits, make, normal

import fastrnn
from fastrnn import serialization
from fastrnn.models import LanguageModel

SEED = 2**63 + 12345  # a double cannot hold it
TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 8
FIT = {"epochs": 1, "batch_size": 2, "sequence_length": 16, "verbose": 0}
OPTIONS = {
    "plain": {},
    "stack": {"num_layers": 2, "bidirectional": True, "dropout": 0.5},
    "torch's": {"batch_first": False, "bias": False, "init": "torch", "dtype": "float64"},
    "unseeded": {"init": 0.25, "seed": None, "num_layers": 2, "dropout": 0.5},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def reloaded(obj, path):
    fastrnn.save(obj, path)
    return fastrnn.load(path)


def fitted(**params) -> LanguageModel:
    return LanguageModel(**{"hidden_size": 8, "num_layers": 1, "random_state": SEED, **params}).fit(TEXT, TEXT, **FIT)


def metadata_of(path) -> dict:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["fastrnn"])


def rewrite(path, change):
    """Change the description in a file and leave its arrays."""
    from safetensors.numpy import load_file, save_file

    record = metadata_of(path)
    change(record)
    save_file(load_file(path), path, {"fastrnn": json.dumps(record)})


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_layers(cell, options, path):
    layer = make(cell, 3, 5, **{"seed": SEED, **OPTIONS[options]})
    layer.set_parameters(bias_ih_l0=normal("b", *layer.parameters["bias_ih_l0"].shape)) if layer.bias else None
    x = normal("x", 2, 4, 3)
    layer.forward(x)  # one draw of dropout masks
    twin = reloaded(layer, path)
    assert type(twin) is type(layer)
    assert twin.get_config() == layer.get_config()
    assert_same_bits(twin.state_dict(), layer.state_dict())
    assert_same_bits(twin.forward(x)[:2], layer.forward(x)[:2])


@pytest.mark.parametrize(
    "layer",
    [
        fastrnn.Dense(4, 3, seed=SEED),
        fastrnn.Dense(4, 3, bias=False, dtype="float64"),
        fastrnn.Embedding(6, 4, seed=SEED),
        fastrnn.Dense(4, 6, tied=fastrnn.Embedding(6, 4, seed=0)),
    ],
    ids=["dense", "dense without bias", "embedding", "tied dense by itself"],
)
def test_other_layers(layer, path):
    twin = reloaded(layer, path)
    assert type(twin) is type(layer)
    assert twin.get_config() == layer.get_config()
    assert_same_bits(twin.state_dict(), layer.state_dict())


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cell": "gru", "dtype": np.float64, "hidden_size": np.int64(8)},
        {"cell": "rnn", "embedding_size": 3, "max_vocab": 5, "random_state": None},
        {"embedding_size": 8, "tied": True, "num_layers": 2, "dropout": 0.5},
    ],
    ids=["lstm", "gru", "rnn", "tied"],
)
def test_language_models(params, path):
    model = fitted(**params)
    model.sample(7)
    twin = reloaded(model, path)
    assert twin.get_params() | {"dtype": np.dtype(twin.dtype)} == model.get_params() | {"dtype": np.dtype(model.dtype)}
    assert (twin.vocabulary_, twin.history_) == (model.vocabulary_, model.history_)
    assert list(twin.layers) == list(model.layers)
    for name, layer in model.layers.items():
        assert_same_bits(twin.layers[name].state_dict(), layer.state_dict(), name)
        assert twin.layers[name].get_config() == layer.get_config()
    assert twin.score(TEXT) == model.score(TEXT)
    assert [twin.sample(40), twin.sample(40)] == [model.sample(40), model.sample(40)]


def test_dropout_continues_with_the_same_masks(path):
    model = fitted(num_layers=2, dropout=0.5)
    twin, ids = reloaded(model, path), np.arange(6).reshape(2, 3)
    assert twin.recurrent_.forward_count == model.recurrent_.forward_count == 12
    assert_same_bits(twin.recurrent_.forward(ids)[0], model.recurrent_.forward(ids)[0])


def test_tied_weights_stay_tied(path):
    from safetensors.numpy import load_file

    twin = reloaded(fitted(embedding_size=8, tied=True), path)
    assert "output.weight" not in load_file(path)
    twin.embedding_.set_parameters(weight=np.ones((len(twin.vocabulary_) + 1, 8)))
    assert (twin.output_.parameters["weight"] == 1).all()


def test_any_program_can_read_the_arrays(path):
    from safetensors.numpy import load_file

    lstm = fastrnn.LSTM(3, 5, seed=0)
    fastrnn.save(lstm, path)
    assert_same_bits(dict(sorted(load_file(path).items())), dict(sorted(lstm.state_dict().items())))
    fastrnn.save(fitted(), path)
    assert sorted(load_file(path)) == [
        "output.bias", "output.weight", "recurrent.bias_hh_l0", "recurrent.bias_ih_l0", "recurrent.weight_hh_l0",
        "recurrent.weight_ih_l0",
    ]  # fmt: skip


def test_seeds_are_exact(path):
    fastrnn.save(fastrnn.LSTM(3, 5, seed=SEED), path)
    assert metadata_of(path)["layers"][""]["config"]["seed"] == SEED
    assert fastrnn.load(path).seed == SEED


@pytest.mark.parametrize("given", [None, [1], fastrnn.optim, np.zeros(3), LanguageModel, fastrnn.reference.LSTM(2, 3)])
def test_what_cannot_be_saved(given, path):
    with pytest.raises(TypeError, match=r"obj must be one of RNN, LSTM, GRU, .+, LanguageModel, .+ got "):
        fastrnn.save(given, path)
    assert not path.exists()


def test_what_is_no_path():
    with pytest.raises(TypeError, match="path must be a string or a path, got NoneType"):
        fastrnn.save(fastrnn.Dense(2, 3), None)
    with pytest.raises(TypeError, match="path must be a string or a path, got int"):
        fastrnn.load(0)


def test_an_unfitted_model_cannot_be_saved(path):
    with pytest.raises(ValueError, match="not fitted yet"):
        fastrnn.save(LanguageModel(), path)


# the file


def test_the_name_is_taken_as_it_is(tmp_path):
    for name in ("model", "model.bin", "m\N{LATIN SMALL LETTER O WITH DIAERESIS}del.x", "x" * 250):
        fastrnn.save(fastrnn.Dense(2, 2, seed=0), os.fspath(tmp_path / name))
        assert fastrnn.load(tmp_path / name).in_features == 2
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_is_replaced_whole_or_not_at_all(path, monkeypatch):
    fastrnn.save(fastrnn.Dense(2, 2, seed=0), path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        fastrnn.save(fastrnn.Dense(3, 3, seed=0), path)
    assert caught.value.filename == os.fspath(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    monkeypatch.undo()
    assert reloaded(fastrnn.Dense(3, 3, seed=0), path).in_features == 3
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permission bits and links are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_permissions_are_those_of_any_new_file(path, mask):
    before = os.umask(mask)
    try:
        fastrnn.save(fastrnn.Dense(2, 2, seed=0), path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(os.name != "posix", reason="permission bits and links are POSIX's")
def test_a_link_is_followed(path, tmp_path):
    (tmp_path / "folder").mkdir()
    path.symlink_to(tmp_path / "folder" / "target")
    fastrnn.save(fastrnn.Dense(2, 2, seed=0), path)
    assert path.is_symlink()
    assert (tmp_path / "folder" / "target").is_file()


def test_where_nothing_can_be_written(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        fastrnn.save(fastrnn.Dense(2, 2), tmp_path / "none" / "model")
    assert caught.value.filename == os.fspath(tmp_path / "none" / "model")
    with pytest.raises(OSError, match="directory"):
        fastrnn.save(fastrnn.Dense(2, 2), tmp_path)
    assert list(tmp_path.iterdir()) == []


def refused(path, words, error=ValueError):
    with pytest.raises(error, match=words):
        fastrnn.load(path)


def test_a_missing_file(path):
    refused(path, "No such file", FileNotFoundError)


def test_a_folder(tmp_path):
    refused(tmp_path, tmp_path.name, OSError)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04]\x94.", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"])
def test_other_files(path, content):
    path.write_bytes(content)
    refused(path, "is not a safetensors file, or is damaged|was not written by fastrnn")


def test_every_truncated_file(path):
    fastrnn.save(fastrnn.Dense(2, 2, seed=0), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        refused(path, "is not a safetensors file, or is damaged")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_other_programs_files(path, metadata):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros((2, 2))}, path, metadata)
    refused(path, "is a safetensors file, but was not written by fastrnn")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_version(path, version):
    fastrnn.save(fastrnn.Dense(2, 2, seed=0), path)
    rewrite(path, lambda record: record.update(format_version=version))
    refused(path, f"has format version {version!r}, and fastrnn {fastrnn.__version__} reads version 1")


DAMAGE = {
    "unknown class": lambda record: record.update({"class": "Popen"}),
    "unknown layer": lambda record: record["layers"]["output"].update({"class": "os.system"}),
    "missing layers": lambda record: record.pop("layers"),
    "missing layer": lambda record: record["layers"].pop("output"),
    "missing vocabulary": lambda record: record["fitted"].pop("vocabulary"),
    "unknown parameter": lambda record: record["params"].update(size=3),
    "unknown option": lambda record: record["layers"]["output"]["config"].update(size=3),
    "wrong size": lambda record: record["layers"]["output"]["config"].update(in_features=3),
    "no size": lambda record: record["layers"]["output"]["config"].update(in_features="many"),
    "no count": lambda record: record["layers"]["recurrent"].update(forward_count=None),
    "no array": lambda record: record["layers"].update(embedding=record["layers"]["recurrent"]),
    "no generator": lambda record: record["fitted"].update(random_state={"bit_generator": "Other"}),
    "no mapping": lambda record: record.update(layers=[]),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_description(path, what):
    fastrnn.save(fitted(), path)
    rewrite(path, DAMAGE[what])
    refused(path, "is damaged: ")


@pytest.mark.parametrize("description", ["", "{", "3", "[]", "null"])
def test_no_description(path, description):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros((2, 2))}, path, {"fastrnn": description})
    refused(path, "is damaged: ")


def test_the_table_of_classes_is_whole():
    assert list(serialization.LAYERS) == ["RNN", "LSTM", "GRU", "MinGRU", "MinLSTM", "Dense", "Embedding"]
    assert list(serialization.MODELS) == [
        "LanguageModel", "SequenceClassifier", "SequenceTagger", "SequenceRegressor", "EncoderDecoder",
    ]  # fmt: skip
