"""What the authorizers say of themselves, in OPA's form of a status (``management-status``)."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from authorizer.control_plane.server.answers import RefusalError
from authorizer.control_plane.server.bodies import parse_as
from authorizer.control_plane.server.store import Published, Status

MAX_NAME = 200
MAX_LABELS = 50
MAX_BUNDLES = 50


class BundleStatus(Struct, frozen=True, omit_defaults=True):
    """One bundle in an authorizer: what is in force there, and why nothing newer is. Times are as it wrote them."""

    active_revision: str = ""
    serial: int = 0
    last_successful_activation: str = ""
    last_successful_request: str = ""
    code: str = ""
    message: str = ""


class StatusReport(Struct, frozen=True):
    """The parts of a status that are kept; other members are passed over."""

    labels: dict[str, str]
    bundles: dict[str, BundleStatus | None] = {}


def read_status(body: bytes) -> tuple[str, bytes]:
    """Return the name of the authorizer (``labels.id``) and what is kept of its status. Raises RefusalError."""
    report = parse_as(body, StatusReport)
    if len(report.labels) > MAX_LABELS or len(report.bundles) > MAX_BUNDLES:
        raise RefusalError("bad_json", f"there are more than {MAX_LABELS} labels or {MAX_BUNDLES} bundles")
    return checked_name(report.labels.get("id", ""), "labels.id"), msgspec.json.encode(report)


def checked_name(name: str, what: str) -> str:
    """Return the name of an authorizer, or raise RefusalError."""
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise RefusalError("bad_request", f"{what} must be 1 to {MAX_NAME} printable characters")
    return name


def show(statuses: Iterable[Status], published: Mapping[str, Published], now: float) -> list[dict[str, object]]:
    """Return each authorizer with the age of its status in seconds and whether it has what is published."""
    return [_shown(status, published, now) for status in statuses]


def _shown(status: Status, published: Mapping[str, Published], now: float) -> dict[str, object]:
    report = msgspec.json.decode(status.body, type=StatusReport)
    return {
        "id": status.authorizer,
        "labels": report.labels,
        "age_seconds": round(max(0.0, now - status.heard), 3),
        "bundles": {
            kind: {
                **msgspec.to_builtins(bundle or BundleStatus()),
                "current": kind in published and (bundle or BundleStatus()).active_revision == published[kind].revision,
            }
            for kind, bundle in report.bundles.items()
        },
    }
