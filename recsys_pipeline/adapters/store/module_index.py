"""What each top-level name of a module is made of: a digest of its code, and the names that this code uses.

Comments, docstrings, layout and annotations of functions are no part of it, so that a better sentence makes nothing
stale. Names that are bound inside a function are its own; what is left is looked up in the module.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

EFFECTS = ""
"""Name under which the statements of a module stand that bind nothing, such as a registration."""
DECORATED = "@{}"
"""Name under which the decorators of a function stand: what an asset declares, which its recipe has already."""
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Names:
    """A module as `index_module` read it; plain values, so that it can be kept as JSON."""

    imports: dict[str, list[str]]
    """By alias `[module]` or `[module, name]`."""
    digests: dict[str, str]
    uses: dict[str, list[str]]
    """By top-level name what its code looks up in the module: `name`, or `name.attribute`."""
    local_imports: dict[str, list[list[str]]]
    """By top-level name what its code imports itself."""


def index_module(source: str) -> Names:
    """The top-level names of a module's source."""
    imports: dict[str, list[str]] = {}
    parts: dict[str, list[ast.stmt]] = {}  # what binds each name
    for statement in _flat(ast.parse(source).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= _imported(statement)
        else:
            for name in _bound(statement) or [EFFECTS]:
                parts.setdefault(name, []).append(statement)
            if isinstance(statement, ast.FunctionDef) and statement.decorator_list:
                parts[DECORATED.format(statement.name)] = [ast.Expr(one) for one in statement.decorator_list]
                statement.decorator_list = []
    return Names(
        imports,
        {name: _digest(statements) for name, statements in parts.items()},
        {name: sorted(_uses(statements)) for name, statements in parts.items()},
        {name: found for name, statements in parts.items() if (found := list(_inside(statements)))},
    )


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run on import, those of both branches of an `if` or `try` too; what only checkers read is out."""
    for statement in body:
        if isinstance(statement, ast.If):
            if "TYPE_CHECKING" not in ast.dump(statement.test):
                yield from _flat([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handled = [one for handler in statement.handlers for one in handler.body]
            yield from _flat([*statement.body, *handled, *statement.orelse, *statement.finalbody])
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):  # a docstring
            yield statement


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets: list[Any] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _imported(statement: ast.Import | ast.ImportFrom) -> dict[str, list[str]]:
    if isinstance(statement, ast.Import):
        return {one.asname or one.name.split(".")[0]: [one.name] for one in statement.names}
    return {one.asname or one.name: [statement.module or "", one.name] for one in statement.names}


def _inside(statements: Iterable[ast.stmt]) -> Iterator[list[str]]:
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from _imported(node).values()


class _Bare(ast.NodeTransformer):
    """Leaves out docstrings, and annotations but those of a class's fields, from which forms are made."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        if isinstance(node.value, ast.Constant):
            return None
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node


def _digest(statements: Iterable[ast.stmt]) -> str:
    bare = [_Bare().visit(statement) for statement in statements]
    return hashlib.sha256("\n".join(ast.dump(one) for one in bare).encode()).hexdigest()[:16]


def _uses(statements: Iterable[ast.stmt]) -> set[str]:
    """After `_digest`, which has left the annotations of functions out."""
    found: set[str] = set()
    for statement in statements:
        found |= _free(statement)
    return found


def _free(node: ast.AST) -> set[str]:
    """Names that the code below a node reads and does not bind in a scope of its own."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return {f"{node.value.id}.{node.attr}"}
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    if isinstance(node, ast.AnnAssign):  # an annotation is followed nowhere
        return _free_of([node.target, node.value])
    if isinstance(node, SCOPES):
        outside = [*node.args.defaults, *node.args.kw_defaults, *getattr(node, "decorator_list", ())]
        body = node.body if isinstance(node.body, list) else [node.body]
        return _free_of(outside) | _without(_free_of(body), _own(node, body))
    if isinstance(node, ast.ClassDef):
        return _free_of([*node.bases, *(one.value for one in node.keywords), *node.decorator_list, *node.body])
    if isinstance(node, COMPREHENSIONS):
        targets = {name.id for loop in node.generators for name in ast.walk(loop.target) if isinstance(name, ast.Name)}
        return _without(_free_of(ast.iter_child_nodes(node)), targets)
    return _free_of(ast.iter_child_nodes(node))


def _free_of(nodes: Iterable[ast.AST | None]) -> set[str]:
    return {name for node in nodes if node is not None for name in _free(node)}


def _without(names: set[str], own: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] not in own}


def _own(scope: Any, body: Iterable[ast.AST]) -> set[str]:
    """What a function binds: parameters, and what its own statements store; not what functions inside it do."""
    arguments = scope.args
    found = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= _imported(node).keys()
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif not isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            waiting += ast.iter_child_nodes(node)
    return found
