"""The commands classify and forecast: what they learn, save and print, and errors in one line."""

import csv
import json

import numpy as np
import pytest
from helpers import assert_close

import fastrnn
from fastrnn import cli, cli_sequences, optim
from fastrnn._toml import read_toml
from fastrnn.models import LanguageModel, SequenceClassifier, SequenceRegressor

RNG = np.random.default_rng(0)
TEXTS = ["".join(RNG.choice(list("ab"), RNG.integers(2, 6))) + ending for ending in "xy" for _ in range(60)]
LABELS = ["ex" if text.endswith("x") else "why" for text in TEXTS]
SERIES = np.sin(0.4 * np.arange(120))
LEARN = ["--epochs", "10", "--hidden-size", "16", "--learning-rate", "0.02"]


def run(capsys, *arguments) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as exit:
        code = exit.code
    written = capsys.readouterr()
    return code, written.out, written.err


def write(path, rows, delimiter=","):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.fixture
def texts(tmp_path):
    rows = [("id", "text", "label"), *((n, *pair) for n, pair in enumerate(zip(TEXTS, LABELS, strict=True)))]
    return write(tmp_path / "texts.csv", rows)


@pytest.fixture
def series(tmp_path):
    rows = [("day", "wave", "other"), *((f"{n}.", f"{x:.6f}", f"{2 * x + 5:.6f}") for n, x in enumerate(SERIES))]
    rows = [rows[0], *((f"day {row[0]}", *row[1:]) for row in rows[1:])]
    return write(tmp_path / "series.tsv", rows, "\t")


def test_classify(capsys, texts, tmp_path):
    model = tmp_path / "m.safetensors"
    code, out, err = run(capsys, "classify", texts, "--text", "text", "-o", model, *LEARN)
    assert (code, err) == (0, "")
    assert out == f"100.0% of 12 held-out rows right, after training on 108\nsaved {model}\n"
    new = write(tmp_path / "new.csv", [("text",), ("abax",), ("bay",), ("ay",)])
    assert run(capsys, "classify", new, "--model", model) == (0, "ex\nwhy\nwhy\n", "")
    code, out, _ = run(capsys, "classify", new, "--model", model, "--json")
    assert json.loads(out) == {"labels": ["ex", "why", "why"]}


def test_classify_is_what_the_model_does(capsys, texts, tmp_path):
    """The held-out rows are drawn by the seed, and nothing of them is trained on."""
    out = tmp_path / "m"
    options = ["--text", "text", "--bidirectional", "--pooling", "max", "--held-out", "0.25", "--seed", "3"]
    code, printed, _ = run(capsys, "classify", texts, "-o", out, "--json", "--epochs", "2", *options)
    result = json.loads(printed)
    order = np.random.default_rng(3).permutation(120)
    test, train = order[:30], order[30:]
    model = SequenceClassifier("lstm", 128, bidirectional=True, pooling="max", random_state=3)
    X, y = [TEXTS[n] for n in train], [LABELS[n] for n in train]
    held_out = [TEXTS[n] for n in test], [LABELS[n] for n in test]
    model.fit(X, y, validation=held_out, epochs=2, verbose=0)
    assert code == 0 and result["accuracy"] == model.score(*held_out)
    assert result["history"] == model.history_ and result["classes"] == ["ex", "why"]
    assert fastrnn.load(out).predict(TEXTS).tolist() == model.predict(TEXTS).tolist()


def test_classify_arrays(capsys, tmp_path):
    X, lengths = RNG.normal(size=(40, 6, 2)), RNG.integers(1, 7, 40)
    X[np.arange(6) >= lengths[:, None]] = np.nan
    y = (np.nansum(X[..., 0], axis=1) > 0).astype(int)
    path, model = tmp_path / "x.npz", tmp_path / "m"
    np.savez(path, X=X, y=y, lengths=lengths)
    code, out, _ = run(capsys, "classify", path, "-o", model, "--held-out", "0", *LEARN)
    assert (code, out) == (0, f"saved {model}\n")
    code, out, _ = run(capsys, "classify", path, "--model", model)
    assert list(map(int, out.split())) == fastrnn.load(model).predict(X, lengths).tolist()


