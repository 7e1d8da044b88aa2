from typing import Any

api: object
MAX_THREADS: int

def get_num_threads() -> int: ...
def set_num_threads(num_threads: int) -> None: ...

paces: dict[tuple[float, ...], Pace]
TRIED_AGAIN: float
TRIAL: int
SHAPES: int

class Pace:
    def shares(self) -> bool: ...
    def record(self, shared: bool, seconds: float) -> None: ...

def pace_of(shape: tuple[float, ...]) -> Pace: ...
def exercise(
    threads: int, phases: int, tasks: int, *, work: int = 0, nested: bool = False, wake: bool = True
) -> dict[str, Any]: ...
