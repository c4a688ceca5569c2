"""GraphQL without a schema: a parsed operation is walked over nodes of plain values and functions.

The client sends about forty different operations, many of them with fragments, aliases and directives, and each of its
releases words them anew. Answering by field instead of by operation keeps the double short: any operation over known
fields is answered, and one over an unknown field is refused by name, as the real server refuses it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    parse,
)
from graphql.utilities import value_from_ast_untyped

INTERFACES = {"ArtifactSequence": {"ArtifactCollection"}}
"""Which type conditions a node's type meets beside its own."""


class QueryError(Exception):
    """The request cannot be answered; `status` is the HTTP status that goes with the message."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Node:
    """An object of the server: its GraphQL type, and per field a value or a function of the field's arguments."""

    type: str
    fields: Mapping[str, Any]

    def resolve(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The value of a field.

        Raises:
            QueryError: the type has no such field here.
        """
        if name == "__typename":
            return self.type
        if name not in self.fields:
            raise QueryError(f'Cannot query field "{name}" on type "{self.type}".')
        value = self.fields[name]
        return value(**arguments) if callable(value) else value


@dataclass(frozen=True)
class Operation:
    """One parsed request: `kind` is "query" or "mutation"."""

    name: str
    kind: str
    selection: SelectionSetNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]

    def execute(self, root: Node) -> dict[str, Any]:
        """Fill the selection from `root`.

        Raises:
            QueryError: a field is unknown, or a function behind one refuses.
        """
        return self._object(root, [self.selection])

    def _object(self, node: Node, selections: Sequence[SelectionSetNode]) -> dict[str, Any]:
        found: dict[str, list[FieldNode]] = {}
        for selection in selections:
            for field in self._fields(node.type, selection):
                key = field.alias.value if field.alias else field.name.value
                found.setdefault(key, []).append(field)
        return {key: self._field(node, fields) for key, fields in found.items()}

    def _field(self, node: Node, fields: Sequence[FieldNode]) -> Any:
        arguments = {a.name.value: self._value(a.value) for a in fields[0].arguments or ()}
        selections = [field.selection_set for field in fields if field.selection_set]
        return self._complete(node.resolve(fields[0].name.value, arguments), selections)

    def _complete(self, value: Any, selections: Sequence[SelectionSetNode]) -> Any:
        if isinstance(value, Node):
            return self._object(value, selections)
        if isinstance(value, list):
            return [self._complete(entry, selections) for entry in value]
        return value

    def _fields(self, type_name: str, selection: SelectionSetNode) -> Iterator[FieldNode]:
        for chosen in selection.selections:
            if not self._included(chosen):
                continue
            if isinstance(chosen, FieldNode):
                yield chosen
                continue
            fragment = self._fragment(chosen)
            condition = fragment.type_condition.name.value if fragment.type_condition else type_name
            if condition in {type_name} | INTERFACES.get(type_name, set()):
                yield from self._fields(type_name, fragment.selection_set)

    def _fragment(self, chosen: SelectionNode) -> FragmentDefinitionNode | InlineFragmentNode:
        if isinstance(chosen, FragmentSpreadNode):
            return self.fragments[chosen.name.value]
        assert isinstance(chosen, InlineFragmentNode)
        return chosen

    def _included(self, chosen: SelectionNode) -> bool:
        for directive in chosen.directives or ():
            (condition,) = directive.arguments
            if bool(self._value(condition.value)) != (directive.name.value == "include"):
                return False
        return True

    def _value(self, node: Any) -> Any:
        return value_from_ast_untyped(node, dict(self.variables))


def read_operation(query: str, variables: Mapping[str, Any] | None) -> Operation:
    """Parse a request body; variables that are not given take the defaults that the query declares."""
    document: DocumentNode = parse(query)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    (operation,) = (d for d in document.definitions if isinstance(d, OperationDefinitionNode))
    defaults = {
        declared.variable.name.value: value_from_ast_untyped(declared.default_value) if declared.default_value else None
        for declared in operation.variable_definitions or ()
    }
    name = operation.name.value if operation.name else "Anonymous"
    return Operation(
        name, operation.operation.value, operation.selection_set, fragments, {**defaults, **(variables or {})}
    )


def connection(
    nodes: Sequence[Node],
    first: int | None = None,
    after: str | None = None,
    edge: Callable[[Node], Mapping[str, Any]] = lambda _: {},
    **_: Any,
) -> Node:
    """A page of `nodes` as GraphQL's cursor pagination shapes it; `edge` gives further fields of an edge."""
    start = int(after) + 1 if after else 0
    stop = len(nodes) if first is None else min(len(nodes), start + first)
    edges = [
        Node("Edge", {"node": nodes[at], "cursor": str(at), **edge(nodes[at])}) for at in range(start, max(start, stop))
    ]
    page = {"endCursor": str(stop - 1) if edges else None, "hasNextPage": stop < len(nodes)}
    return Node("Connection", {"edges": edges, "totalCount": len(nodes), "pageInfo": Node("PageInfo", page)})
