"""Inference over whole sequences."""

KIND = "forward"


def test_forward(time_call, library, point):
    time_call(library, point, KIND)
