"""The benchmark that is installed: its libraries agree, its report is whole, and what became slower is found."""

import json
import subprocess
import sys

import pytest
from helpers import python

from fastrnn.bench import compare, limit, machine, peers

SMALL = """
from fastrnn.bench import use_threads
use_threads(1)
import sys
from fastrnn.bench import measure, peers, quick
measure.ROUNDS, measure.SAMPLE = 2, 1e-5
rows = [(kind, peers.Point(cell, 4, 2, 1 if kind == "step" else 3))
        for kind in ("forward", "train", "step") for cell in ("rnn", "lstm", "gru")]
"""


def report(code: str) -> subprocess.CompletedProcess:
    return python(SMALL + code)


def test_a_small_run(tmp_path):
    path, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    done = report(f"""
peers.RUNNERS = {{name: peers.RUNNERS[name] for name in ("fastrnn", "reference")}}
peers.Jax.modules, peers.RUNNERS["jax"] = ("no_such_library",), peers.Jax
peers.RUNNERS["torch"] = type("Twin", (peers.Reference,), {{}})  # which is always there
quick.run(print, {str(path)!r}, {str(plot)!r}, rows, 1e-4)
""")
    assert done.returncode == 0, done.stderr
    assert "not installed: jax" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    table = [line for line in lines if line and line[0] in ("inference", "training", "one")]
    assert len(table) == 9
    assert table[0][:5] == ["inference", "RNN", "4", "2", "3"]
    written = json.loads(path.read_text())
    assert written["absent"] == ["jax"] and written["machine"]["fma_peak"] > 0
    assert [row["kind"] for row in written["rows"]] == ["forward"] * 3 + ["train"] * 3 + ["step"] * 3
    assert all(row["seconds"]["fastrnn"] > 0 and row["rounds"] >= 2 for row in written["rows"])
    assert all(list(row["ratios"]) == ["torch"] for row in written["rows"])
    assert "geometric mean of the 9 rows with torch" in done.stdout
    assert "GRU 4, 2, 3" in plot.read_text() or plot.stat().st_size > 5_000  # text may be drawn as curves


def test_the_grid_is_small_and_whole():
    done = report("print(*[f'{kind} {point}' for kind, point in quick.tasks()], sep='\\n')")
    rows = done.stdout.splitlines()
    assert len(rows) == len(set(rows)) == 30, done.stderr
    assert {row.split()[0] for row in rows} == {"forward", "train", "step"}
    assert {row.split()[1] for row in rows} == {"rnn", "lstm", "gru"}


def test_absent_libraries_are_named_and_left_out():
    """Whatever is installed, a peer that cannot be imported is neither run nor counted."""
    done = report("""
for runner in (peers.Torch, peers.OnnxRuntime, peers.Jax):
    runner.modules = ("no_such_library",)
print(quick.run(print, None, None, rows[:1], 1e-4)["rows"][0]["ratios"])
""")
    assert "not installed: torch, torch cells, onnxruntime, jax" in done.stdout, done.stderr
    assert done.stdout.endswith("{}\n")


def test_nothing_is_timed_before_results_agree():
    done = report("""
class Wrong(peers.Reference):
    def forward(self):
        y, state = super().forward()
        return y + 1e-3, state
peers.RUNNERS = {"fastrnn": peers.Engine, "wrong": Wrong}
measure.interleave = None
try:
    quick.run(print, None, None, rows, 1e-4)
except ValueError as error:
    print(error)
""")
    assert "y of wrong differs from fastrnn's by" in done.stdout, done.stderr


def test_a_plot_needs_matplotlib():
    done = report("""
sys.modules["matplotlib"] = sys.modules["matplotlib.figure"] = None
measure.interleave = None
try:
    quick.run(print, None, "plot.svg", rows, 1e-4)
except ImportError as error:
    print(error)
""")
    assert done.stdout == "figures need matplotlib: pip install 'fastrnn[plot]'\n", done.stderr


def test_two_threads_beside_one():
    """fastrnn's own call on one thread takes part, and the share is of two cores."""
    done = report("""
import fastrnn
threads = []
class Watched(peers.Engine):
    def forward(self):
        threads.append(fastrnn.get_num_threads())
        return super().forward()
peers.RUNNERS = {"fastrnn": Watched, "reference": peers.Reference}
point = peers.Point("rnn", 64, 8, 3)
calls, repeats, _ = measure.checked_calls(peers.Problem(point, 2), "forward")
threads.clear()
measure.WARM = 0
measure.interleave(calls, dict.fromkeys(calls, 1), 0, 2)
print(*threads)
row = measure.measure(point, "forward", peers.Problem(point, 2), 0)
print(row["threads"], *row["ratios"], abs(row["share"] * 2 * row["peak"] / row["rate"] - 1) < 0.1)
""")
    # two rounds, the order turned around, and before each sample a call that is not timed
    assert done.stdout == "2 2 1 1 1 1 2 2\n2 one thread True\n", done.stderr


