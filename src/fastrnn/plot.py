"""Figures; they need matplotlib, which `pip install 'fastrnn[plot]'` brings along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fastrnn.diagnostics import GradientFlow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gradient_flow"]

DEPTH = 1e-16  # of the largest norm; what is smaller is lost in the rounding of any sum it enters


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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("figures need matplotlib: pip install 'fastrnn[plot]'") from error
    panels = {"": flows} if isinstance(flows, GradientFlow) else dict(flows)
    if not panels or not all(isinstance(flow, GradientFlow) for flow in panels.values()):
        raise TypeError(f"flows must be a GradientFlow or a dict of them, got {flows!r}")
    largest = max(flow.norms.max() for flow in panels.values()) or 1.0
    figure = Figure(figsize=(1 + 3 * len(panels), 3.2), layout="constrained")
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
