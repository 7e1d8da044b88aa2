"""Models: layers, a loss and a training loop behind scikit-learn's `fit` and `score`."""

from fastrnn.models.classifier import SequenceClassifier
from fastrnn.models.encoder_decoder import EncoderDecoder
from fastrnn.models.language import LanguageModel
from fastrnn.models.ngram import TrigramModel
from fastrnn.models.regressor import SequenceRegressor
from fastrnn.models.tagger import SequenceTagger
from fastrnn.models.vocabulary import Vocabulary

__all__ = [
    "EncoderDecoder", "LanguageModel", "SequenceClassifier", "SequenceRegressor", "SequenceTagger", "TrigramModel",
    "Vocabulary",
]  # fmt: skip
