"""An asset is declared once: key, form, what it reads, checks. Dagster's asset, its recipe and code version follow."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import cleandoc
from typing import Any

import dagster as dg

from recsys_pipeline.adapters.store.artifact_store import Artifact, Built
from recsys_pipeline.adapters.store.code_graph import Code, Node
from recsys_pipeline.adapters.store.versions import code_of, library_versions, node_of
from recsys_pipeline.core.errors import SettingError
from recsys_pipeline.defs.make import Make
from recsys_pipeline.defs.reads import Read, Traced, is_required, provided
from recsys_pipeline.defs.resources import configured_source

Describe = Callable[[Make, Artifact], Mapping[str, Any]]
Fact = Callable[[Artifact], bool]
"""A named check of a stored artifact; its name and docstring are what the UI shows."""
Finding = Callable[[Artifact], tuple[bool, Mapping[str, Any]]]
"""A check with what to look at (plots, figures, words). As an advisory one it warns and stops nothing."""


def _always(_: Artifact) -> bool:
    return True


@dataclass(frozen=True)
class Asset:
    """The declaration of an asset; `asset` makes one out of a function."""

    key: str
    function: Callable[[Make], Any]
    kinds: frozenset[str]
    reads: tuple[Read, ...] = ()
    needs: str = ""
    """Kinds of data (a dot between several) that the source must provide, besides what its reads need."""
    form: type[dg.Config] | None = None
    settings: Callable[[Make], Mapping[str, Any]] | None = None
    """The config of the recipe, where it is not the form as it stands."""
    origins: Callable[[Make], Mapping[str, str]] | None = None
    """Where the values of that config are from, where not all are the form's."""
    describe: Describe | None = None
    """Metadata that people look at (plots, tables), from the stored files, so that it is there for a reused one too."""
    blocking: tuple[Fact | Finding, ...] = ()
    """What must hold before anything downstream starts."""
    advisory: tuple[Finding, ...] = ()
    """What people should know of."""
    stands: Fact = _always
    """What no longer stands is made again, up to date or not."""
    verify_beside: bool = False
    """Whether inputs are compared with their digests while the artifact is made, and not before."""
    by_hand: bool = False
    """Whether the function stores and tells everything itself: several partitions, or no artifact at all."""
    shaped_by: Callable[..., Any] | None = None
    """What shapes the artifact where that is not all of the function, which also tells of it."""
    on_request: bool = False
    """Whether no job makes it, but who asks for it."""
    hourly: bool = False
    code: tuple[Node, ...] = ()
    """More code that shapes it, of values that it is handed, such as a model's."""
    reads_source: bool = False
    doc: str = ""

    @property
    def stage(self) -> str:
        """The first part of its key: its group too."""
        return self.key.split("/")[0]

    @property
    def description(self) -> str:
        """What one row is, and what people should know of it: Markdown, in which an indented line would be code."""
        return cleandoc(self.doc or self.function.__doc__ or "")

    @property
    def code_version(self) -> str:
        """Digest of all code that may shape the artifact, wherever it lies."""
        return self._code.digest

    @property
    def libraries(self) -> dict[str, str]:
        """What else decides its figures: versions of the libraries that this code uses, and flags."""
        return library_versions(self._code)

    @cached_property
    def _code(self) -> Code:
        function = self.shaped_by or self.function
        functions = [getattr(function, "func", function)]  # of a partial, what it calls
        functions += [function for function in (self.settings,) if function]
        functions += [read.trace for read in self.reads if isinstance(read, Traced)]
        roots = [*map(node_of, (getattr(one, "func", one) for one in functions)), *self.code]
        source = [node_of(type(configured_source()))] if self.reads_source else []
        return code_of([*roots, *source], one_model=bool(self.code))


ASSETS: dict[str, Asset] = {}
"""By key, in the order of declaration; filled as the modules of assets are imported, which opens nothing."""


def asset(key: str, *, kinds: Iterable[str], reads: Sequence[Read] = (), **more: Any) -> Callable[[Any], Asset]:
    """Declares `def subject(make: Make) -> Built` as the asset `<stage>/<subject>`; fields are those of `Asset`."""

    def declare(function: Callable[[Make], Built]) -> Asset:
        tuples = {name: tuple(more.pop(name)) for name in ("blocking", "advisory", "code") if name in more}
        made = Asset(key, function, frozenset(kinds), tuple(reads), **tuples, **more)
        if key in ASSETS:
            raise SettingError(f"the asset {key} is declared twice")
        ASSETS[key] = made
        return made

    return declare


def declared(key: str) -> Asset:
    """The declaration of an asset; raises `SettingError` where this code has none."""
    if key not in ASSETS:
        raise SettingError(f"this code has no asset {key}: there are {', '.join(sorted(ASSETS))}")
    return ASSETS[key]


def fed(kinds: Iterable[str]) -> list[Asset]:
    """The assets that a source can feed which provides these kinds, in the order of declaration.

    An asset is fed where its needs are provided and all that it must read is fed; where it must read nothing and needs
    nothing, at least one of what it may read.
    """
    there, found = set(kinds), dict[str, Asset]()
    left = dict(ASSETS)
    while ready := [one for one in left.values() if _is_fed(one, there, found.keys())]:
        for one in ready:
            found[one.key] = left.pop(one.key)
    return [one for key, one in ASSETS.items() if key in found]


def reads_of(made: Asset, kinds: Iterable[str]) -> list[Read]:
    """What an asset reads where the source provides these kinds."""
    there = set(kinds)
    return [read for read in made.reads if provided(read.needs, there)]


def _is_fed(made: Asset, kinds: set[str], fed_keys: Any) -> bool:
    required = [read for read in made.reads if is_required(read)]
    if not provided(made.needs, kinds) or any(read.key not in fed_keys for read in required):
        return False
    optional = [read for read in made.reads if read.needs]
    return bool(required or made.needs) or any(
        provided(read.needs, kinds) and read.key in fed_keys for read in optional
    )
