"""What can be unsafe in a gateway's configuration: one stable code each, with how bad it is and the cure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from authorizer.errors import Place, Problem, Severity
from authorizer.gateways.site import MESSAGE_MARGIN, of_gateway

LONG_TIMEOUT: Final = 5.0
"""Seconds. Who waits longer than this for an answer keeps requests until it is overrun."""

_RULES: tuple[tuple[Severity, str, str], ...] = (
    ("error", "AZ910", "ask the authorizer on every listener; `authorizer gateway` prints how"),
    ("error", "AZ911", "let no answer mean no"),
    ("error", "AZ912", "200 to 500 ms; a decision takes far less"),
    ("error", "AZ913", "ask there too; what everybody may see is said by a policy"),
    ("error", "AZ914", "ask without conditions; what everybody may see is said by a policy"),
    ("error", "AZ915", "obey each denial, and ask each time"),
    ("error", "AZ916", "let the gateway clean or refuse such paths"),
    ("error", "AZ917", "let the gateway refuse or drop such names"),
    ("error", "AZ918", "believe the connection, or trusted proxies only"),
    ("warning", "AZ919", "let nobody reach the gateway but through those proxies"),
    ("error", "AZ920", "remove the client's own, or set it from the connection"),
    ("error", "AZ921", "list each of identity_headers, so that a client's own copy is replaced or removed"),
    ("error", "AZ922", "list names"),
    ("error", "AZ923", "use TLS, a Unix socket, or the same machine"),
    ("error", "AZ924", "name the authority and the name in the authorizer's certificate"),
    ("warning", "AZ925", "send headers and bodies as they are, where the gateway can"),
    ("warning", "AZ926", "validate_mutations: true"),
    ("error", "AZ927", "send the body to the check, or do not read it in policies"),
    ("error", "AZ928", "send less than ext_authz.max_message_bytes, or raise that"),
    ("error", "AZ929", "tell the authorizer the request as the gateway got it, and nothing that the client wrote"),
    ("error", "AZ930", "change paths before the check, or not at all"),
    ("error", "AZ931", "bind it to a loopback address"),
    ("warning", "AZ932", "look yourself"),
    ("warning", "AZ933", "send all headers, or each that a policy reads"),
    ("error", "AZ934", "take Connection away before the check; an upgrade may stay"),
)  # fmt: skip
_BY_CODE: Mapping[str, tuple[Severity, str]] = {code: (severity, cure) for severity, code, cure in _RULES}


class Expected(Struct, frozen=True, kw_only=True):
    """What the authorizer's settings ask of a gateway.

    ``certificate`` is the header in which the HTTP door hears of client certificates; ``message_bytes`` is the largest
    check; ``bodies``: policies read bodies.
    """

    identity: tuple[str, ...] = ()
    certificate: str = ""
    message_bytes: int = 4 << 20
    bodies: bool = False

    @property
    def certificates(self) -> tuple[str, ...]:
        """The headers in which only the gateway may tell of a client certificate."""
        return of_gateway(self.certificate)

    def fits(self, body_bytes: float) -> bool:
        """Tell whether the door takes a check with such a body."""
        return body_bytes + MESSAGE_MARGIN <= self.message_bytes


def finding(code: str, message: str, place: Place) -> Problem:
    """Return what is unsafe, with the cure."""
    severity, cure = _BY_CODE[code]
    return Problem(code, message, place, cure, severity)