def test_forecast(capsys, series, tmp_path):
    path = tmp_path / "m"
    options = ["--steps", "5", "--epochs", "60", "--hidden-size", "16", "--sequence-length", "40"]
    code, out, err = run(capsys, "forecast", series, "-o", path, *options)
    rows = list(csv.reader(out.splitlines()))
    assert code == 0 and rows[0] == ["wave", "other"] and len(rows) == 6
    true = np.sin(0.4 * np.arange(120, 125))
    assert np.abs(np.array(rows[1:], float) - np.stack([true, 2 * true + 5], axis=1)).max() < 0.5
    assert err.startswith("fastrnn: root mean square error over the 5 held-out rows: wave 0.")
    model, table = fastrnn.load(path), np.round(np.stack([SERIES, 2 * SERIES + 5], axis=1), 6)
    twin = SequenceRegressor("gru", 16, pooling=None, random_state=0)
    twin.fit([table[:-5]], epochs=60, batch_size=8, sequence_length=40, learning_rate=0.01, verbose=0)
    assert_close(twin.forecast([table], 5), model.forecast([table], 5), 1e-4)  # the last rows were not trained on
    code, out, err = run(capsys, "forecast", series, "--model", path, "--steps", "2", "--json")
    wanted = model.forecast([table], 2)[0]
    assert (code, err) == (0, "")
    assert json.loads(out) == {"forecast": {"wave": wanted[:, 0].tolist(), "other": wanted[:, 1].tolist()}}


def test_a_model_reads_the_columns_of_its_training(capsys, series, texts, tmp_path):
    """By their names, in whatever order, among whatever others; an array has none, and is taken as it comes."""
    path, options = tmp_path / "m", ["--steps", "2", "--model", tmp_path / "m", "--json"]
    assert run(capsys, "forecast", series, "-o", path, "--steps", "5", "--epochs", "2", "--hidden-size", "4")[0] == 0
    expected = run(capsys, "forecast", series, *options)
    table = np.round(np.stack([SERIES, 2 * SERIES + 5], axis=1), 6)
    new = write(tmp_path / "new.csv", [("other", "more", "wave"), *((b, 7, a) for a, b in table)])
    assert run(capsys, "forecast", new, *options) == expected
    assert run(capsys, "forecast", new, *options, "--columns", "other", "wave") == expected
    np.save(tmp_path / "s.npy", table)
    wave, other = json.loads(expected[1])["forecast"].values()
    found = json.loads(run(capsys, "forecast", tmp_path / "s.npy", *options)[1])
    assert found["forecast"] == {"column 1": wave, "column 2": other}
    less = write(tmp_path / "less.csv", [("other", "load"), *((b, a) for a, b in table)])
    for arguments, message in (
        ([less], "less.csv has no column 'wave'; it has other, load"),
        ([new, "--columns", "other"], "--columns must be wave other, as in training, got other"),
    ):
        code, out, err = run(capsys, "forecast", *arguments, *options)
        assert (code, out, err.count("\n")) == (1, "", 1) and message in err
    assert run(capsys, "classify", texts, "--text", "text", "-o", path, *LEARN)[0] == 0
    shifted = write(tmp_path / "shifted.csv", [("id", "text"), (1, "abax"), (2, "bay")])
    assert run(capsys, "classify", shifted, "--model", path) == (0, "ex\nwhy\n", "")
    renamed = write(tmp_path / "renamed.csv", [("id", "name"), (1, "abax"), (2, "bay")])
    assert "has no column 'text'; it has id, name" in run(capsys, "classify", renamed, "--model", path)[2]
    assert run(capsys, "classify", renamed, "--model", path, "--text", "name")[1] == "ex\nwhy\n"


def test_a_rare_label_is_trained_on(capsys, tmp_path):
    """Nothing that training does not know is held out, whatever the draw."""
    labels = [*"aabbaabb", "rare", "once"]
    path = write(tmp_path / "t.csv", [("text", "label"), *((f"{label}{n}", label) for n, label in enumerate(labels))])
    options = ["--held-out", "0.5", "--epochs", "1", "--hidden-size", "2", "-o", tmp_path / "m", "--json"]
    for seed in range(8):
        code, out, err = run(capsys, "classify", path, "--seed", seed, *options)
        assert (code, err) == (0, "") and json.loads(out)["classes"] == ["a", "b", "once", "rare"]
        rows, others = cli_sequences.split(labels, 0.5, seed)
        assert sorted([*rows, *others]) == list(range(10)) and {"rare", "once"}.isdisjoint(labels[n] for n in others)


