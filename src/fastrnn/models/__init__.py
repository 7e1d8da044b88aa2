"""Models: layers, a loss and a training loop behind scikit-learn's `fit` and `score`."""

from fastrnn.models.language import LanguageModel
from fastrnn.models.ngram import TrigramModel

__all__ = ["LanguageModel", "TrigramModel"]
