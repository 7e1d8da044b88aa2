"""A training step: forward, backward, the gradients of the input and of every parameter."""

KIND = "train"


def test_training(time_call, library, point):
    time_call(library, point, KIND)
