"""A map of item vectors in two dimensions, and the nearest neighbours of a few items: do like things lie together?"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int
from matplotlib.figure import Figure

from recsys_pipeline.core.hashing import text_hashes
from recsys_pipeline.core.neighbors.exact import exact_top_k
from recsys_pipeline.core.reports.page.page import Plot, Plots, Samples, Section, Text, UserSample
from recsys_pipeline.core.reports.page.plots import MUTED, add_legend, model_styles, new_figure
from recsys_pipeline.core.reports.page.samples import ItemCards

MAX_POINTS = 3_000
MAX_GROUPS = 7
OTHER = "other"


def principal_components(vectors: Float32[np.ndarray, "items dim"]) -> tuple[Float64[np.ndarray, "items two"], float]:
    """The first two principal components of each vector, and the share of the variance that they hold.

    Signs are set so that the largest coordinate of each axis is positive: the same vectors give the same map. Fewer
    than two dimensions are filled with zeros. Pearson 1901; Jolliffe, "Principal component analysis", 2002.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64) if len(vectors) else vectors
    values, axes = np.linalg.eigh(centred.T @ centred)
    top = axes[:, ::-1][:, :2]
    points = np.zeros((len(vectors), 2))
    points[:, : top.shape[1]] = centred @ top
    signs = np.sign(np.take_along_axis(points, np.abs(points).argmax(axis=0)[None, :], axis=0)) if len(points) else 1
    total = values.sum()
    return points * np.where(signs == 0, 1, signs), float(values[::-1][:2].sum() / total) if total > 0 else np.nan


def map_figure(points: Float64[np.ndarray, "items two"], groups: Sequence[str]) -> Figure:
    """One dot per item, coloured by group; beyond the largest seven groups all are `other`."""
    figure, axes = new_figure(height=3.8)
    names, counts = np.unique(np.asarray(groups, dtype=str), return_counts=True)
    largest = names[np.lexsort((names, -counts))][:MAX_GROUPS].tolist()
    shown = np.array([group if group in largest else OTHER for group in groups])
    styles = model_styles(largest) | {OTHER: (MUTED, ".")}
    for group in [*largest, OTHER]:
        at = shown == group
        if at.any():
            color, marker = styles[group]
            x, y = points[at].T
            axes.plot(x, y, marker, color=color, label=group, markersize=4, alpha=0.65, linestyle="", rasterized=True)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("first principal component")
    axes.set_ylabel("second")
    add_legend(axes)
    return figure


def neighbours_section(
    vectors: Float32[np.ndarray, "items dim"],
    chosen: Int[np.ndarray, " samples"],
    categories: Mapping[str, str],
    cards: ItemCards,
    model: str,
    n_neighbours: int = 6,
    seed: int = 0,
) -> Section:
    """The map of all items (3,000 drawn by seed where there are more) and the nearest neighbours of the chosen ones.

    Nearness is the angle between vectors (cosine), found exactly. `categories` by item id colour the map; items
    without one are `other`.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:MAX_POINTS])
    points, share = principal_components(vectors[drawn])
    groups = [categories.get(str(cards.item_ids[item]), OTHER) for item in drawn]
    plot = Plot(
        f"Item vectors of {model}",
        map_figure(points, groups),
        f"Scatter plot of {len(drawn):,} items by their first two principal components, coloured by category.",
        f"{len(drawn):,} of {len(vectors):,} items; the two axes hold {100 * share:.0f}% of the variance.",
    )
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    tie_key = text_hashes(list(cards.item_ids)[: len(vectors)])
    found, scores = exact_top_k(unit[chosen], unit, min(n_neighbours + 1, len(vectors)), tie_key=tie_key)
    samples = tuple(
        _sample(item, row, score, cards) for item, row, score in zip(chosen.tolist(), found, scores, strict=True)
    )
    note = f"Nearest by the angle between the vectors of {model}: items that the same people turn to."
    return Section("neighbours", "Neighbours", (Plots((plot,)), Text(note), Samples(samples, ("Item", "Nearest"))))


def _sample(item: int, found: np.ndarray, scores: np.ndarray, cards: ItemCards) -> UserSample:
    near = [(other, score) for other, score in zip(found.tolist(), scores.tolist(), strict=True) if other != item]
    title = cards.card(item)
    return UserSample(
        user=title.title,
        history=(title,),
        recommended=tuple(cards.card(other) for other, _ in near),
        note=f"cosine {near[0][1]:.2f} to the nearest, {near[-1][1]:.2f} to the last" if near else "no other item",
    )
