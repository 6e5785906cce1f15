"""Read a YAML text into plain values, without YAML's traps.

Traps are faults: a key that is repeated (most parsers silently keep the last one), a key that is not text, and aliases
that multiply. `a: &a [x, x]`, `b: &b [*a, *a]`, ... is a text of some hundred bytes that stands for billions of values
("billion laughs"; with `<<` a "merge bomb"). The values are counted before any of them is made.
"""

from typing import Any, Final

import yaml

from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["read_yaml"]

#: Values that aliases may add to those that are written out. 512 rooms that share all their keys need half as many.
MOST_ALIASED: Final = 100_000
TOO_MANY: Final = f"the aliases (*name) stand for more than {MOST_ALIASED:,} values: write the values out"


class _Loader(yaml.SafeLoader):
    """Accept YAML's safe types only; keys must be text and must not be repeated in a mapping."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        # PyYAML's own converters raise these, for example on `!!int x` or `2001-99-99`.
        except (ValueError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise _fault(node, f"is not a valid {kind}: {error}") from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _fault(key_node, f"key {key!r} is not text")
            if key in seen:
                raise _fault(key_node, f"duplicate key {key!r}")
            seen.add(key)
        mapping = super().construct_mapping(node, deep)
        for key in mapping:
            if not isinstance(key, str):
                raise _fault(node, f"key {key!r} is not text")
        return mapping


def read_yaml(text: str, source: str) -> Any:
    """Return the values of a YAML text. source: its name in reports. Raises ConfigurationError."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Sizes().check(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(source, [SettingFault("", _problem(error))]) from None


class _Sizes:
    """Counts the values that a node stands for: with all aliases replaced, and as written."""

    def __init__(self) -> None:
        self._sizes: dict[yaml.Node, int] = {}
        self._open: set[yaml.Node] = set()

    def check(self, root: yaml.Node) -> None:
        """Raise ConstructorError if aliases make too many values of a few, or an alias stands within its own value."""
        if self._size(root) - len(self._sizes) > MOST_ALIASED:
            raise _fault(root, TOO_MANY)

    def _size(self, node: yaml.Node) -> int:
        known = self._sizes.get(node)
        if known is not None:
            return known
        if node in self._open:
            raise _fault(node, "an alias (*name) refers to the value that it is a part of")
        self._open.add(node)
        size = 1
        if isinstance(node, yaml.CollectionNode):
            parts = (
                node.value if isinstance(node, yaml.SequenceNode) else [each for pair in node.value for each in pair]
            )
            for part in parts:
                is_alias = part in self._sizes
                size += self._size(part)
                if is_alias and size > MOST_ALIASED:
                    raise _fault(node, TOO_MANY)
        self._open.discard(node)
        self._sizes[node] = size
        return size


def _fault(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _problem(error: BaseException) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}"
    return "is not YAML: " + (str(error).splitlines() or [type(error).__name__])[0]
