"""Figures; they need matplotlib, which `pip install 'fastrnn[plot]'` brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrnn.diagnostics import GradientFlow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gradient_flow", "history"]

DEPTH = 1e-16  # of the largest norm; what is smaller is lost in the rounding of any sum it enters
LINES = {"loss": "-", "validation_loss": "--"}
DOTTED = 60  # points in a line at most that are marked; a line of one point would not be seen


def gradient_flow(flows: GradientFlow | Mapping[str, GradientFlow]) -> Figure:
    """Draw ‖∂L/∂h⟨t⟩‖ over the steps on a log scale, a panel for each flow, side by side on one scale.

    A panel has a line for each layer and direction, the reverse ones dashed. A norm of zero, or one below 10⁻¹⁶ of the
    largest, is not drawn.

    Parameters
    ----------
    flows : GradientFlow or dict
        What `diagnostics.gradient_flow` returned, or several, {title: flow}.

    Returns
    -------
    matplotlib.figure.Figure
        Of its own, no window's: ``figure.savefig("flow.svg")`` writes it, a notebook shows it.

    Raises
    ------
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastrnn, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((8, 50, 3), dtype="float32")
    >>> layers = {"RNN": fastrnn.RNN(3, 16), "GRU": fastrnn.GRU(3, 16), "LSTM": fastrnn.LSTM(3, 16)}
    >>> flows = {name: fastrnn.diagnostics.gradient_flow(layer, x) for name, layer in layers.items()}
    >>> figure = fastrnn.plot.gradient_flow(flows)
    >>> [axes.get_title() for axes in figure.axes]
    ['RNN', 'GRU', 'LSTM']
    """
    new_figure = figure_class()
    panels = {"": flows} if isinstance(flows, GradientFlow) else dict(flows)
    if not panels or not all(isinstance(flow, GradientFlow) for flow in panels.values()):
        raise TypeError(f"flows must be a GradientFlow or a dict of them, got {flows!r}")
    largest = max(flow.norms.max() for flow in panels.values()) or 1.0
    figure = new_figure(figsize=(1 + 3 * len(panels), 3.2), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, flow) in zip(row, panels.items(), strict=True):
        for name, norms in zip(flow.names, flow.norms, strict=True):
            drawn = np.where(norms > DEPTH * largest, norms, np.nan)
            axes.plot(drawn, "--" if name.endswith("_reverse") else "-", label=name)
        axes.set(title=title, xlabel="step t", yscale="log", xlim=(0, max(flow.norms.shape[1] - 1, 1)))
        axes.set_ylim(DEPTH * largest, 10 * largest)
        axes.grid(alpha=0.3)
        if len(flow.names) > 1:
            axes.legend()
    row[0].set_ylabel(r"$\Vert \partial L / \partial h_t \Vert$")
    return figure


def history(histories: Any, *, unit: str = "epoch") -> Figure:
    """Draw the losses of a training, or of several in one panel, a colour for each: validation losses are dashed.

    Parameters
    ----------
    histories : model, dict or dict of them
        A fitted model, or its `history_`; or several of either, {name: model}.
    unit : str
        What the losses were noted after: an epoch by `fit`, an update by `partial_fit`.

    Returns
    -------
    matplotlib.figure.Figure
        Of its own, no window's; ``figure.axes[0]`` takes a log scale, a baseline and whatever else.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    TypeError, ValueError
        There is something else, or no loss, in `histories`.

    Examples
    --------
    >>> import fastrnn
    >>> models = {cell: fastrnn.models.LanguageModel(cell=cell, random_state=0) for cell in ("gru", "lstm")}
    >>> for model in models.values():
    ...     model = model.fit("to be or not to be. " * 20, "to be!", epochs=2, verbose=0)
    >>> figure = fastrnn.plot.history(models)
    >>> [line.get_label() for line in figure.axes[0].get_lines()]
    ['gru', 'gru, validation', 'lstm', 'lstm, validation']
    """
    new_figure = figure_class()
    found = losses_of(histories)
    panel = new_figure(figsize=(6, 3.6), layout="constrained")
    axes = panel.subplots()
    for number, (name, losses) in enumerate(found.items()):
        for kind, style in LINES.items():
            values = losses.get(kind, [])
            what = "validation" if kind == "validation_loss" else "" if name else "training"
            if values:
                axes.plot(
                    range(1, len(values) + 1), values, style, color=f"C{number}",
                    marker="." if len(values) <= DOTTED else "", label=", ".join(filter(None, (name, what))),
                )  # fmt: skip
    axes.set(xlabel=unit, ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend()
    return panel


def losses_of(histories: Any) -> dict[str, Mapping[str, Sequence[float]]]:
    """Return what each of the models has in its `history_`, {name: history}; a single one has no name."""
    one = getattr(histories, "history_", histories)
    several = {"": one} if isinstance(one, Mapping) and "loss" in one else one
    if not isinstance(several, Mapping) or not several:
        raise TypeError(f"histories must be a fitted model, its history_ or a dict of them, got {histories!r}")
    found = {name: getattr(value, "history_", value) for name, value in several.items()}
    for name, history in found.items():
        if not isinstance(history, Mapping) or "loss" not in history:
            raise TypeError(f"histories must hold fitted models or their history_, got {history!r} at {name!r}")
        if not history["loss"]:
            raise ValueError(f"histories must hold at least one loss each, got {dict(history)!r}")
    return found


def figure_class() -> type[Figure]:
    """Return matplotlib's figure, or say how to install it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("figures need matplotlib: pip install 'fastrnn[plot]'") from error
    return Figure
