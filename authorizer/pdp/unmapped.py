"""Requests that no route is for, to hosts of applications that let such pass or want to know of them."""

from collections.abc import Mapping

from msgspec import Struct

from authorizer.pdp.attributes import make_extractor
from authorizer.pdp.guards import Guard
from authorizer.policy.pbac import Program, Route
from authorizer.policy.templates import parse_host

_STRICT = ("deny", "observe", "allow")


class Unmapped(Struct, frozen=True):
    """What becomes of them at one host: ``word`` is observe (they are denied, and the log says why) or allow."""

    word: str
    guard: Guard


def unmapped_hosts(program: Program) -> Mapping[str, Unmapped]:
    """Return by host pattern what is not plainly denied. Of applications that share one the strictest word counts."""
    words: dict[str, tuple[str, str]] = {}
    for route in program.routes:
        word = program.unmapped[route.application]
        for host in map(parse_host, route.hosts):
            known = words.setdefault(host, (word, route.application))
            if _STRICT.index(word) < _STRICT.index(known[0]):
                words[host] = word, route.application
    return {
        host: Unmapped(word, _guard(application, host)) for host, (word, application) in words.items() if word != "deny"
    }


def _guard(application: str, host: str) -> Guard:
    route = Route(
        index=-1,
        application=application,
        hosts=(host,),
        method="*",
        template="*",
        right="",
        feature="",
        sources=(),
        lookup_table="",
        accepts=frozenset(),
        place="",
    )
    return Guard(route, make_extractor(()), "unmapped", None)
