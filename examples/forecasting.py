"""Forecast a series: hourly numbers with the shape of a day, a drifting level and noise, made here.

The model learns to predict the next hour from all hours before it, and forecasts two days by taking its predictions
for input. It is compared with yesterday's numbers (the seasonal naive forecast) and with the noise, below which nobody
gets.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from fastrnn.models import SequenceRegressor

NOISE = 3.0


def hourly(hours: int, rng: np.random.Generator) -> np.ndarray:
    """Return a series (hours,)."""
    t = np.arange(hours)
    day = 20 * np.sin(2 * np.pi * t / 24) + 8 * np.sin(4 * np.pi * t / 24 + 1)
    level = 100 + np.cumsum(rng.normal(0, 0.15, hours))
    return level + day + rng.normal(0, NOISE, hours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=500, help="to train on (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=60, help="default %(default)s")
    parser.add_argument("--hidden-size", type=int, default=64, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=1e-2, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    cut, ahead, past = arguments.days * 24, 48, 7 * 24
    series = hourly(cut + 250 * 24, rng)
    model = SequenceRegressor("gru", arguments.hidden_size, pooling=None, random_state=arguments.seed)
    start = time.perf_counter()
    model.fit(
        [series[:cut]], epochs=arguments.epochs, batch_size=4, sequence_length=past,
        learning_rate=arguments.learning_rate, verbose=2,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    origins = range(cut + past, len(series) - ahead, 31)  # all hours of the day, none of them trained on
    true = np.stack([series[k : k + ahead] for k in origins])
    forecast = model.forecast([series[k - past : k] for k in origins], ahead)
    naive = np.stack([np.tile(series[k - 24 : k], ahead // 24) for k in origins])
    errors = {"forecast": forecast, "yesterday": naive, "mean of training": np.full_like(true, series[:cut].mean())}
    print(f"trained for {seconds:.0f} s; root mean square error over {ahead} hours from {len(true)} starts:")
    for name, predicted in errors.items():
        print(f"{name:>17} {np.sqrt(np.mean((predicted - true) ** 2)):6.2f}")
    print(f"{'noise alone':>17} {NOISE:6.2f}")


if __name__ == "__main__":
    main()
