"""Training: the loop that all models share, and its progress bar."""

from fastrnn.train.loop import train

__all__ = ["train"]
