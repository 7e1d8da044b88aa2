"""The command line, called as a function and as a program: train, sample, demo, info, and errors in one line."""

import inspect
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import fields
from importlib import metadata

import pytest
from helpers import python

import fastrnn
from fastrnn import cli, cli_language, demo, optim
from fastrnn._toml import read_toml, write_toml
from fastrnn.models import LanguageModel
from fastrnn.train import Options

TEXT = "the cat sat on the mat.\nthe dog sat on the log.\n" * 10
TINY = ["--hidden-size", "8", "--layers", "1", "--epochs", "2", "--batch-size", "4", "--sequence-length", "8"]


def run(capsys, *arguments) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command."""
    try:
        code = cli.main([os.fspath(argument) for argument in arguments])
    except SystemExit as exit:
        code = exit.code
    written = capsys.readouterr()
    return code, written.out, written.err


def program(*arguments, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "fastrnn", *map(os.fspath, arguments)],
        env={**os.environ, **environment}, capture_output=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "saved.safetensors"
    fit = {"epochs": 1, "batch_size": 4, "sequence_length": 8, "verbose": 0}
    fastrnn.save(LanguageModel(hidden_size=8, num_layers=1, random_state=0).fit(TEXT, **fit), path)
    return path


def test_train_sample_info(text, tmp_path):
    model = tmp_path / "text.safetensors"
    trained = program("train", text, "-o", model, *TINY)
    assert (trained.returncode, trained.stderr) == (0, b"")
    lines = trained.stdout.decode().splitlines()
    assert lines[0] == "432 characters to train on, 48 held out"
    assert lines[1].split() == ["epoch", "training", "held", "out", "bits", "per", "character"]
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert lines[4] == f"saved {model}"

    sampled = program("sample", model, "--length", "20", "--prompt", "the ", "--seed", "3")
    assert (sampled.returncode, sampled.stderr) == (0, b"")
    assert sampled.stdout.decode() == "the " + fastrnn.load(model).sample(20, "the ", random_state=3) + "\n"

    info = program("info")
    cpu = fastrnn.cpu_info()
    assert (info.returncode, info.stderr) == (0, b"")
    for word in (fastrnn.__version__, f"used: {cpu['isa']}", *cpu["compiled"], *cpu["detected"], *cpu["dtypes"]):
        assert word in info.stdout.decode()


def test_a_training_can_be_repeated_from_its_configuration(text, tmp_path, capsys):
    one, two, three = (tmp_path / f"{name}.safetensors" for name in ("one", "two", "three"))
    options = ["--schedule", "step", "--clip-norm", "0", "--dropout", "0.25", "--layers", "2", "--averaging", "0.5"]
    assert run(capsys, "train", text, "-o", one, *TINY[:2], *TINY[4:], *options)[0] == 0
    assert run(capsys, "train", "--config", tmp_path / "one.toml", "-o", two)[0] == 0
    assert fastrnn.load(two).sample(50) == fastrnn.load(one).sample(50)
    assert fastrnn.load(two).history_ == fastrnn.load(one).history_
    assert (
        run(capsys, "train", "--config", tmp_path / "two.toml", "-o", three, "--epochs", "1", "--clip-norm", "1")[0]
        == 0
    )
    assert len(fastrnn.load(three).history_["loss"]) == 1
    first, last = (read_toml(tmp_path / f"{name}.toml") for name in ("one", "three"))
    assert first["fit"] | {"epochs": 1, "clip_norm": 1.0} == last["fit"]
    assert (first["model"], first["train"]) == (last["model"], [str(text)])


def test_a_refused_training_leaves_the_configuration_of_the_one_before(text, tmp_path, capsys):
    model, config = tmp_path / "m.safetensors", tmp_path / "m.toml"
    options = ["-o", model, *TINY[:2], *TINY[4:], "--checkpoint", tmp_path / "ck"]
    assert run(capsys, "train", text, *options, "--epochs", "1")[0] == 0
    before = config.read_bytes()
    assert run(capsys, "train", text, *options, "--epochs", "2")[0] == 1
    assert config.read_bytes() == before
    assert run(capsys, "train", config, "-o", model)[0] == 1  # the text is where the configuration would go
    assert run(capsys, "train", text, "-o", config)[0] == 1
    assert config.read_bytes() == before


def test_configurations_are_what_was_written(tmp_path):
    values = {
        "text": 'a "quoted" \\ line\n\x7f\t\U0001f600', "whole": -3, "real": 1e-5, "large": 1e300, "list": ["a", 1.5],
        "yes": True, "empty": [], "inner": {"name": "x", "deeper": {"y": 1.0}}, "last": {"z": False},
    }  # fmt: skip
    write_toml({**values, "nothing": None}, tmp_path / "c.toml", "a comment")
    assert read_toml(tmp_path / "c.toml") == values
    assert [type(v) for v in read_toml(tmp_path / "c.toml").values()] == [type(v) for v in values.values()]


def test_published_settings(text, tmp_path, capsys):
    """As the paper has them but for what is given; a perplexity for each epoch, in the end that of the test text."""
    valid, test, model = tmp_path / "valid.txt", tmp_path / "test.txt", tmp_path / "words.safetensors"
    valid.write_text(TEXT[:200])
    test.write_text(TEXT[100:])
    arguments = ["--level", "word", "--preset", "zaremba-small", "--train", text, "--valid", valid, "--test", test]
    small = ["--hidden-size", "8", "--embedding", "8", "--epochs", "3", "--batch-size", "3"]
    code, out, err = run(capsys, "train", *arguments, *small, "--validation-batch-size", "2", "-o", model)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["epoch", "training", "validation", "perplexity"]
    loaded = fastrnn.load(model)
    for k, (number, *losses) in enumerate(lines[1:4]):
        assert int(number) == k + 1
        assert [float(loss) for loss in losses] == [
            pytest.approx(math.exp(loaded.history_[name][k]), abs=1e-3) for name in ("loss", "validation_loss")
        ]
    assert lines[5] == ["test", "perplexity", f"{loaded.perplexity(test):.3f}", str(test)]
    assert loaded.init == 0.1 and loaded.recurrent_.init == 0.1
    config = read_toml(tmp_path / "words.toml")
    assert (config["fit"]["schedule"], config["fit"]["reduction"]) == (
        {"name": "step", "by": 0.5, "after": 5},
        "time_sum",
    )
    assert (config["fit"]["clip_norm"], config["fit"]["sequence_length"], config["fit"]["learning_rate"]) == (5, 20, 1)


def test_resume(text, tmp_path, capsys, monkeypatch):
    step, made = optim.Adam.step, []

    def lost(self, grads):
        if len(made) == 20:
            raise OSError("the machine was lost")
        made.append(self)
        step(self, grads)

    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    assert run(capsys, "train", text, "-o", whole, *TINY)[0] == 0
    wrong(capsys, "is of a training without checkpoints: start it with --checkpoint FOLDER", "resume", whole)
    options = ["--checkpoint", tmp_path / "kept", "--checkpoint-every", "3"]
    with monkeypatch.context() as patch:
        patch.setattr(optim.Adam, "step", lost)
        wrong(capsys, "the machine was lost", "train", text, "-o", broken, *TINY, *options)
    assert not broken.exists()
    wrong(capsys, "holds checkpoints of another training", "train", text, "-o", broken, *TINY, *options)
    code, out, err = run(capsys, "resume", broken)
    assert (code, err, out.splitlines()[-1]) == (0, "", f"saved {broken}")
    assert fastrnn.load(broken).history_ == fastrnn.load(whole).history_
    assert fastrnn.load(broken).sample(40) == fastrnn.load(whole).sample(40)
    text.write_text(TEXT.replace("dog", "cow"))
    wrong(capsys, "is of a training on other data", "resume", broken)


def test_evaluate(saved, text, capsys):
    model = fastrnn.load(saved)
    code, out, err = run(capsys, "evaluate", saved, text, "--batch-size", "2")
    loss = -model.score(TEXT, 2)
    assert (code, err) == (0, "")
    figures = f"loss {loss:.4f}  perplexity {math.exp(loss):.4f}  bits per character {loss / math.log(2):.4f}"
    assert out == f"{figures}  {text}\n"


def test_json(text, saved, tmp_path, capsys):
    def read(*arguments):
        code, out, err = run(capsys, *arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)

    path, model = tmp_path / "m.safetensors", fastrnn.load(saved)
    trained = read("train", text, "-o", path, *TINY, "--test", text)
    assert trained["history"] == fastrnn.load(path).history_
    assert trained["test"][str(text)]["loss"] == -fastrnn.load(path).score(TEXT)
    assert (trained["model"], trained["config"]) == (str(path), str(tmp_path / "m.toml"))
    assert read("evaluate", saved, text) == {
        str(text): {
            "loss": -model.score(TEXT), "perplexity": model.perplexity(TEXT),
            "bits_per_character": model.bits_per_character(TEXT),
        }
    }  # fmt: skip
    sampled = read("sample", saved, "--count", "3", "--length", "9", "--prompt", "the", "--seed", "4")
    assert sampled == {"prompt": "the", "texts": model.generate(9, ["the"] * 3, random_state=4), "seed": 4}
    assert read("info")["isa"] == fastrnn.cpu_info()["isa"]


def test_samples_of_words(text, tmp_path, capsys):
    path = tmp_path / "words.safetensors"
    assert run(capsys, "train", text, "-o", path, *TINY, "--level", "word")[0] == 0
    arguments = [
        "--prompt",
        "the cat",
        "--length",
        "4",
        "--top-p",
        "0.9",
        "--stop",
        "log.",
        "--count",
        "2",
        "--seed",
        "1",
    ]
    expected = fastrnn.load(path).generate(4, ["the cat"] * 2, random_state=1, top_p=0.9, stop="log.")
    assert run(capsys, "sample", path, *arguments)[1] == "".join(f"the cat {written}\n" for written in expected)


def test_the_program_is_installed():
    (program,) = metadata.entry_points(group="console_scripts", name="fastrnn")
    assert program.load() is cli.main


def test_info_loads_little():
    code = "import sys, fastrnn.cli; fastrnn.cli.main(['info']); print('modules', *sys.modules)"
    modules = python(code).stdout.partition("modules ")[2].split()
    assert "fastrnn.cli" in modules
    assert not {"tqdm", "safetensors", "fastrnn.models", "fastrnn.layers"} & set(modules)


def test_training_is_the_models_own(text, tmp_path, capsys):
    options = {
        "--cell": "gru", "--hidden-size": 9, "--layers": 2, "--embedding": 3, "--dropout": 0.25, "--epochs": 2,
        "--batch-size": 5, "--sequence-length": 7, "--optimizer": "rmsprop", "--learning-rate": 0.01,
        "--schedule": "cosine", "--clip-norm": 0.5, "--held-out": 0.2, "--seed": 2**63,
    }  # fmt: skip
    path = tmp_path / "model"
    arguments = [str(part) for option in options.items() for part in option]
    assert run(capsys, "train", text, "-o", path, *arguments)[0] == 0
    expected = LanguageModel(
        cell="gru", hidden_size=9, num_layers=2, embedding_size=3, dropout=0.25, random_state=2**63
    ).fit(
        TEXT[:384], TEXT[384:], epochs=2, batch_size=5, sequence_length=7, optimizer="rmsprop", learning_rate=0.01,
        schedule="cosine", clip_norm=0.5, verbose=0,
    )  # fmt: skip
    model = fastrnn.load(path)
    assert model.get_params() == expected.get_params()
    assert model.history_ == expected.history_
    assert model.sample(20) == expected.sample(20)


def test_defaults_are_those_of_the_model():
    options = {"random_state": 0}  # a run from the command line can always be repeated
    for function, table in ((LanguageModel, cli_language.MODEL_OPTIONS), (LanguageModel.fit, cli_language.FIT_OPTIONS)):
        signature = inspect.signature(function).parameters
        others = {field.name: field.default for field in fields(Options)}
        defaults = {name: p.default for name, p in signature.items()} | options
        assert {one.name: one.default for one in table} == {
            one.name: defaults.get(one.name, others.get(one.name)) for one in table
        }
        assert set(signature) - {one.name for one in table} <= {
            "self", "text", "validation", "context", "verbose", "training"
        }  # fmt: skip
    arguments = vars(cli.make_parser().parse_args(["sample", "x"]))
    shared = {k: p.default for k, p in inspect.signature(LanguageModel.sample).parameters.items() if k in arguments}
    assert shared == {
        name: arguments[name] for name in ("prompt", "temperature", "top_k", "top_p", "stop", "length")
    } | {"length": inspect.Parameter.empty}


def test_choices_are_those_of_the_model():
    from fastrnn.models._language_layers import CELLS
    from fastrnn.models.presets import PRESETS
    from fastrnn.train.options import OPTIMIZERS
    from fastrnn.train.schedules import SCHEDULES

    for option, choices in (
        ("--cell", CELLS),
        ("--optimizer", OPTIMIZERS),
        ("--schedule", SCHEDULES),
        ("--preset", PRESETS),
    ):
        for choice in choices:
            cli.make_parser().parse_args(["train", "x", option, choice])


def test_no_clipping_and_nothing_held_out(text, tmp_path, capsys, monkeypatch):
    seen = []

    def fit(self, *arguments, **options):
        seen.append((arguments, options))
        self.history_ = {"loss": []}

    monkeypatch.setattr(LanguageModel, "fit", fit)
    assert run(capsys, "train", text, "--held-out", "0", "--clip-norm", "0", "-o", tmp_path / "m")[0] == 0
    assert seen[0][0] == (text, None)
    assert seen[0][1]["clip_norm"] is None


def test_each_file_is_held_out_at_its_end(tmp_path, capsys):
    (tmp_path / "a").write_text("abcdefghij", encoding="utf-8-sig")  # the mark is no character of the text
    (tmp_path / "b").write_bytes("0123456789ÄÖÜß\r\n".encode())
    assert cli_language.read_texts([tmp_path / "a", tmp_path / "b"], 0.2, "char") == ("abcdefgh0123456789ÄÖ", "ijÜß\n")
    assert cli_language.read_texts([tmp_path / "b", tmp_path / "a"], 0, "char") == ("0123456789ÄÖÜß\nabcdefghij", "")
    assert cli_language.read_texts([tmp_path / "a"], 0, "char") == (tmp_path / "a", "")
    (tmp_path / "c").write_text("two words")
    assert cli_language.read_texts([tmp_path / "c"] * 2, 0, "word") == ("two words two words", " ")


def test_samples(saved, capsys):
    def sampled(*options):
        code, out, err = run(capsys, "sample", saved, "--length", "30", *options)
        assert (code, err) == (0, "")
        return out

    model = fastrnn.load(saved)
    assert sampled("--seed", "1") == sampled("--seed", "1") == model.sample(30, random_state=1) + "\n"
    assert sampled() != sampled()
    assert sampled("--temperature", "0") == model.sample(30, temperature=0) + "\n"
    assert sampled("--top-k", "2", "--temperature", "2", "--seed", "1") == (
        model.sample(30, temperature=2, top_k=2, random_state=1) + "\n"
    )


def test_a_terminal_that_cannot_show_a_character(saved):
    alpha = "\N{GREEK SMALL LETTER ALPHA}"
    done = program("sample", saved, "--prompt", alpha, "--length", "1", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"\\u03b1")


@pytest.mark.skipif(os.name != "posix", reason="uses a POSIX pipe")
def test_a_reader_that_has_seen_enough(saved):
    command = [sys.executable, "-m", "fastrnn.cli", "sample", os.fspath(saved), "--length", "3000", "--seed", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("command", [[], ["train"], ["resume"], ["sample"], ["evaluate"], ["demo"], ["info"]])
def test_help(command, capsys):
    code, out, err = run(capsys, *command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: {' '.join(['fastrnn', *command])}")
    assert "examples:" in out or command in (["demo"], ["info"])


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"fastrnn {fastrnn.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["dance"], ["train"], ["sample"], ["info", "more"], ["train", "x", "--cell", "mlp"],
        ["train", "x", "--epochs", "0"], ["train", "x", "--hidden-size", "big"], ["train", "x", "--held-out", "1"],
        ["train", "x", "--dropout", "-0.1"], ["train", "x", "--learning-rate", "0"], ["train", "x", "--seed", "-1"],
        ["train", "x", "--clip-norm", "nan"], ["sample", "x", "--temperature", "-1"], ["sample", "x", "--top-k", "0"],
        ["sample", "x", "--seed", str(2**64)],
    ],
)  # fmt: skip
def test_wrong_usage(arguments, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "fastrnn" in err.splitlines()[-1] and "error: " in err.splitlines()[-1]


def wrong(capsys, words, *arguments):
    code, _, err = run(capsys, *arguments)
    assert code == 1
    assert err.startswith("fastrnn: ") and err.count("\n") == 1
    assert words in err


def test_errors_are_one_line(text, saved, tmp_path, capsys):
    absent, bytes_, empty, layer = (tmp_path / name for name in ("absent", "bytes", "empty", "layer"))
    bytes_.write_bytes(b"abc\xff")
    empty.write_bytes(b"")
    fastrnn.save(fastrnn.Dense(2, 2), layer)
    wrong(capsys, f"{absent}: No such file", "train", absent)
    wrong(capsys, f"{bytes_} is not UTF-8 text: invalid start byte at byte 3", "train", bytes_)
    wrong(capsys, f"{empty} must have text, got none", "train", empty, "-o", tmp_path / "m")
    for option in ("--valid", "--test"):  # before anything is trained
        begin = "train", text, "-o", tmp_path / "m", option
        wrong(capsys, f"{bytes_} is not UTF-8 text: invalid start byte", *begin, bytes_)
        wrong(capsys, f"{empty} must have at least 2 characters, got 0", *begin, empty)
        wrong(capsys, f"{empty} must have at least 2 words, got 0", *begin, empty, "--level", "word")
    wrong(capsys, f"{bytes_} is not UTF-8 text", "evaluate", saved, text, bytes_)
    (tmp_path / "abc").write_text("abc")
    begin = "evaluate", saved, text, tmp_path / "abc"
    wrong(capsys, f"{tmp_path / 'abc'} must have at least 4 characters, got 3", *begin, "--batch-size", "3")
    wrong(capsys, f"{tmp_path / 'no'}: no such folder", "train", text, "-o", tmp_path / "no" / "m")
    wrong(capsys, f"{tmp_path}: is a folder", "train", text, "-o", tmp_path)
    wrong(capsys, f"{text} is one of the texts", "train", text, *TINY, "-o", text)
    assert text.read_text() == TEXT
    wrong(capsys, "dropout acts between layers", "train", text, "-o", tmp_path / "m", *TINY, "--dropout", "0.5")
    wrong(capsys, f"{absent}: No such file", "sample", absent)
    wrong(capsys, f"{text} is not a safetensors file", "sample", text)
    wrong(capsys, f"{layer} holds a layer, Dense", "sample", layer)
    assert not (tmp_path / "m").exists()


def test_an_option_that_a_preset_does_not_go_with(text, tmp_path, capsys):
    begin = "train", text, "-o", tmp_path / "m", *TINY
    wrong(
        capsys, "--preset char-rnn sets optimizer_options={'alpha': 0.95, 'eps': 1e-08} for --optimizer rmsprop, which "
        "--optimizer adam does not take", *begin, "--preset", "char-rnn", "--optimizer", "adam",
    )  # fmt: skip
    wrong(
        capsys, "--preset char-rnn sets forget_bias=1.0 for --cell lstm, which --cell gru does not take", *begin,
        "--preset", "char-rnn", "--cell", "gru",
    )  # fmt: skip
    assert not (tmp_path / "m").exists()
    small = "--validation-batch-size", "1"
    assert run(capsys, *begin, "--preset", "char-rnn", "--optimizer", "rmsprop", *small)[0] == 0
    wrong(
        capsys, f"--config {tmp_path / 'm.toml'} sets optimizer_options=", "train", "--config", tmp_path / "m.toml",
        "--optimizer", "sgd",
    )  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [("FASTRNN_ISA", "avx9"), ("FASTRNN_NUM_THREADS", "some")])
def test_a_wrong_environment_is_one_line(name, value, tmp_path):
    """Of the program as it is installed, and of the module."""
    installed = tmp_path / "fastrnn"
    installed.write_text("import sys\nfrom fastrnn.cli import main\nsys.exit(main())\n")
    for command in ([installed], ["-m", "fastrnn"]):
        done = subprocess.run(
            [sys.executable, *command, "info"], env={**os.environ, name: value}, capture_output=True, check=False
        )
        said = done.stderr.decode()
        assert done.returncode == 1 and said.count("\n") == 1
        assert said.startswith(f"fastrnn: {name} must be ") and value in said


def test_a_diverged_training_is_an_error(text, tmp_path, capsys):
    options = [*TINY, "--optimizer", "sgd", "--learning-rate", "1e300"]
    wrong(capsys, "training diverged", "train", text, "-o", tmp_path / "m", *options)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(("updates", "epochs"), [(3, 0), (20, 1)])
def test_ctrl_c(updates, epochs, text, tmp_path, capsys, monkeypatch):
    step, made = optim.Adam.step, []

    def interrupted(self, grads):
        step(self, grads)
        made.append(self)
        if len(made) == updates:
            raise KeyboardInterrupt

    monkeypatch.setattr(optim.Adam, "step", interrupted)
    code, out, err = run(capsys, "train", text, "-o", tmp_path / "m", *TINY)  # 14 updates in an epoch
    assert code == 130
    assert err.startswith("fastrnn: training was interrupted in epoch ") and err.count("\n") == 1
    assert (tmp_path / "m").exists() is (f"saved {tmp_path / 'm'}" in out) is (epochs > 0)
    assert epochs == 0 or len(fastrnn.load(tmp_path / "m").history_["loss"]) == epochs


def test_demo(capsys, monkeypatch):
    monkeypatch.setattr(demo, "SIZE", 1000)
    code, out, err = run(capsys, "demo")
    assert (code, err) == (0, "")
    assert "of Python's standard library" in out
    assert "bits per held-out character" in out
    for name in ("trigrams", "LSTM"):
        assert 0 < float(re.search(rf"^  .*{name} +([\d.]+)$", out, re.MULTILINE)[1]) < 8


def test_the_demo_reads_modules_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "SIZE", 100)
    (tmp_path / "b.py").write_text("b" * 40)
    (tmp_path / "a.py").write_text("a" * 60)
    (tmp_path / "c.py").write_text("c" * 60)
    (tmp_path / "aa.py").write_bytes(b"\xff" * 60)
    assert demo.sources(tmp_path) == ("a" * 57 + "b" * 38, "a" * 3 + "b" * 2, 2)


def test_a_python_without_sources(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(demo.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path / "python.zip")})
    wrong(capsys, "train on a text of your own instead: fastrnn train FILE", "demo")
