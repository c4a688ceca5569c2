"""Addressable randomness: each part of the marketplace has its own stream, found without drawing any other."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for; the numbers are part of the data's identity and are never reused."""

    STYLES = 0
    ITEMS = 1
    USERS = 2
    SCENES = 3
    HOUR = 4
    APPEARANCE = 5
    PHOTO = 6
    SCENE_PHOTO = 7


def stream(seed: int, purpose: Purpose, *address: int) -> np.random.Generator:
    """The random stream of one address, independent of all others (Philox, Salmon et al. 2011)."""
    key = np.random.SeedSequence(seed, spawn_key=(int(purpose), *address))
    return np.random.Generator(np.random.Philox(key))
