"""Damage that the gate must stop, planted in a day's release: each takes the day and its model, and gives the parts."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from recsys_pipeline.core.models.als import AlsModel
from recsys_pipeline.core.serving.assemble import ServedItems, index_of
from recsys_pipeline.core.serving.release_parts import ReleaseParts
from recsys_pipeline_tests.shops import Day, parts_of


def scores_doubled(day: Day, model: AlsModel) -> ReleaseParts:
    """All vectors are √2 times as long, in the model and as they are served: every list is as it was."""
    root = np.float32(np.sqrt(2))
    parts = parts_of(day, model)
    users, items = root * parts.user_vectors, root * parts.item_vectors
    return _served(parts, _with(model, root * model.user_vectors(), root * model.item_vectors()), users, items)


def users_doubled(day: Day, model: AlsModel) -> ReleaseParts:
    """Users' vectors are twice as long: every list is as it was."""
    parts = parts_of(day, model)
    return dataclasses.replace(parts, user_vectors=2 * parts.user_vectors)


def vectors_collapsed(day: Day, model: AlsModel) -> ReleaseParts:
    """Items are all their mean, but for a little noise; users are folded in on them."""
    items = model.item_vectors()
    noise = 1e-3 * np.random.default_rng(0).normal(size=items.shape)
    return parts_of(day, _with(model, model.user_vectors(), items.mean(axis=0) + noise))


def vectors_drawn_together(day: Day, model: AlsModel) -> ReleaseParts:
    """Items differ from their mean by a hundredth of what they did: of each user, the order is about as it was."""
    items = model.item_vectors()
    mean = items.mean(axis=0)
    return parts_of(day, _with(model, model.user_vectors(), mean + np.float32(0.01) * (items - mean)))


def half_gone(day: Day, model: AlsModel) -> ReleaseParts:
    """Every other item of the catalogue is no longer on sale."""
    return parts_of(day, model, _on_sale(day.catalogue, np.arange(day.catalogue.num_rows) % 2 == 0))


def not_a_number(day: Day, model: AlsModel) -> ReleaseParts:
    """One item's vector is not finite."""
    parts = parts_of(day, model)
    items = parts.item_vectors.copy()
    items[0] = np.nan
    return dataclasses.replace(parts, item_vectors=items)


def users_mixed_up(day: Day, model: AlsModel) -> ReleaseParts:
    """Each user has the next one's vector, as where rows and ids of two snapshots are joined."""
    parts = parts_of(day, model)
    return dataclasses.replace(parts, user_vectors=np.roll(parts.user_vectors, 1, axis=0))


Damage = Callable[[Day, AlsModel], ReleaseParts]
DAMAGES: dict[str, Damage] = {
    plant.__name__.replace("_", " "): plant
    for plant in (
        scores_doubled,
        users_doubled,
        vectors_collapsed,
        vectors_drawn_together,
        half_gone,
        not_a_number,
        users_mixed_up,
    )
}
OF_EQUAL_SETTINGS = frozenset({"vectors drawn together"})
"""What only the scale of equal settings tells from a sound model: of other settings, users see nothing wrong."""


def _with(model: AlsModel, users: np.ndarray, items: np.ndarray) -> AlsModel:
    return AlsModel(model.config, users.astype(np.float32), items.astype(np.float32), model.trained)


def _on_sale(catalogue: pa.Table, available: np.ndarray) -> pa.Table:
    both = available & catalogue["available"].to_numpy().astype(bool)
    at = catalogue.schema.get_field_index("available")
    return catalogue.set_column(at, catalogue.schema.field(at), pa.array(both))


def _served(parts: ReleaseParts, model: AlsModel, users: np.ndarray, items: np.ndarray) -> ReleaseParts:
    ids = ServedItems(parts.catalogue["item_id"].to_pylist(), items, parts.catalogue["kind"].to_pylist())
    index = index_of(ids, parts.catalogue, users, parts.config, 0)
    return dataclasses.replace(parts, model=model, user_vectors=users, item_vectors=items, index=index)