def test_forecast_one_column(capsys, series, tmp_path):
    np.save(tmp_path / "s.npy", np.round(SERIES, 6))
    options = ["--steps", "3", "--epochs", "2", "--hidden-size", "4", "--json"]
    results = []
    for arguments in ([series, "--columns", "wave"], [tmp_path / "s.npy"]):
        code, out, err = run(capsys, "forecast", *arguments, *options)
        assert (code, err) == (0, "")
        results.append(json.loads(out))
    assert results[0]["forecast"]["wave"] == results[1]["forecast"]["column 1"]
    assert results[0]["held_out_error"] == results[1]["held_out_error"]


def commands(texts, series) -> dict[str, list]:
    small = ["--hidden-size", "8", "--batch-size", "16"]
    return {
        "classify": ["classify", texts, "--text", "text", "--pooling", "mean", "--epochs", "3", *small],
        "forecast": ["forecast", series, "--steps", "4", "--columns", "wave", "--epochs", "9", *small],
    }


@pytest.mark.parametrize("command", ["classify", "forecast"])
def test_a_training_can_be_repeated_from_its_configuration(command, capsys, texts, series, tmp_path):
    one, two, three = (tmp_path / f"{name}.safetensors" for name in ("one", "two", "three"))
    first = run(capsys, *commands(texts, series)[command], "-o", one, "--dropout", "0.25")
    assert run(capsys, command, "--config", tmp_path / "one.toml", "-o", two)[1] == first[1].replace("one", "two")
    assert one.read_bytes() == two.read_bytes()
    assert run(capsys, command, "--config", tmp_path / "two.toml", "-o", three, "--epochs", "1")[0] == 0
    before, after = (read_toml(tmp_path / f"{name}.toml") for name in ("one", "three"))
    assert before | {"output": str(three), "fit": before["fit"] | {"epochs": 1}} == after
    assert (before["command"], before["model"]["dropout"]) == (command, 0.25)
    again = run(capsys, command, "--config", tmp_path / "one.toml", "--model", one)  # the file and the columns alone
    assert again[0] == 0 and len(again[1].splitlines()) == (120 if command == "classify" else 5)


@pytest.mark.parametrize("command", ["classify", "forecast"])
def test_resume(command, capsys, texts, series, tmp_path, monkeypatch):
    """What is printed and saved after an interruption has the bits of a training that had none."""
    step, made, arguments = optim.Adam.step, [], commands(texts, series)[command]

    def lost(self, grads):
        if len(made) == 8:
            raise OSError("the machine was lost")
        made.append(self)
        step(self, grads)

    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    printed = run(capsys, *arguments, "-o", whole)
    assert printed[0] == 0
    kept = ["--checkpoint", tmp_path / "kept", "--checkpoint-every", "3"]
    with monkeypatch.context() as patch:
        patch.setattr(optim.Adam, "step", lost)
        assert run(capsys, *arguments, "-o", broken, *kept) == (1, "", "fastrnn: the machine was lost\n")
    assert not broken.exists()
    assert run(capsys, "resume", broken) == (0, printed[1].replace("whole", "broken"), printed[2])
    assert broken.read_bytes() == whole.read_bytes()
    moved = tmp_path / "moved"
    moved.mkdir()
    (tmp_path / "broken.toml").rename(moved / "broken.toml")
    monkeypatch.chdir(moved)  # with the model goes what stands beside it
    assert run(capsys, "resume", "broken.safetensors")[0] == 0
    assert [path.read_bytes() for path in moved.glob("*.safetensors")] == [whole.read_bytes()]


