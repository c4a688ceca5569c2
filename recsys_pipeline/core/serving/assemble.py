"""What is served of a day: the vectors that were judged, brought up to everything that is known at the end of the day.

Item vectors stay those of the fit that the reports judge. Nothing served was trained in a way that was not judged, and
nothing known is thrown away: users are folded in on their full histories, test rows included; items that have rows
outside the fit alone are folded in by the users who took them; items that nobody touched are mapped.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from recsys_pipeline.core.dataset.events import WEB_LOG, EventMeaning
from recsys_pipeline.core.errors import DataError
from recsys_pipeline.core.folds import Fold
from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.learning.cold_start.cold_start import ColdStart
from recsys_pipeline.core.learning.cold_start.features import with_unseen
from recsys_pipeline.core.models.stl import StlModel
from recsys_pipeline.core.neighbors.index import IndexConfig, SearchIndex, build_index
from recsys_pipeline.core.neighbors.vectors import VectorTable
from recsys_pipeline.core.ratings import Ratings
from recsys_pipeline.core.recommenders import ReleasableRecommender
from recsys_pipeline.core.reports.monitoring.priors import Profile, ProfileConfig, model_settings
from recsys_pipeline.core.reports.monitoring.profiles import DAY_US, CatalogueState, retrieval_profile
from recsys_pipeline.core.reports.monitoring.retrieval_sample import Retrieval
from recsys_pipeline.core.serving.rejection import rejected_items
from recsys_pipeline.core.serving.release import CATALOGUE, FOLDED_IN, LEARNED, MAPPED, decayed_popularity
from recsys_pipeline.core.serving.release_config import ReleaseConfig
from recsys_pipeline.core.serving.release_parts import ReleaseParts

MapItems = Callable[[list[str]], Float32[np.ndarray, "items dim"]]
"""Vectors of items by id, from what is known without interactions."""


@dataclass(frozen=True)
class DayOfRelease:
    """What is known at the end of a day: the judged model and its fold, ids by dense number, and the catalogue."""

    day: str
    end_us: int
    model: ReleasableRecommender
    """Fitted on train and validation of `fold`."""
    fold: Fold
    user_ids: np.ndarray
    item_ids: np.ndarray
    profile: Profile
    """Of what people did on the day."""
    catalogue: pa.Table | None = None
    map_items: MapItems | None = None
    cold_start: ColdStart | None = None
    towers: StlModel | None = None
    avoided: Ratings | None = None
    """Pairs whose last word is an aversion."""
    events: EventMeaning = WEB_LOG
    """What events mean: overlays over the release read theirs so."""


def assemble(day: DayOfRelease, config: ReleaseConfig, seed: int) -> ReleaseParts:
    """Everything that the release of a day is written from."""
    known, fitted = all_pairs(day.fold)
    items = served_items(day.model, known, day.item_ids.tolist(), day.catalogue, day.map_items)
    rejected = np.empty(0, np.int64) if day.avoided is None else rejected_items(known, day.avoided)
    table = served_catalogue(items, known, day.end_us, config.popularity_half_life_hours, day.catalogue, rejected)
    users = day.model.fold_in(known)
    return ReleaseParts(
        day=day.day,
        end_us=day.end_us,
        config=config,
        model=day.model,
        user_ids=day.user_ids,
        user_vectors=users,
        item_vectors=items.vectors,
        histories=known,
        catalogue=table,
        index=index_of(items, table, users, config, seed),
        priors=day.profile | _priors(day, items, table, users, known, seed),
        cold_start=day.cold_start,
        towers=day.towers,
        fitted=fitted,
        avoided=day.avoided,
        events=day.events,
        rejected=rejected,
    )


def all_pairs(fold: Fold) -> tuple[Ratings, Bool[np.ndarray, " rows"]]:
    """Train, validation and test rows together, and which of them the judged model was fitted on."""
    fitted, test = fold.train_and_validation, fold.test
    columns = {
        name: np.concatenate([getattr(fitted, name), getattr(test, name)])
        for name in ("user", "item", "value", "timestamp_us")
    }
    return dataclasses.replace(fitted, **columns), np.arange(len(fitted) + len(test)) < len(fitted)


def index_of(
    items: "ServedItems", table: pa.Table, users: Float32[np.ndarray, "users dim"], config: ReleaseConfig, seed: int
) -> SearchIndex:
    """An index over the items on sale, tuned on users. Raises `DataError` where nothing is on sale."""
    on_sale = np.flatnonzero(table["available"].to_numpy())
    if not len(on_sale):
        raise DataError(
            "nothing is on sale, or all that is was rejected by those who know it: every list would be empty; look at "
            "dataset/items, and at what events mean in the log of dataset/interactions"
        )
    vectors = VectorTable([items.ids[row] for row in on_sale], items.vectors[on_sale])
    return build_index(vectors, users, IndexConfig(k=config.k, repeats=1), seed)


def _priors(
    day: DayOfRelease, items: "ServedItems", table: pa.Table, users: np.ndarray, known: Ratings, seed: int
) -> Profile:
    """Scores, norms and lists of the users who were there on the day, from the vectors that are served."""
    active = np.unique(known.user[known.timestamp_us >= day.end_us - DAY_US])
    rows = np.arange(len(items.ids))
    hidden = [known] if day.avoided is None else [known, day.avoided]
    seen_user, seen_item = (np.concatenate([getattr(part, name) for part in hidden]) for name in ("user", "item"))
    retrieval = Retrieval(users, items.vectors, seen_user, seen_item, rows, active, text_hashes(items.ids))
    created = table["created_at"].cast(pa.int64()).to_numpy().astype(np.float64)
    state = CatalogueState(
        category=np.array([names[0] if names else None for names in table["categories"].to_pylist()], object),
        price=table["price"].to_numpy().astype(np.float64),
        age_days=(day.end_us - created) / DAY_US,
        available=table["available"].to_numpy().astype(bool),
    )
    profile = retrieval_profile(retrieval, state, ProfileConfig(), seed)
    return dataclasses.replace(profile, settings=model_settings(day.model.config))


@dataclass(frozen=True)
class ServedItems:
    """Vectors of all items that may be served, and where each is from."""

    ids: list[str]
    vectors: Float32[np.ndarray, "items dim"]
    kind: list[str]


def served_items(
    model: ReleasableRecommender,
    histories: Ratings,
    item_ids: Sequence[str],
    catalogue: pa.Table | None = None,
    map_items: MapItems | None = None,
) -> ServedItems:
    """The items of the snapshot in their order, then those of the catalogue that nobody touched, by id.

    `histories` are all known pairs, with the model's user and item numbers. Without `map_items` an item that can
    neither be learned nor folded in gets the mean vector of the learned ones.
    """
    ids = with_unseen(list(item_ids), catalogue) if catalogue is not None else list(item_ids)
    vectors = np.zeros((len(ids), model.item_vectors().shape[1]), np.float32)
    learned = model.learned_items()
    vectors[: len(learned)][learned] = model.item_vectors()[learned]
    fresh, found = _fold_in_items(model, histories, ~learned)
    vectors[fresh] = found
    kind = np.full(len(ids), MAPPED, object)
    kind[: len(learned)][learned] = LEARNED
    kind[fresh] = FOLDED_IN
    rest = np.flatnonzero(kind == MAPPED)
    if len(rest):
        mean = model.item_vectors()[learned].mean(axis=0) if learned.any() else vectors[:1][0]
        vectors[rest] = map_items([ids[row] for row in rest]) if map_items is not None else mean
    return ServedItems(ids, vectors, kind.tolist())


def _fold_in_items(
    model: ReleasableRecommender, histories: Ratings, new: Bool[np.ndarray, " items"]
) -> tuple[Int64[np.ndarray, " found"], Float32[np.ndarray, "found dim"]]:
    """Rows and vectors of the new items that users of the fit took."""
    rows = histories.take(new[histories.item] & model.learned_users()[histories.user])
    fresh, number = np.unique(rows.item, return_inverse=True)
    if not len(fresh):
        return np.empty(0, np.int64), np.empty((0, model.item_vectors().shape[1]), np.float32)
    renumbered = dataclasses.replace(rows, item=number.astype(np.int32), n_items=len(fresh))
    return fresh.astype(np.int64), model.fold_in_items(renumbered)


def served_catalogue(
    items: ServedItems,
    histories: Ratings,
    end_us: int,
    half_life_hours: float,
    catalogue: pa.Table | None = None,
    rejected: Int64[np.ndarray, " rejected"] | None = None,
) -> pa.Table:
    """The release's catalogue table, a row per vector; what the day's catalogue does not list is not on sale.

    Where the source has no catalogue, everything is on sale; `rejected` rows are in no list either way.
    """
    served = np.ones(len(items.ids), bool)
    served[[] if rejected is None else rejected] = False
    popularity = np.zeros(len(items.ids), np.float32)
    popularity[: histories.n_items] = decayed_popularity(histories, end_us, half_life_hours)
    facts = {"kind": pa.array(items.kind), "popularity": pa.array(popularity)}
    own = pa.table({"item_id": pa.array(items.ids, pa.string())})
    if catalogue is None:
        n = len(items.ids)
        empty = {"title": pa.array([""] * n), "categories": pa.array([[]] * n, pa.list_(pa.string()))}
        empty |= {"price": pa.nulls(n, pa.float64()), "available": pa.array(served), "created_at": pa.nulls(n)}
        return _as_catalogue({"item_id": own["item_id"], **empty, **facts})
    listed = {item: row for row, item in enumerate(catalogue["item_id"].to_pylist())}
    if len(listed) != catalogue.num_rows:
        raise DataError("the catalogue lists an item twice: validate it with core/dataset/schema.validate_items")
    _check_join(items, list(listed))
    places = pa.array([listed.get(item) for item in items.ids], pa.int64())
    columns = {name: catalogue[name].take(places) for name in ("price", "created_at")}
    columns |= {"title": catalogue["title"].take(places).fill_null(""), "categories": _lists(catalogue, places)}
    columns["available"] = pa.array(catalogue["available"].take(places).fill_null(False).to_numpy() & served)
    return _as_catalogue({"item_id": own["item_id"], **columns, **facts})


def _check_join(items: ServedItems, listed: list[str]) -> None:
    """Raise `DataError` where nothing that users took could ever be on sale, in words that show why."""
    if not listed:
        raise DataError("the catalogue has no item, so nothing is on sale: look at the quarantine of dataset/items")
    taken = [item for item, kind in zip(items.ids, items.kind, strict=True) if kind != MAPPED]
    if taken and set(taken).isdisjoint(listed):
        raise DataError(
            f"none of {len(taken)} item ids of the events is in the catalogue ({_some(taken)} against "
            f"{_some(listed)}): the columns of item_id in [interactions] and [items] must write an item alike"
        )


def _some(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:3])


def _lists(catalogue: pa.Table, places: pa.Array) -> pa.Array:
    found = catalogue["categories"].take(places).to_pylist()
    return pa.array([names or [] for names in found], pa.list_(pa.string()))


def _as_catalogue(columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    return pa.table({name: columns[name] for name in CATALOGUE.names}).cast(CATALOGUE)