@pytest.mark.parametrize(
    ("kind", "N", "threads", "nanoseconds"),
    [
        ("forward", 1, 1, 20.48 + 3 * 20.48 + 42),  # the weights, 1 KB at 50 GB/s, are read four times
        ("forward", 1, 2, 10.24 + 3 * 10.24 + 21),
        ("forward", 32, 1, 491.52 + 3 * 163.84 + 1344),  # 512 operations for each row at 100 GFLOP/s
        ("train", 32, 1, 4 * 491.52 + 6 * 163.84 + 1344),
    ],
)
def test_the_limit(monkeypatch, kind, N, threads, nanoseconds):
    monkeypatch.setattr(machine, "read_rate", lambda nbytes: 50.0)
    monkeypatch.setattr(machine, "activation_cost", {"sigmoid": 0.25, "tanh": 0.5}.get)
    point = peers.Point("lstm", 8, N, 3)
    assert limit.limit(point, kind, 100.0, threads) == pytest.approx(nanoseconds * 1e-9)
    assert limit.limit(point, "update", 100.0, threads) is None


def test_a_loop_of_cells_is_timed_where_it_is_short():
    assert peers.takes_part("torch cells", "train", peers.Point("lstm", 8, 1, 1))
    assert not peers.takes_part("torch cells", "train", peers.Point("lstm", 8, 1, 32))
    assert peers.takes_part("torch cells", "step", peers.Point("lstm", 8, 1, 32))
    assert not peers.takes_part("onnxruntime", "train", peers.Point("lstm", 8, 1, 1))


def test_what_was_measured_of_the_machine():
    assert 0 < machine.activation_cost("tanh") < 100
    assert machine.read_rate(4 << 10) > 1


def row(kind="forward", cell="lstm", H=64, N=1, T=32, **ratios) -> dict:
    return {"kind": kind, "cell": cell, "H": H, "N": N, "T": T, "ratios": ratios}


BASELINE = [row(torch=2.0, onnxruntime=1.2), row(N=32, torch=1.5), row("train", "gru", torch=3.0, reference=80.0)]


def compared(tmp_path, capsys, new: list, baseline: list = BASELINE) -> tuple[int, str]:
    paths = []
    for name, rows in (("baseline", baseline), ("new", new)):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps({"machine": {}, "rows": rows}))
    code = compare.main([str(path) for path in paths])
    return code, capsys.readouterr().out


def test_no_change_is_no_regression(tmp_path, capsys):
    code, said = compared(tmp_path, capsys, BASELINE)
    assert (code, said) == (0, "4 ratios compared, 0 fell by more than 15 %; all together +0.0%\n")


def test_noise_is_no_regression(tmp_path, capsys):
    new = [row(torch=1.71, onnxruntime=1.1), row(N=32, torch=1.3), row("train", "gru", torch=4.0, reference=10.0)]
    assert compared(tmp_path, capsys, new)[0] == 0


@pytest.mark.parametrize("place", range(4))
def test_a_planted_regression_is_found(place, tmp_path, capsys):
    a, b, c, d = (value * (0.84 if k == place else 1) for k, value in enumerate((2.0, 1.2, 1.5, 3.0)))
    new = [row("train", "gru", torch=d), row(N=32, torch=c), row(torch=a, onnxruntime=b)]
    code, said = compared(tmp_path, capsys, new)
    assert code == 1
    assert said.count("slower by 16%") == 1
    wanted = ("forward lstm H=64   N=1   T=32  x torch", "x onnxruntime", "N=32  T=32  x torch", "train   gru")[place]
    assert wanted in said.splitlines()[0]
    assert "4 ratios compared, 1 fell" in said


def test_what_is_missing_is_named(tmp_path, capsys):
    code, said = compared(tmp_path, capsys, [row(torch=2.0)])
    assert code == 0
    assert said.count("not measured again") == 3
    assert "1 ratios compared" in said


def test_two_threads_are_not_compared_with_one(tmp_path, capsys):
    two = {**row(torch=1.0), "threads": 2}
    code, said = compared(tmp_path, capsys, [row(torch=2.0), two], [row(torch=2.0), two])
    assert (code, said[:17]) == (0, "2 ratios compared")
    code, said = compared(tmp_path, capsys, [row(torch=2.0)], [two])
    assert code == 1 and "T=32  2 threads  x torch" in said


def test_nothing_in_common_fails(tmp_path, capsys):
    code, said = compared(tmp_path, capsys, [row(H=65, torch=2.0)])
    assert code == 1
    assert "no row and peer in common" in said


@pytest.mark.parametrize("text", ["no json", "[]", '{"rows": 1}', '{"rows": [{"kind": "forward"}]}'])
def test_other_files_are_refused(text, tmp_path, capsys):
    (tmp_path / "wrong.json").write_text(text)
    with pytest.raises(SystemExit) as exit:
        compare.main([str(tmp_path / "wrong.json")] * 2)
    assert exit.value.code == 2


def test_the_module_is_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "fastrnn", "bench", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "about two minutes" in done.stdout and "--plot" in done.stdout
