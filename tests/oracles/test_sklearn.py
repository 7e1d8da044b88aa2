"""The models inside scikit-learn: cloned, searched, cross-validated, and at the end of a pipeline."""

import numpy as np
import pytest
from helpers import oracle

from fastrnn.models import EncoderDecoder, SequenceClassifier, SequenceRegressor, SequenceTagger

oracle("sklearn")
from sklearn import base, metrics, model_selection, pipeline, preprocessing  # noqa: E402 - after it is known to be there
from sklearn.utils.validation import check_is_fitted  # noqa: E402

RNG = np.random.default_rng(0)
X = [RNG.normal(size=(RNG.integers(3, 8), 2)) for _ in range(60)]
LABELS = np.array(["up" if x[:, 0].sum() > 0 else "down" for x in X])
SUMS = np.array([x[:, 0].sum() for x in X])
FIT = {"epochs": 15, "learning_rate": 0.02, "verbose": 0}


def classifier(**params) -> SequenceClassifier:
    return SequenceClassifier(hidden_size=8, random_state=0, **params)


@pytest.mark.parametrize("cls", [SequenceClassifier, SequenceTagger, SequenceRegressor, EncoderDecoder])
def test_clones_and_tags(cls):
    model = cls(hidden_size=7, dropout=0.25)
    twin = base.clone(model)
    assert type(twin) is cls and twin.get_params() == model.get_params()
    assert base.is_classifier(model) is (cls is SequenceClassifier)
    assert base.is_regressor(model) is (cls is SequenceRegressor)
    with pytest.raises(ValueError, match="not fitted yet"):
        model.predict(X)


def test_cross_validation():
    """The same folds by hand."""
    scores = model_selection.cross_val_score(classifier(), X, LABELS, cv=3, params=FIT)
    folds = model_selection.StratifiedKFold(3).split(X, LABELS)
    expected = [
        classifier().fit([X[n] for n in train], LABELS[train], **FIT).score([X[n] for n in test], LABELS[test])
        for train, test in folds
    ]
    assert scores.tolist() == expected
    regressor = SequenceRegressor(hidden_size=8, random_state=0)
    assert model_selection.cross_val_score(regressor, X, SUMS, cv=2, params=FIT).mean() > 0.5


def test_search():
    search = model_selection.GridSearchCV(classifier(), {"cell": ["lstm", "gru"], "hidden_size": [4, 8]}, cv=2)
    search.fit(X, LABELS, **FIT)
    assert set(search.best_params_) == {"cell", "hidden_size"}
    assert search.best_estimator_.predict(X).shape == (60,)


def test_pipeline():
    halves = preprocessing.FunctionTransformer(lambda rows: [row / 2 for row in rows])
    steps = pipeline.make_pipeline(halves, classifier(standardize=False))
    steps.fit(X, LABELS, **{f"sequenceclassifier__{name}": value for name, value in FIT.items()})
    alone = classifier(standardize=False).fit([x / 2 for x in X], LABELS, **FIT)
    assert steps.score(X, LABELS) == alone.score([x / 2 for x in X], LABELS)
    check_is_fitted(steps)
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(classifier())


def test_scores_equal_scikit_learns():
    model = classifier().fit(X, LABELS, **FIT)
    assert model.score(X, LABELS) == metrics.accuracy_score(LABELS, model.predict(X))
    targets = np.stack([SUMS, 0 * SUMS + 3, SUMS**2], axis=1)
    regressor = SequenceRegressor(hidden_size=8, random_state=0).fit(X, targets, **FIT)
    assert abs(regressor.score(X, targets) - metrics.r2_score(targets, regressor.predict(X))) < 1e-12
