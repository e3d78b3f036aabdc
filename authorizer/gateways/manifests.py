"""YAML files of several documents, each with its line, and TOML. What has an unexpected shape reads as empty."""

import tomllib
from collections.abc import Mapping
from typing import Any

import yaml
from msgspec import Struct

from authorizer.errors import GatewayError, Place

MAX_BYTES = 16 << 20
MAX_DOCUMENTS = 10_000


class Document(Struct, frozen=True):
    """One document; ``kind`` is that of a Kubernetes object, or empty. The items of a ``List`` are documents too."""

    place: Place
    value: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of Kubernetes object."""
        return text(self.value, "kind")


def read(content: str, file: str) -> list[Document]:
    """Return the documents that are mappings. Raises GatewayError AZ901 for what is not YAML, or too much of it."""
    found: list[Document] = []
    if len(content) > MAX_BYTES:
        raise GatewayError("AZ901", f"{file} is larger than {MAX_BYTES} bytes")
    try:
        loader = yaml.SafeLoader(content)
        while loader.check_node():
            node = loader.get_node()
            place = Place(file, node.start_mark.line + 1 if node else 0, 1)
            value = loader.construct_document(node)
            if not isinstance(value, dict):
                continue
            inner = items(value, "items") if text(value, "kind").endswith("List") else [value]
            found += [Document(place, each) for each in inner]
            if len(found) > MAX_DOCUMENTS:
                raise GatewayError("AZ901", f"{file} has more than {MAX_DOCUMENTS} documents")
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise GatewayError("AZ901", f"{file} is not YAML: {why}") from None
    return found


def read_toml(content: str, file: str) -> list[Document]:
    """Return the one document of a TOML file. Raises GatewayError AZ901."""
    try:
        return [Document(Place(file), tomllib.loads(content))]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise GatewayError("AZ901", f"{file} is not TOML: {error}") from None


def item(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping in a mapping."""
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def items(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the mappings in a list."""
    value = holder.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(holder: Mapping[str, Any], name: str) -> str:
    """Return a text."""
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def flag(holder: Mapping[str, Any], name: str) -> bool:
    """Tell whether a switch is on."""
    return holder.get(name) is True


def name_of(value: Mapping[str, Any]) -> str:
    """Return ``Kind namespace/name`` of a Kubernetes object."""
    metadata = item(value, "metadata")
    return f"{text(value, 'kind')} {text(metadata, 'namespace') or 'default'}/{text(metadata, 'name')}"
