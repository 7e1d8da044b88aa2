"""Training: the loop that all models share, its schedules, averages, checkpoints and progress bar."""

from fastrnn.train.averaging import Average
from fastrnn.train.loop import Interrupted, Task, Update, train
from fastrnn.train.options import Epoch, Options
from fastrnn.train.schedules import Constant, Cosine, Linear, Moment, Plateau, Schedule, Step, Warmup

__all__ = [
    "Average", "Constant", "Cosine", "Epoch", "Interrupted", "Linear", "Moment", "Options", "Plateau", "Schedule",
    "Step", "Task", "Update", "Warmup", "train",
]  # fmt: skip
