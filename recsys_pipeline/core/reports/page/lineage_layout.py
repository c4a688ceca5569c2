"""Where the artifacts of a lineage graph stand on paper: stages from left to right, few crossings, lines beside boxes.

A layered drawing after Sugiyama, Tagawa and Toda (IEEE Trans. SMC 11(2), 1981): columns are given by the stages, an
edge that passes a column gets a lane there, rows are ordered by the barycentres of their neighbours, and heights are
the least-squares fit to the neighbours' heights that keeps the order. Edges of one artifact share their lanes.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

BOX_ROOM, LANE_ROOM = 56.0, 14.0
"""Height in pixels that a box and a lane take in their column, with what is left free around them."""
SWEEPS = 8

Edge = tuple[int, int]
Lane = tuple[int, int]
"""(row of the artifact that the lane comes from, column that it passes)."""


@dataclass(frozen=True)
class Layout:
    """`column[i]` and centre `height[i]` of each box; `lanes[edge]` are the heights at which an edge passes columns."""

    column: list[int]
    height: list[float]
    lanes: dict[Edge, list[float]]
    bottom: float
    """Height of the whole drawing."""


def lay_out(stages: Sequence[int], edges: Sequence[Edge]) -> Layout:
    """Place boxes whose stages are numbered in flow order; `edges` are (input, output).

    Inside a stage an output stands right of its inputs. An edge that leads back (from a later stage to an earlier
    one) is drawn as a plain line and has no say.
    """
    column = _columns(stages, edges)
    drawing = _Drawing(column)
    for edge in edges:
        drawing.add(edge)
    for _ in range(SWEEPS):
        drawing.sort_columns()
    heights = drawing.heights()
    lanes = {
        (source, target): [heights[source, passed] for passed in range(column[source] + 1, column[target])]
        for source, target in edges
    }
    boxes = [heights[row, at] for row, at in enumerate(column)]
    return Layout(column, boxes, lanes, max(heights.values(), default=0.0) + BOX_ROOM / 2)


def _columns(stages: Sequence[int], edges: Sequence[Edge]) -> list[int]:
    """A column per stage and step inside it: the longest way to an artifact within its own stage."""
    inside: dict[int, list[int]] = defaultdict(list)
    for source, target in edges:
        if stages[source] == stages[target]:
            inside[target].append(source)
    steps: dict[int, int] = {}
    for start in range(len(stages)):
        todo = [start]
        while todo:  # no recursion: a chain of days may be longer than Python's stack
            missing = [source for source in inside[todo[-1]] if source not in steps and source not in todo]
            if missing:
                todo += missing[:1]
            else:
                last = todo.pop()
                steps[last] = 1 + max((steps.get(source, -1) for source in inside[last]), default=-1)
    places = [(stage, steps[row]) for row, stage in enumerate(stages)]
    number = {place: at for at, place in enumerate(sorted(set(places)))}
    return [number[place] for place in places]


@dataclass
class _Drawing:
    """Columns of boxes and lanes; a box is the lane of its own artifact in its own column."""

    column: list[int]
    columns: dict[int, list[Lane]] = field(default_factory=lambda: defaultdict(list))
    left: dict[Lane, set[Lane]] = field(default_factory=lambda: defaultdict(set))
    right: dict[Lane, set[Lane]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for row, at in enumerate(self.column):
            self.columns[at].append((row, at))

    def add(self, edge: Edge) -> None:
        """Lead an edge through a lane in each column between its ends, shared with others of the same artifact."""
        source, target = edge
        before = (source, self.column[source])
        for passed in range(self.column[source] + 1, self.column[target]):
            lane = (source, passed)
            if lane not in self.left:
                self.columns[passed].append(lane)
            self._link(before, lane)
            before = lane
        if self.column[target] > self.column[source]:
            self._link(before, (target, self.column[target]))

    def _link(self, left: Lane, right: Lane) -> None:
        self.left[right].add(left)
        self.right[left].add(right)

    def sort_columns(self) -> None:
        """Order every column by the mean place of its neighbours, once from the left and once from the right."""
        forth = sorted(self.columns)
        for ats, beside in ((forth[1:], self.left), (forth[-2::-1], self.right)):
            for at in ats:
                place = {
                    lane: float(row) for other in (at - 1, at, at + 1) for row, lane in enumerate(self.columns[other])
                }
                rows = self.columns[at]
                rows.sort(key=lambda lane: (_mean([place[n] for n in beside[lane]], place[lane]), place[lane]))

    def heights(self) -> dict[Lane, float]:
        """Centre of every box and lane; none overlaps in its column."""
        height = {lane: y for rows in self.columns.values() for lane, y in zip(rows, self._stacked(rows), strict=True)}
        for _ in range(SWEEPS):
            for at in sorted(self.columns):
                rows = self.columns[at]
                wished = [_mean([height[n] for n in self.left[r] | self.right[r]], height[r]) for r in rows]
                room = self._stacked(rows)
                shifted = isotonic([wish - y for wish, y in zip(wished, room, strict=True)])
                height |= {row: y + shift for row, y, shift in zip(rows, room, shifted, strict=True)}
        top = min((height[lane] - self._room(lane) / 2 for lane in height), default=0.0)
        return {lane: y - top for lane, y in height.items()}

    def _stacked(self, rows: Sequence[Lane]) -> list[float]:
        bottom, centres = 0.0, []
        for lane in rows:
            bottom += self._room(lane)
            centres.append(bottom - self._room(lane) / 2)
        return centres

    def _room(self, lane: Lane) -> float:
        return BOX_ROOM if self.column[lane[0]] == lane[1] else LANE_ROOM


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def isotonic(values: Sequence[float]) -> list[float]:
    """The nondecreasing sequence nearest to `values` in squares, by pooling adjacent violators.

    >>> isotonic([1.0, 3.0, 2.0, 4.0])
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (mean, n), (last, m) = pools[-2], pools[-1]
            pools[-2:] = [((mean * n + last * m) / (n + m), n + m)]
    return [mean for mean, n in pools for _ in range(n)]
