"""Reading the definition of a pump from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import ConfigurationError


def read_definition(path: Path) -> object:
    """Return the content of a file: YAML if its name ends in ``.yaml`` or ``.yml``, else JSON.

    Raises:
        ConfigurationError: it cannot be read, or something in it is there twice.
    """
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _parse_yaml(text) if is_yaml else json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: expected {'YAML' if is_yaml else 'JSON'} in UTF-8: {error}") from error


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r} is there twice in one object")
    return content


def _parse_yaml(text: str) -> object:
    # It takes a quarter of the time of importing the whole core.
    import yaml

    try:
        for line, key in _repeated_keys(yaml, yaml.compose(text, Loader=yaml.SafeLoader)):
            raise ValueError(f"line {line}: the key {key!r} is there twice in one mapping")
        content: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        # The text of the error quotes the file, in which there may be a secret.
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise ValueError(f"{where}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    return content


def _repeated_keys(yaml: Any, root: Any) -> Iterator[tuple[int, str]]:
    """Yield the keys that a mapping has more than once, and which the parser would pass over in silence."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:  # an anchor that is used again, perhaps within itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                pending.append(value)
                if isinstance(key.value, str) and key.value in keys:
                    yield key.start_mark.line + 1, key.value
                keys.add(str(key.value))
