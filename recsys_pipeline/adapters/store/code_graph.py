"""What code an artifact depends on: from a function, along the names that it uses, through all of the package.

Static, so that nothing is imported to know it. A name that is looked up on a value (`model.scores`) leads nowhere by
itself: the class is reached where somebody names it. A package that looks for its modules by itself counts whole.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from recsys_pipeline.adapters.store.module_index import DECORATED, EFFECTS, Names, index_module

DISCOVERY = "iter_modules"
"""Who calls this function of `pkgutil` looks for modules by itself."""
RESOURCES = "importlib.resources"
"""Who uses this reads files beside its modules, such as templates."""

Node = tuple[str, str]
"""A module and a top-level name in it."""


@dataclass(frozen=True)
class Code:
    """What shapes an artifact."""

    digest: str
    libraries: frozenset[str]
    """Top-level modules outside the package that this code uses."""
    nodes: frozenset[Node]


class CodeGraph:
    """The modules of a package below a folder; `kept` is a file in which their indexes are kept, by content."""

    def __init__(self, folder: Path, kept: Path | None = None) -> None:
        self.folder, self.package, self._kept = folder, folder.name, kept
        self._names: dict[str, Names | None] = {}
        self._is_new = False

    def code(self, roots: Iterable[Node], undiscovered: frozenset[str] = frozenset()) -> Code:
        """The code that the roots reach; of an `undiscovered` package only what is reached by name.

        The decorators of the roots are left out: they declare what a recipe has anyhow, and how an artifact is shown.
        """
        starts, seen, libraries = set(roots), set[Node](), set[str]()
        waiting = list(starts)
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            names = self._of(node[0])
            if names is None:
                continue
            for module, name in self._next(node, names, node in starts, undiscovered):
                if module.split(".")[0] == self.package:
                    waiting.append((module, name))
                else:
                    libraries.add(module.split(".")[0])
        self._keep()
        lines = sorted(self._line(node) for node in seen)
        return Code(hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16], frozenset(libraries), frozenset(seen))

    def _next(self, node: Node, names: Names, is_root: bool, undiscovered: frozenset[str]) -> Iterator[Node]:
        module, name = node
        if name in names.imports and name not in names.digests:  # a package hands it on
            yield from self._target(names.imports[name], None)
        yield from ((package, EFFECTS) for package in (*_packages(module), module))
        if not is_root and DECORATED.format(name) in names.uses:
            yield module, DECORATED.format(name)
        for imported in names.local_imports.get(name, ()):
            yield from self._target(imported, None)
        for use in names.uses.get(name, ()):
            first, _, attribute = use.partition(".")
            if DISCOVERY in (first, attribute) and module not in undiscovered:
                yield from self._whole(module)
            if first in names.digests:
                yield module, first
            elif first in names.imports:
                yield from self._target(names.imports[first], attribute or None)

    def _target(self, imported: list[str], attribute: str | None) -> Iterator[Node]:
        """Where an import leads: to a name of a module, or to a module, of which one name or all are used."""
        module = imported[0]
        if module.split(".")[0] != self.package:
            yield module, EFFECTS
            return
        if len(imported) == 2 and self._of(f"{module}.{imported[1]}") is None:
            yield module, imported[1]
        elif attribute is None:
            yield from self._all_of(".".join(imported))
        else:
            yield ".".join(imported), attribute

    def _all_of(self, module: str) -> Iterator[Node]:
        names = self._of(module)
        yield from ((module, name) for name in (names.digests if names else ()))

    def _whole(self, package: str) -> Iterator[Node]:
        folder = self._path(package).parent
        for path in sorted(folder.rglob("*.py")):
            parts = [self.package, *path.relative_to(self.folder).with_suffix("").parts]
            yield from self._all_of(".".join(parts[:-1] if parts[-1] == "__init__" else parts))

    def _line(self, node: Node) -> str:
        """What a node adds to a digest: its code, and files that it may read."""
        names = self._of(node[0])
        own = names.digests.get(node[1], "") if names else ""
        reads = names and any(
            names.imports.get(use.split(".")[0], [""])[0] == RESOURCES for use in names.uses.get(node[1], ())
        )
        files = self._files_beside(node[0]) if reads else ()
        return " ".join([*node, own, *files])

    def _files_beside(self, module: str) -> Iterator[str]:
        for path in sorted(self._path(module).parent.iterdir()):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                yield f"{path.name}={hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"

    def _path(self, module: str) -> Path:
        base = self.folder.joinpath(*module.split(".")[1:])
        file = base / "__init__.py"
        return file if file.is_file() else base.with_suffix(".py")

    def _of(self, module: str) -> Names | None:
        """A module's names; None where there is no such module."""
        if module not in self._names:
            path = self._path(module)
            self._names[module] = self._indexed(path.read_bytes()) if path.is_file() else None
        return self._names[module]

    # -- indexes that are kept ------------------------------------------------------------------------------------

    def _indexed(self, content: bytes) -> Names:
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._known:
            self._known[digest] = asdict(index_module(content.decode()))
            self._is_new = True
        return Names(**self._known[digest])

    @cached_property
    def _known(self) -> dict[str, dict]:
        """Indexes by content; a file that is none is as good as no file."""
        with suppress(OSError, ValueError):
            if self._kept is not None:
                return json.loads(self._kept.read_bytes())
        return {}

    def _keep(self) -> None:
        """Best effort: where the package lies cannot always be written to, and then every process reads it anew."""
        if self._kept is None or not self._is_new:
            return
        beside = self._kept.with_name(f"{self._kept.name}.{os.getpid()}")
        present = {hashlib.sha256(path.read_bytes()).hexdigest() for path in self.folder.rglob("*.py")}
        with suppress(OSError):
            beside.parent.mkdir(exist_ok=True)
            beside.write_text(json.dumps({name: one for name, one in self._known.items() if name in present}))
            beside.replace(self._kept)
        self._is_new = False


def _packages(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:n]) for n in range(1, len(parts)))