EDITED = {
    "file = 3": "file: expected a file, got 3",
    "file = ['x']": "file: expected a file, got ['x']",
    "fiel = 'x'": "must have some of columns, command, file, fit, model, output, steps, got fiel",
    "output = 5": "output: expected a string, got 5",
    "steps = -3": "steps: expected an integer of at least 1, got '-3'",
    "steps = '3'": "steps: expected a number, got '3'",
    "columns = 'load'": "columns: expected a list, got 'load'",
    "columns = [1]": "columns: expected a string, got 1",
    "model = 3": "model: expected a table, got 3",
    "model = { cell = 'cnn' }": "cell: expected lstm, gru, rnn, mingru, minlstm, got 'cnn'",
    "model = { dropout = true }": "dropout: expected a number from 0 to below 1, got 'True'",
    "fit = { epochs = 'a' }": "epochs: expected an integer of at least 1, got 'a'",
    "fit = { epoch = 3 }": "fit has no argument 'epoch'",
}


@pytest.mark.parametrize("line", EDITED)
def test_edited_configurations(line, capsys, series, tmp_path):
    path = tmp_path / "edited.toml"
    path.write_text(f"command = 'forecast'\n{line}")
    code, out, err = run(capsys, "resume", path)
    assert (code, out, err.count("\n")) == (1, "", 1)
    data = [] if line.startswith("file") else [series]
    code, out, err = run(capsys, "forecast", *data, "--steps", "2", "--config", path)
    assert (code, out, err.count("\n")) == (1, "", 1) and EDITED[line] in err
    assert "fit has" in err or err.startswith(f"fastrnn: {path}")


def test_edited_configurations_of_texts(capsys, tmp_path):
    path = tmp_path / "edited.toml"
    path.write_text("train = 't.txt'")
    wrong = run(capsys, "train", "--config", path)
    assert wrong == (1, "", f"fastrnn: {path}: train: expected a list of files, got 't.txt'\n")
    path.write_text("train = ['t.txt']\nmodel = { tied = 1 }")
    wrong = run(capsys, "train", "--config", path)
    assert wrong == (1, "", f"fastrnn: {path}: tied: expected true or false, got 1\n")


def test_ids_that_are_held_out_alone(capsys, tmp_path):
    """The vocabulary is that of the whole file."""
    X = RNG.integers(0, 5, (40, 6))
    X[np.random.default_rng(0).permutation(40)[0], 2] = 77  # the first row that is held out
    np.savez(tmp_path / "x.npz", X=X, y=X[:, 0] > 2)
    assert run(capsys, "classify", tmp_path / "x.npz", "-o", tmp_path / "m", *LEARN)[0] == 0
    assert fastrnn.load(tmp_path / "m").layers["recurrent"].input_size == 78
    config = tmp_path / "m.toml"
    config.write_text(config.read_text().replace("[model]", "[model]\nmax_vocab = 90"))  # others are to come
    assert run(capsys, "classify", "--config", config)[0] == 0
    assert fastrnn.load(tmp_path / "m").layers["recurrent"].input_size == 90


@pytest.mark.parametrize("given", [["--hidden-size", "8"], ["-o", "labels.txt"], ["--held-out", "0.2"]])
def test_options_of_a_training_are_no_options_of_a_model(given, capsys, texts, tmp_path):
    code, out, err = run(capsys, "classify", texts, "--model", tmp_path / "m", *given)
    assert (code, out) == (2, "") and "is of a training, which --model has had" in err.splitlines()[-1]


