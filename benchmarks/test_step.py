"""One time step, called from Python with a state."""

KIND = "step"


def test_step(time_call, library, point):
    time_call(library, point, KIND)
