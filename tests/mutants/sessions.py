"""Planted faults in stream pools."""

from __future__ import annotations

from mutant import ENGINE, LAYERS, REFERENCE, Mutant, compiled

POOL = "test_pool.py::test_equals_streams_of_their_own[33-65-2-float64-lstm]"
BLOCKS = "test_pool.py::test_blocks_shares_and_growth[lstm]"


def pool(name: str, old: str, new: str, test: str) -> Mutant:
    return compiled(name, ENGINE + "pool.pxi", old, new, test)


SESSIONS = [
    pool(
        "pool-h-written-where-it-is-read",
        "s.h[k] = state + P if now == 0 else state",
        "s.h[k] = state if now == 0 else state + P",
        POOL,
    ),
    pool(
        "pool-turn-not-taken",
        "= 1 if s.slots.now[s.slot[m + k]] == 0 else 0",
        "= 0 if s.slots.now[s.slot[m + k]] == 0 else 1",
        POOL,
    ),
    pool("pool-layers-share-a-state", "+ layer * s.part", "+ 0 * s.part", POOL),
    pool(
        "pool-second-block-reads-the-first",
        "runs.ids = s.ids + m",
        "runs.ids = s.ids",
        "test_pool.py::test_many_symbols",
    ),
    pool(
        "pool-blocks-share-sessions",
        "point_states(f, s.slots, s.slot + m, l)",
        "point_states(f, s.slots, s.slot, l)",
        BLOCKS,
    ),
    pool(
        "pool-growth-forgets-whose-turn",
        "            memcpy(now.data, self.slots.now, self.slots.capacity)\n",
        "",
        BLOCKS,
    ),
    pool(
        "pool-new-weights-point-few-rows",
        "self.runs[k].w, self.runs[k].n1 = &(<Weights>weights[k % self.L]).pack, POOL_ROWS",
        "self.runs[k].w = &(<Weights>weights[k % self.L]).pack",
        "test_pool.py::test_follows_the_parameters[gru]",
    ),
    pool(
        "pool-takes-a-session-twice",
        " or mark[slot[m]]:",
        ":",
        "test_pool.py::test_bad_calls_move_nothing",
    ),
    pool(
        "pool-marks-stay-after-errors",
        "for m in range(found):",
        "for m in range(found if found == ids.shape[0] else 0):",
        "test_pool.py::test_bad_calls_move_nothing",
    ),
    pool(
        "pool-restart-does-nothing",
        "self.slots.now[slot[m]] = FRESH",
        "pass",
        "test_pool.py::test_a_new_session_in_an_old_place_starts_from_zeros[gru]",
    ),
    Mutant(
        "pool-ids-given-again",
        LAYERS + "pool.py",
        "int(self._taken[slot]) << SLOT_BITS | slot",
        "slot",
        "test_pool.py::test_no_id_is_given_twice_and_slots_are_used_again",
    ),
    Mutant(
        "pool-closed-slots-are-lost",
        LAYERS + "pool.py",
        "        self._free.extend(slots.tolist())\n",
        "",
        "test_pool.py::test_no_id_is_given_twice_and_slots_are_used_again",
    ),
    Mutant(
        "pool-copies-share-who-is-open",
        LAYERS + "pool.py",
        "list(self._free), slots",
        "self._free, slots",
        "test_pool.py::test_copies_go_their_own_ways",
    ),
    Mutant(
        "pool-follows-no-update",
        LAYERS + "pool.py",
        "            parameter.watch(self._engine)\n",
        "            pass\n",
        "test_pool.py::test_follows_the_parameters[lstm]",
    ),
    Mutant(
        "reference-pool-forgets-on-growth",
        REFERENCE + "pool.py",
        "part[:, : old.shape[1]] = old",
        "pass",
        "test_pool.py::test_the_reference_grows",
    ),
]
