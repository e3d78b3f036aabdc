"""Digests and message authentication codes, in hexadecimal. MD5 and SHA-1 tell texts apart; they protect nothing."""

import hmac
from collections.abc import Callable, Mapping
from hashlib import new
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, contextual, encoded, spend
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import Value


def _digest(algorithm: str) -> Callable[[Context, Value], str]:
    def compute(context: Context, value: Value) -> str:
        data = encoded(value, 1)
        spend(context, len(data))
        return new(algorithm, data, usedforsecurity=False).hexdigest()

    return compute


def _authentication(algorithm: str) -> Callable[[Context, Value, Value], str]:
    def compute(context: Context, value: Value, secret: Value) -> str:
        data, key = encoded(value, 1), encoded(secret, 2)
        spend(context, len(data) + len(key))
        return hmac.digest(key, data, algorithm).hex()

    return compute


def _equal(context: Context, first: Value, second: Value) -> bool:
    a, b = encoded(first, 1), encoded(second, 2)
    spend(context, len(a))
    return hmac.compare_digest(a, b)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "crypto.hmac.equal": contextual(_equal),
    "crypto.md5": contextual(_digest("md5")),
    "crypto.sha1": contextual(_digest("sha1")),
    "crypto.sha256": contextual(_digest("sha256")),
    **{f"crypto.hmac.{name}": contextual(_authentication(name)) for name in ("md5", "sha1", "sha256", "sha512")},
}
