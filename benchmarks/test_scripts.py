"""The scripts of this folder, on small problems and on the results that are kept."""

from math import sqrt
from pathlib import Path

import cliff
import minimal
import options
import pytest
import ragged
import roofline
import targets
from document import publish
from table import markdown, read

from fastrnn.bench import measure

RESULTS = sorted((Path(__file__).parent / "results").glob("*.json"))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a script with as little timing as possible, and return what it prints."""
    monkeypatch.setattr(measure, "SAMPLE", 1e-5)
    monkeypatch.setattr(measure, "ROUNDS", 2)

    def printed(script, *words):
        monkeypatch.setattr("sys.argv", [script.__name__, "--seconds", "0", *words])
        script.main()
        return capsys.readouterr().out.splitlines()

    return printed


def test_cliff(run):
    said = run(cliff, "--H", "3", "--N", "4", "--T", "2")
    assert [line.split(" | ")[0] for line in said[4:6]] == ["| H 3 → 4, N 4", "| N 4 → 5, H 3"]
    assert len(said[4].split("|")) == 9 and "of 12 cost at most 1.3" in said[-1]


def test_ragged(run):
    said = run(ragged, "--H", "3", "--N", "4", "--T", "5")
    assert [line.split(" | ")[:3] for line in said[4:]] == [[f"| {cell}", "3", "4"] for cell in ("RNN", "LSTM", "GRU")]


def test_option(run, monkeypatch):
    monkeypatch.setattr(options, "OPTIONS", options.OPTIONS[:1])
    assert run(options)[4].startswith("| `LSTM(peephole=True)` | `LSTM` | Gers and Schmidhuber 2000 | ")


def test_minimal(run, monkeypatch):
    monkeypatch.setattr(minimal, "SIZES", [minimal.Size(3, 2, 5, 4), minimal.Size(3, 2, 5, 4, ids=True)])
    said = run(minimal)
    assert [line.split(" | ")[0] for line in said[4:]] == ["| H 3, N 2, T 5, I 4", "| H 3, N 2, T 5, ids"]
    assert len(said[4].split("|")) == 9


def test_tables_of_the_results():
    lines = markdown(read(RESULTS))
    assert "### Machine" in lines and "### Targets" in lines
    assert sum(line.startswith("| LSTM | 1024 | 8 | 32 |") for line in lines) == 2


def row(**changed):
    return {
        **{"kind": "forward", "cell": "lstm", "H": 128, "N": 32, "T": 32, "threads": 1},
        "seconds": {"fastrnn": 2e-3, measure.ALONE: 3e-3},
        "ratios": {"torch": 2.0, "onnxruntime": 1.5, measure.ALONE: 1.5, "reference": 0.1},
        **{"rate": 90.0, "peak": 100.0, "share": 0.9, "of_limit": 0.9, "share_of_core": 1.0},
        **changed,
    }


def test_targets():
    few = {"fastrnn": 1e-4, measure.ALONE: 1.1e-4}
    rows = [row(of_limit=0.96), row(ratios={"torch": 8.0}), row(threads=2), row(threads=2, seconds=few)]
    lines = {cells[0]: cells[1:] for cells in (targets.line(target, rows) for target in targets.TARGETS)}
    of_limit = "inference, N ≥ 16, T ≥ 32, H ≥ 128: share of limit"
    assert lines[of_limit] == ["0.92", "**1 of 2**", "0.93", "0.90 (LSTM 128, 32, 32)"]
    mean = lines["inference, one thread, geometric mean: × the fastest peer"]
    assert mean[:3] == ["1.50", "yes, 2 rows", f"{sqrt(1.5 * 8):.2f}"]
    assert lines["inference, two threads, geometric mean: × the fastest peer"][1] == "yes, 2 rows"
    assert lines["two threads, calls ≥ 1 ms in steps ≥ 6 µs: × one thread"][1] == "**0 of 1**"
    assert lines["training, one thread, geometric mean: × the fastest peer"][1] == "not measured"


def test_two_threads_have_a_table():
    lines = markdown([{**read(RESULTS[:1])[0], "rows": [row(), row(threads=2)]}])
    head = lines[lines.index("### Inference, 2 threads") + 2].split(" | ")
    assert head[6:11] == ["of peak", "of limit", "× torch", "× onnxruntime", "× one thread"]


def test_roofline(tmp_path):
    path = tmp_path / "roofline.png"
    roofline.draw(read([path for path in RESULTS if path.stem == "one-thread"])).savefig(path)
    assert 10_000 < path.stat().st_size < 80_000


def test_a_document_needs_its_marks(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("above\n<!-- it: begin -->\nold\n<!-- it: end -->\nbelow\n")
    publish(["new"], "it", path)
    assert path.read_text() == "above\n<!-- it: begin -->\n\nnew\n\n<!-- it: end -->\nbelow\n"
    with pytest.raises(SystemExit, match="has no <!-- other: begin -->"):
        publish(["new"], "other", path)
