"""Planted faults in model streams."""

from __future__ import annotations

from mutant import ENGINE, Mutant, compiled

STREAM = "src/fastrnn/models/_stream.py"
TESTS = "test_model_stream.py::"


def fault(name: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(name, STREAM, old, new, TESTS + test)


MODEL_STREAMS = [
    compiled(
        "log-softmax-of-the-first-row",
        ENGINE + "softmax.pxi",
        "            row += J\n",
        "            pass\n",
        TESTS + "test_equals_the_layers[lstm]",
    ),
    compiled(
        "log-softmax-from-the-first-class",
        ENGINE + "softmax.pxi",
        "                    top = j\n",
        "                    top = 0\n",
        TESTS + "test_banned_classes_and_large_logits",
    ),
    fault(
        "model-stream-gives-logits",
        "        if self._log_odds:\n",
        "        if False:\n",
        "test_equals_the_layers[gru]",
    ),
    fault(
        "model-stream-gives-odds-of-numbers",
        "        if self._log_odds:\n",
        "        if True:\n",
        "test_a_model_of_numbers",
    ),
    fault(
        "model-stream-stranger-is-the-last-known",
        "get(symbol, len(self._ids))",
        "get(symbol, len(self._ids) - 1)",
        "test_steps_add_up_to_the_score[embedding]",
    ),
    fault("model-stream-drops-resets", ", resets=resets)\n", ")\n", "test_state_and_resets[lstm]"),
    fault(
        "model-stream-keeps-an-old-table",
        'table = self._embedding.parameters["weight"]',
        'table = self.__dict__.setdefault("_table", self._embedding.state_dict()["weight"])',
        "test_follows_the_parameters[embedding]",
    ),
    fault(
        "model-stream-gathers-anew",
        'np.take(table, rows, axis=0, out=self._x, mode="clip")',
        "table[rows]",
        "test_out_and_no_other_allocation",
    ),
    fault(
        "model-stream-copy-starts-anew",
        "    stream.state = state\n    return",
        "    return",
        "test_copies_go_their_own_ways",
    ),
]