def test_errors_are_one_line(capsys, texts, series, tmp_path):
    short = write(tmp_path / "short.csv", [("a", "b"), ("1",)])
    alone = write(tmp_path / "alone.csv", [("a",), ("1",)])
    letters = write(tmp_path / "letters.csv", [("a",), ("x",)])
    twice = write(tmp_path / "twice.csv", [("a", "a"), ("1", "2")])
    uneven, cut, empty = tmp_path / "uneven.npz", tmp_path / "cut.npz", tmp_path / "empty.npy"
    config, strange, poor = (tmp_path / f"{name}.toml" for name in "csp")
    config.write_text(f"file = '{texts}'")
    strange.write_text("command = 'dance'\nfit = { checkpoint = 'x' }")
    poor.write_text("command = 'forecast'\nfile = 'x'\noutput = 'y'\nfit = { checkpoint = 'x' }")
    gap = write(tmp_path / "gap.csv", [("a", "b"), ("1", "x"), ("", "y"), ("3", " ")])
    hole, low = tmp_path / "hole.npz", tmp_path / "low.npz"
    np.savez(hole, X=np.where(np.arange(40)[:, None] == 7, np.nan, np.ones((40, 3))), y=np.arange(40) % 2)
    np.savez(low, X=np.full((40, 3), -1), y=np.arange(40) % 2)
    np.savez(uneven, X=np.zeros((2, 3)), y=[1])
    twofold, nameless = tmp_path / "twofold.npz", tmp_path / "nameless.npz"
    np.savez(twofold, X=np.zeros((2, 3)), y=[[1], [2]])
    with open(nameless, "wb") as file:
        np.save(file, np.zeros((2, 3)))
    cut.write_bytes(uneven.read_bytes()[:100])
    empty.touch()
    lm = tmp_path / "lm"
    fit = {"epochs": 1, "batch_size": 2, "sequence_length": 8, "verbose": 0}
    fastrnn.save(LanguageModel(hidden_size=4, num_layers=1, random_state=0).fit("abc" * 20, **fit), lm)
    cases = [
        (["classify", tmp_path / "none.csv"], "No such file"),
        (["classify", short], "must have 2 cells in every row, got 1 in row 2"),
        (["classify", alone], "must have a column of texts and one of labels"),
        (["classify", texts, "--label", "kind"], "has no column 'kind'; it has id, text, label"),
        (["classify", tmp_path / "x.txt"], "must be a .csv, .tsv or .npz"),
        (["forecast", tmp_path / "x.npz", "--steps", "1"], "must be a .csv, .tsv or .npy"),
        (["classify", twice], "must have different names in its header line, got a, a"),
        (["classify", uneven], "must have one of y for each row of X, got (1,) and (2, 3)"),
        (["classify", twofold], "must have one of y for each row of X, got (2, 1) and (2, 3)"),
        (["classify", nameless], "must have an array X, got one without a name"),
        (["classify", cut], "cut.npz is damaged, or no file of NumPy's with plain arrays"),
        (["forecast", empty, "--steps", "1"], "empty.npy is damaged"),
        (["forecast", series, "--steps", "1", "--columns", "load", "load"], "--columns must be different ones"),
        (["classify", texts, "-o", texts], "give the model another name"),
        (["classify", texts, "--model", lm], "must hold a SequenceClassifier, got a LanguageModel"),
        (["forecast", letters, "--steps", "1"], "has no column of numbers"),
        (["forecast", series, "--steps", "1", "--columns", "day"], "must hold numbers in the column day, got 'day 0.'"),
        (["forecast", series, "--steps", "119"], "must have more than 120 rows, got 120"),
        (["forecast", series, "--steps", "1", "--model", lm], "must hold a SequenceRegressor"),
        (["classify", gap], "gap.csv must have a label in every row, got none in row 4"),
        (["classify", hole], "hole.npz must hold finite numbers, got nan in row 7, step 0"),
        (["classify", low], "low.npz must hold ids from 0, got -1"),
        (["classify", low, "--text", "a"], "--text is of tables, and "),
        (["forecast", gap, "--steps", "1"], "numbers in the column a, got '' in row 3; --columns takes others"),
        (["forecast", empty, "--steps", "1", "--columns", "a"], "--columns is of tables"),
        (["classify", "--config", config], "c.toml must be of fastrnn classify, got one of fastrnn train"),
        (["train", "--config", strange], "s.toml must be of fastrnn train, got one of fastrnn dance"),
        (["resume", tmp_path / "s"], "s.toml must be of train, classify, forecast, got 'dance'"),
        (["resume", tmp_path / "p"], "p.toml must have file, steps, output, and lacks steps"),
        (["classify", texts, "-o", config], "c.toml is where the configuration goes"),
        (["forecast", series, "--steps", "1", "--checkpoint", tmp_path], "checkpoints need a model's name, -o MODEL"),
    ]
    for arguments, message in cases:
        code, out, err = run(capsys, *arguments)
        assert (code, out, err.count("\n")) == (1, "", 1), arguments
        assert err.startswith("fastrnn: ") and message in err
    for arguments in (["forecast", series], ["forecast", "--steps", "1"], ["classify"]):
        assert run(capsys, *arguments)[0] == 2


def test_help_teaches(capsys):
    for command in ("classify", "forecast"):
        code, out, _ = run(capsys, command, "--help")
        assert code == 0 and "examples:" in out and "--model MODEL" in out
