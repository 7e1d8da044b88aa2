"""Tell from a surname what language it is of: 18 languages, character by character.

The data is that of PyTorch's tutorial on names, a folder of files such as Czech.txt with a name in each line:
https://download.pytorch.org/tutorial/data.zip, or github.com/spro/practical-pytorch. A tenth of the names is held out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from fastrnn.models import SequenceClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the files of names")
    parser.add_argument("--torch", action="store_true", help="train the same network in PyTorch too")
    parser.add_argument("--epochs", type=int, default=8, help="default %(default)s")
    parser.add_argument("--hidden-size", type=int, default=128, help="default %(default)s")
    parser.add_argument("--learning-rate", type=float, default=4e-3, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    arguments = parser.parse_args()

    files = sorted(arguments.folder.glob("*.txt"))
    if not files:
        parser.error(f"{arguments.folder} has no files of names, such as Czech.txt")
    known = sorted({(line.strip(), file.stem) for file in files for line in file.read_text("utf-8").splitlines()})
    known = [known[k] for k in np.random.default_rng(arguments.seed).permutation(len(known))]
    names, languages = [name for name, _ in known], [language for _, language in known]
    cut = len(known) // 10
    train, test = (names[cut:], languages[cut:]), (names[:cut], languages[:cut])

    model = SequenceClassifier("lstm", arguments.hidden_size, random_state=arguments.seed)
    recipe = {"epochs": arguments.epochs, "batch_size": 32, "learning_rate": arguments.learning_rate}
    start = time.perf_counter()
    model.fit(*train, validation=test, verbose=2, **recipe)
    print(
        f"fastrnn: {model.score(*test):.2%} of {cut} names right, after {time.perf_counter() - start:.0f} s; "
        f"{model.real_share_:.0%} of the steps of its batches were no padding"
    )
    common = max(set(train[1]), key=train[1].count)
    print(f"always {common}: {np.mean(np.array(test[1]) == common):.2%}")
    if arguments.torch:
        from torch_twin import accuracy, train_twin

        places = {symbol: k for k, symbol in enumerate(model.vocabulary_)}
        numbers = {label: k for k, label in enumerate(model.classes_)}
        ids, labels = (
            [[np.array([places.get(c, len(places)) for c in name]) for name in part[0]] for part in (train, test)],
            [[numbers[label] for label in part[1]] for part in (train, test)],
        )
        twin, seconds = train_twin(model, ids[0], labels[0], **recipe)
        print(f"torch:   {accuracy(twin, ids[1], labels[1]):.2%}, after {seconds:.0f} s")


if __name__ == "__main__":
    main()
