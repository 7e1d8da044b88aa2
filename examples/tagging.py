"""Part-of-speech tagging of English: UD English EWT, a bidirectional LSTM over words.

The treebank (CC BY-SA 4.0) is at github.com/UniversalDependencies/UD_English-EWT: files en_ewt-ud-train.conllu, -dev
and -test, compressed by gzip or not. Words are in lower case; those that are not among the most frequent ones are one.
"""

from __future__ import annotations

import argparse
import gzip
import time
from pathlib import Path

import numpy as np

from fastrnn.models import SequenceTagger


def sentences(folder: Path, part: str) -> tuple[list[list[str]], list[list[str]]]:
    """Return the words and the tags of each sentence of "train", "dev" or "test"."""
    path = next(folder.glob(f"en_ewt-ud-{part}.conllu*"))
    text = gzip.open(path, "rt", encoding="utf-8").read() if path.suffix == ".gz" else path.read_text("utf-8")
    words, tags = [], []
    for block in text.strip().split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        rows = [row for row in rows if row[0].isdigit()]  # no words that are contracted or left out
        words.append([row[1].lower() for row in rows])
        tags.append([row[3] for row in rows])
    return words, tags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the treebank's files")
    parser.add_argument("--torch", action="store_true", help="train the same network in PyTorch too")
    parser.add_argument("--epochs", type=int, default=3, help="default %(default)s")
    parser.add_argument("--hidden-size", type=int, default=64, help="in each direction (default %(default)s)")
    parser.add_argument("--embedding", type=int, default=64, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = parser.parse_args()

    if not list(arguments.folder.glob("en_ewt-ud-test.conllu*")):
        parser.error(f"{arguments.folder} has no file en_ewt-ud-test.conllu")
    train, dev, test = (sentences(arguments.folder, part) for part in ("train", "dev", "test"))
    model = SequenceTagger(
        "lstm", arguments.hidden_size, embedding_size=arguments.embedding, max_vocab=10000, random_state=arguments.seed
    )
    recipe = {"epochs": arguments.epochs, "batch_size": 32, "learning_rate": arguments.learning_rate}
    start = time.perf_counter()
    model.fit(*train, validation=dev, verbose=2, **recipe)
    print(
        f"fastrnn: {model.score(*test):.2%} of {sum(map(len, test[0]))} words right, after "
        f"{time.perf_counter() - start:.0f} s; {model.real_share_:.0%} of the steps of its batches were no padding"
    )
    if arguments.torch:
        from torch_twin import accuracy, train_twin

        places = {word: k for k, word in enumerate(model.vocabulary_)}
        numbers = {tag: k for k, tag in enumerate(model.classes_)}
        ids = [[np.array([places.get(word, len(places)) for word in row]) for row in part[0]] for part in (train, test)]
        labels = [[np.array([numbers[tag] for tag in row]) for row in part[1]] for part in (train, test)]
        twin, seconds = train_twin(model, ids[0], labels[0], **recipe)
        print(f"torch:   {accuracy(twin, ids[1], labels[1]):.2%}, after {seconds:.0f} s")


if __name__ == "__main__":
    main()
