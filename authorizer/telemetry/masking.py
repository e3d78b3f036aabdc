"""Text that leaves the process: secrets masked, every character printable, every length bounded."""

import re

from authorizer.grammar import UNSAFE_TEXT

_SECRETS = re.compile(
    r"\beyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,4}"  # a JWS or JWE in compact form starts with '{"' in base64url
    r"|\bazk_[a-z2-7]{4,}_[A-Za-z0-9_-]{4,}"  # an API key of ours
    r"|(?i:\b(bearer|basic|dpop)\s+)(?=[^\s]*[A-Z0-9=])[A-Za-z0-9._~+/=-]{4,}",  # but not "bearer credential"
)


def masked(text: str, limit: int = 2048) -> str:
    """Return ``text`` cut to ``limit`` characters, credentials replaced, surrogates and control characters escaped.

    The result is valid UTF-8 and has no line break: one event stays one line, whoever wrote the text.
    """
    cut = text if len(text) <= limit else text[:limit] + "..."
    if not (cut.isascii() and cut.isprintable()):
        cut = cut.encode("utf-8", "backslashreplace").decode("utf-8")
        cut = UNSAFE_TEXT.sub(lambda found: f"\\x{ord(found[0]):02x}", cut)
    return _SECRETS.sub(lambda found: f"{found[1]} ***" if found[1] else "***", cut)
