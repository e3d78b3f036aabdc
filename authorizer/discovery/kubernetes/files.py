"""Kubernetes objects from YAML files: what would be applied, read as if it were."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from authorizer.discovery.kubernetes.kinds import Kind, kept, kind_of
from authorizer.errors import DiscoveryError

MAX_BYTES = 16 << 20
MAX_DOCUMENTS = 100_000


def read(content: bytes, file: str) -> tuple[list[tuple[Kind, Mapping[str, Any]]], list[str]]:
    """Return the objects that say something of requests, and the kinds of the others, each once.

    Raises DiscoveryError AZ606 for what is not YAML, or is too much.
    """
    if len(content) > MAX_BYTES:
        raise DiscoveryError("AZ606", f"{file} is larger than {MAX_BYTES} bytes")
    found: list[tuple[Kind, Mapping[str, Any]]] = []
    others: dict[str, None] = {}
    try:
        for value in _objects(yaml.load_all(content, Loader=yaml.CSafeLoader)):
            kind = kind_of(value)
            if kind is None:
                others[f"{value.get('apiVersion')} {value.get('kind')}"] = None
            else:
                found.append((kind, kept(kind, value)))
            if len(found) > MAX_DOCUMENTS:
                raise DiscoveryError("AZ606", f"{file} has more than {MAX_DOCUMENTS} objects")
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise DiscoveryError("AZ606", f"{file} is not YAML: {why}") from None
    return found, list(others)


def _objects(values: Iterator[Any]) -> Iterator[Mapping[str, Any]]:
    for value in values:
        if not isinstance(value, dict):
            continue
        items = value.get("items")
        if isinstance(items, list) and str(value.get("kind")).endswith("List"):
            yield from (each for each in items if isinstance(each, dict))
        else:
            yield value
