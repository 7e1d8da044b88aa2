"""What every model has: scikit-learn's handling of parameters, and layers by name once it is fitted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrnn.layers._module import Layer, check_size


class NotFittedError(ValueError, AttributeError):
    """A model is asked for what only `fit` gives it."""


class Model:
    """The base of the models: the constructor stores its arguments and does nothing else; `fit` checks them.

    What `fit` learned stands in attributes whose names end in an underscore.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments, {name: value}; `deep` is taken for scikit-learn's sake."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Any:
        """Change some of the constructor's arguments, for the next `fit`, and return the model.

        A fitted model predicts, forecasts and is saved as before; what says how to train (dropout, penalties, losses)
        counts for `partial_fit` too.
        """
        known = inspect.signature(type(self)).parameters
        for name in params:
            if name not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers, {name: layer}, from the input to the output."""
        raise AssertionError("every model defines layers")

    def _get_fitted(self) -> dict[str, Any]:
        """Return what `fit` learned besides the layers, in the terms of JSON."""
        raise AssertionError("every model defines _get_fitted")

    def _set_fitted(self, layers: Mapping[str, Any], fitted: Mapping[str, Any]) -> None:
        """Take what `layers` and `_get_fitted` gave."""
        raise AssertionError("every model defines _set_fitted")

    def _check_fitted(self) -> None:
        if not hasattr(self, "history_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit first")

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = {k: value for k, value in self.get_params().items() if value != defaults[k].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def generator(random_state: int | None) -> np.random.Generator:
    """Return the random generator of a seed, or one of fresh entropy."""
    return np.random.default_rng(None if random_state is None else check_size(random_state, "random_state", least=0))
