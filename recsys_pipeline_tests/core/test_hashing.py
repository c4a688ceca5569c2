"""Hashes give the numbers that are published for them, on every machine and with every version of pandas."""

import numpy as np

from recsys_pipeline.core.hashing import mix, text_hashes


def test_splitmix64_from_seed_1234567_gives_the_outputs_of_its_public_test_vectors() -> None:
    state, outputs = 1234567, []
    for _ in range(3):
        outputs.append(int(mix(np.array([state], np.uint64))[0]))
        state = (state + 0x9E3779B97F4A7C15) % 2**64
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_hashes_of_texts_stay_what_stored_id_tables_are_sorted_by() -> None:
    assert [hex(found) for found in text_hashes(["lamp", ""])] == ["0x2d7a63e04d028614", "0x186da64456263a46"]
    assert len(text_hashes([])) == 0
