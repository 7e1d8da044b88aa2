"""Read dates in ten formats and write them as 2031-07-04: an encoder-decoder over characters.

The dates of the test are days that training has seen in no format.
"""

from __future__ import annotations

import argparse
import datetime
import time

import numpy as np

from fastrnn.models import EncoderDecoder

FIRST, DAYS = datetime.date(1970, 1, 1), 36525  # a hundred years


def forms(day: datetime.date) -> list[str]:
    """Return a date in ten formats."""
    name, short = day.strftime("%B"), day.strftime("%b")
    d, m, y, weekday = day.day, day.month, day.year, day.strftime("%A")
    ending = {1: "st", 2: "nd", 3: "rd"}.get(d % 10 if d // 10 != 1 else 0, "th")
    return [
        f"{d} {name} {y}", f"{d} {short} {y}", f"{name} {d}, {y}", f"{short} {d}, {y}", f"{weekday}, {d} {name} {y}",
        f"{weekday.lower()} {name.lower()} {d}{ending} {y}", f"{d:02}.{m:02}.{y}", f"{m}/{d}/{y}", f"{y}{m:02}{d:02}",
        f"the {d}{ending} of {name}, {y}",
    ]  # fmt: skip


def pairs(days: np.ndarray) -> tuple[list[str], list[str]]:
    """Return all forms of some days, numbered from the first one, and how each is to be written."""
    dates = [FIRST + datetime.timedelta(int(day)) for day in days for _ in range(10)]
    return [forms(date)[k % 10] for k, date in enumerate(dates)], [date.isoformat() for date in dates]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=2000, help="to train on, each in ten formats (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="default %(default)s")
    parser.add_argument("--cell", default="gru", help="default %(default)s")
    parser.add_argument("--hidden-size", type=int, default=128, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = parser.parse_args()

    days = np.random.default_rng(arguments.seed).permutation(DAYS)
    X, y = pairs(days[: arguments.days])
    X_test, y_test = pairs(days[-300:])
    model = EncoderDecoder(cell=arguments.cell, hidden_size=arguments.hidden_size, random_state=arguments.seed)
    start = time.perf_counter()
    model.fit(
        X, y, validation=(X_test[:500], y_test[:500]), epochs=arguments.epochs, batch_size=64,
        learning_rate=arguments.learning_rate, verbose=2,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(f"trained on {len(X)} dates for {seconds:.0f} s; {X_test[5]} -> {model.predict(X_test[5:6])[0]}")
    for width in (1, 4):
        print(f"beam of {width}: {model.score(X_test, y_test, beam_width=width):.2%} of {len(X_test)} new dates right")


if __name__ == "__main__":
    main()
