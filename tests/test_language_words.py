"""Language models of words, of files and of parts; dropout, penalties, drawing, partial training."""

import copy
import pickle

import numpy as np
import pytest
from helpers import assert_close, assert_same_bits

import fastrnn
from fastrnn.models import LanguageModel, _text
from fastrnn.models._drawing import draw
from fastrnn.models._text import Text
from fastrnn.models.vocabulary import Vocabulary

TEXT = "the cat sat on the mat .\nthe dog sat on the log .\n" * 12
OTHER = " the bird sat on the <unk> . \n the dog sat . \n"
SMALL = {"level": "word", "hidden_size": 10, "num_layers": 1, "embedding_size": 6, "random_state": 0}
QUICK = {"epochs": 2, "batch_size": 3, "sequence_length": 7, "verbose": 0}


def fitted(text=TEXT, validation=None, fit=QUICK, **params) -> LanguageModel:
    return LanguageModel(**{**SMALL, **params}).fit(text, validation, **fit)


def parameters(model) -> dict[str, np.ndarray]:
    return {f"{name}.{key}": value for name, layer in model.layers.items() for key, value in layer.state_dict().items()}


def vocabulary_and_ids(given, level):
    with Text(given, "text", level) as text:
        vocabulary = Vocabulary.of(text.pieces(), level)
        return vocabulary, text.encode(vocabulary)


# vocabularies and texts


def test_words():
    words = Vocabulary.of(["b a\n a <unk> c\n", "c a"], "word")
    assert list(words) == ["a", "<eos>", "c", "b"]
    assert (words.size, words.unknown, len(words)) == (5, 4, 4)
    assert words.encode(" a  b\tz <unk>\n\nc").tolist() == [0, 3, 4, 4, 1, 1, 2]
    assert words.decode(words.encode("a b z\nc\n")) == "a b <unk>\nc\n"
    assert words.decode([]) == "" == words.decode(words.encode(""))
    assert list(Vocabulary.of(["b a\n a <unk> c\n"], "word", 2)) == ["<eos>", "a"]
    assert "a" in words and "z" not in words and words == Vocabulary(list(words), "word") != Vocabulary(list(words))


def test_characters():
    characters = Vocabulary.of(["cab", "ba", "a\n"], max_size=3)
    assert list(characters) == ["a", "b", "\n"]
    assert characters.encode("abc\n").tolist() == [0, 1, 3, 2]
    assert characters.decode([0, 3, 1, 2]) == "a\ufffdb\n"


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("block", [1, 5, 1000])
def test_a_text_is_the_same_however_it_comes(level, block, tmp_path, monkeypatch):
    monkeypatch.setattr(_text, "BLOCK", block)
    text = "the cät  sat\non the mat, the\n\n\U0001f600 longer\n"
    path = tmp_path / "text"
    path.write_text(text, "utf-8-sig")  # the mark is no character of the text
    expected_vocabulary, expected = vocabulary_and_ids(text, level)
    parts = text.splitlines(keepends=True) if level == "word" else text
    for given in (path, [text[:7], "", text[7:20], text[20:]], iter(parts)):
        vocabulary, ids = vocabulary_and_ids(given, level)
        assert vocabulary == expected_vocabulary
        assert ids.tolist() == expected.tolist()
    assert isinstance(vocabulary_and_ids(path, level)[1], np.memmap)


def test_training_on_files_and_parts(tmp_path):
    path, other = tmp_path / "text", tmp_path / "other"
    path.write_text(TEXT)
    other.write_text(OTHER)
    model, twin = fitted(TEXT, OTHER), fitted(path, other)
    assert_same_bits(parameters(twin), parameters(model))
    assert twin.history_ == model.history_
    assert twin.score(other) == model.score(OTHER) == model.score(OTHER.split(" "))
    assert_same_bits(parameters(fitted(word for word in TEXT.replace("\n", " \n ").split(" "))), parameters(model))


def test_a_part_ends_its_last_word():
    vocabulary, ids = vocabulary_and_ids(["the cat", "the dog"], "word")
    assert vocabulary.decode(ids) == "the cat the dog"
    assert list(vocabulary_and_ids(["ab", "c"], "char")[0]) == ["a", "b", "c"]  # no space among characters


def test_the_name_of_a_file_is_no_path(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    with pytest.warns(UserWarning, match="text is taken as the text itself; pathlib.Path.* is that file") as caught:
        model = LanguageModel(hidden_size=4, num_layers=1).fit(str(path), epochs=1, batch_size=1, verbose=0)
    assert set(model.vocabulary_) == set(str(path)) and caught[0].filename == __file__


def test_bad_files(tmp_path):
    (tmp_path / "bytes").write_bytes(b"abc\xff" * 10)
    model = fitted()
    with pytest.raises(ValueError, match="bytes is not UTF-8 text: invalid start byte"):
        model.fit(tmp_path / "bytes", **QUICK)
    with pytest.raises(FileNotFoundError):
        model.score(tmp_path / "absent")
    with pytest.raises(ValueError, match="text must have at least 2 words, got 0"):
        model.fit("", **QUICK)
    with pytest.raises(ValueError, match="text must have at least 4 words, got 3"):
        model.score("the cat\n", batch_size=3)


# evaluation


def test_evaluation_in_streams():
    """Each stream is read by itself from a zero state; the mean is over all of them."""
    model = fitted()
    ids = model.vocabulary_.encode(TEXT)[: 3 * 20 + 1]
    words = [model.vocabulary_[k].replace("<eos>", "\n") for k in ids]
    parts = [" ".join(words[20 * n : 20 * n + 21]) for n in range(3)]
    whole = " ".join(words)
    assert_close(model.score(whole, batch_size=3), np.mean([model.score(part) for part in parts]), 1e-6)
    assert model.perplexity(whole, 3) == np.exp(-model.score(whole, 3))
    assert fitted(validation=whole, fit={**QUICK, "validation_batch_size": 3}).history_["validation_loss"][-1] == (
        -model.score(whole, batch_size=3)
    )


def test_unknown_words_share_an_id():
    model = fitted(TEXT + "<unk> <unk>\n", max_vocab=5)
    assert model.output_.out_features == model.embedding_.num_embeddings == 6
    assert model.score("the zebra sat") == model.score("the <unk> sat")


# training


def test_reading_a_window_as_a_sum_over_time():
    """Gradients T times as large at a rate of 1 / T, in exact arithmetic the same; the losses are means."""
    fit = {**QUICK, "sequence_length": 5, "optimizer": "sgd", "schedule": "constant", "clip_norm": None}
    text = " ".join(TEXT.split(" ")[:60])
    mean = fitted(text, fit={**fit, "learning_rate": 0.5}, dtype="float64", max_vocab=4)
    total = fitted(text, fit={**fit, "learning_rate": 0.1, "reduction": "time_sum"}, dtype="float64", max_vocab=4)
    length = (len(mean.vocabulary_.encode(text)) - 1) // 3
    assert length % 5 == 0
    assert_close(mean.history_["loss"], total.history_["loss"], 1e-12)
    for name, value in parameters(mean).items():
        assert_close(total.layers[name.split(".")[0]].parameters[name.split(".")[1]], value, 1e-12, name)


def test_a_window_as_long_as_the_text_is_full_bptt():
    """Gradients flow through all of each stream; one symbol less, and they do not."""
    fit = {**QUICK, "epochs": 1, "optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant", "clip_norm": None}
    length = (len(Vocabulary.of([TEXT], "word").encode(TEXT)) - 1) // 3
    full, more, less = (fitted(fit={**fit, "sequence_length": T}) for T in (length, 10_000, length - 1))
    assert_same_bits(parameters(full), parameters(more))
    assert full.history_ == more.history_ != less.history_


def test_initial_values():
    fit = {**QUICK, "epochs": 1, "learning_rate": 1e-30}
    model = fitted(fit=fit, init=0.01, num_layers=2, forget_bias=3.0)
    for layer in range(2):
        bias = model.recurrent_.state_dict()[f"bias_ih_l{layer}"]
        assert (bias[10:20] == 3).all()
        assert np.abs(np.delete(bias, np.s_[10:20])).max() <= 0.01
        assert np.abs(model.recurrent_.parameters[f"bias_hh_l{layer}"]).max() <= 0.01
    for name in ("embedding.weight", "output.weight", "output.bias"):
        assert 0.005 < np.abs(parameters(model)[name]).max() <= 0.01


def test_dropout_acts_in_training_alone():
    drop = {"input_dropout": 0.5, "output_dropout": 0.5, "embedding_dropout": 0.5, "recurrent_dropout": 0.5}
    model = fitted(**drop, random_state=3)
    assert_same_bits(parameters(model), parameters(fitted(**drop, random_state=3)))
    assert model.score(OTHER) == model.score(OTHER)
    for name in drop:
        assert fitted(**{name: 0.5}).history_ != fitted().history_


def test_partial_training_drops_as_the_parameters_say():
    fit = {"batch_size": 3, "sequence_length": 7, "learning_rate": 1e-2}
    model = LanguageModel(**{**SMALL, "num_layers": 2}).partial_fit(TEXT, **fit)
    model.set_params(dropout=0.5, recurrent_dropout=0.25).partial_fit(TEXT, **fit)
    assert (model.recurrent_.dropout, model.recurrent_.recurrent_dropout) == (0.5, 0.25)
    before = parameters(model)
    with pytest.raises(ValueError, match="output_dropout"):
        model.set_params(output_dropout=1.5).partial_fit(TEXT, **fit)
    assert_same_bits(parameters(model), before)


def test_partial_training():
    """Passes one after the other are one training at a constant rate; vocabulary and optimizer stay."""
    fit = {"batch_size": 3, "sequence_length": 7, "learning_rate": 1e-2}
    whole = fitted(fit={**QUICK, **fit, "epochs": 3, "schedule": "constant"})
    model = LanguageModel(**SMALL)
    for _ in range(3):
        assert model.partial_fit(TEXT, **fit) is model
    assert_same_bits(parameters(model), parameters(whole))
    assert model.history_["loss"] == whole.history_["loss"]
    before, vocabulary = model.score(OTHER), list(model.vocabulary_)
    model.partial_fit(OTHER * 20, **fit)
    assert model.score(OTHER) > before
    assert list(model.vocabulary_) == vocabulary
    twin = copy.deepcopy(model)
    assert_same_bits(parameters(twin), parameters(pickle.loads(pickle.dumps(model))))
    model.fit(TEXT, **QUICK)
    assert_same_bits(parameters(model), parameters(fitted()))


# writing


def test_writing_words():
    model = fitted(fit={**QUICK, "epochs": 30, "learning_rate": 2e-2})
    assert model.sample(3, "the cat sat on", temperature=0) == "the mat ."
    assert model.sample(5, "sat on the log", temperature=0).startswith(".\nthe")
    assert len(model.vocabulary_.encode(model.sample(50))) == 50
    assert model.sample(20, temperature=0) == model.sample(20, "\n", temperature=0)
    assert model.sample(20, "the cat", temperature=0, stop="\n") == "sat on the mat ."
    assert model.sample(20, "the cat", temperature=0, stop="mat") == "sat on the"
    assert model.sample(2, "the cat", temperature=0, stop="mat") == "sat on"


def test_prompts_side_by_side_write_what_each_would_write_alone():
    model = fitted(fit={**QUICK, "epochs": 12, "learning_rate": 2e-2})
    prompts = ["the cat", "", "the dog sat on the", "nonsense"]
    expected = [model.sample(15, prompt, temperature=0) for prompt in prompts]
    assert model.generate(15, prompts, temperature=0) == expected
    ended = model.generate(15, prompts, temperature=0, stop="\n")
    assert ended == [text.split("\n")[0] for text in expected]
    assert model.generate(5, []) == []
    assert model.generate(0, prompts) == [""] * 4
    drawn = model.generate(8, [""] * 5, random_state=1)
    assert len(set(drawn)) > 1
    assert drawn == model.generate(8, [""] * 5, random_state=1)


def test_a_list_of_prompts_is_asked_for():
    with pytest.raises(TypeError, match="prompts must be a list of strings, got str"):
        fitted().generate(3, "the")


@pytest.mark.parametrize(("top_p", "kept"), [(0.3, 1), (0.5, 1), (0.51, 2), (0.8, 3), (0.96, 4), (1.0, 5)])
def test_nucleus(top_p, kept):
    """Of the odds 0.5, 0.26, 0.14, 0.06, 0.04 the fewest that make up the share."""
    odds, rng = np.array([0.14, 0.5, 0.04, 0.26, 0.06]), np.random.default_rng(0)
    drawn = np.bincount([draw(np.log(odds), 1.0, None, rng, top_p) for _ in range(4000)], minlength=5) / 4000
    expected = np.where(odds >= np.sort(odds)[-kept], odds, 0)
    assert_close(drawn, expected / expected.sum(), 0.03)


def test_saved(tmp_path):
    model = fitted(max_vocab=6)
    fastrnn.save(model, tmp_path / "model")
    loaded = fastrnn.load(tmp_path / "model")
    assert loaded.vocabulary_ == model.vocabulary_
    assert loaded.score(OTHER) == model.score(OTHER)
    assert loaded.sample(20) == model.sample(20)
