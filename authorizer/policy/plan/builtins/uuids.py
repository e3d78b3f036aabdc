"""UUIDs (RFC 9562): made from the evaluation's chance, and taken apart."""

import re
from collections.abc import Mapping
from typing import Final

from authorizer.policy.plan.builtins.calling import Builtin, contextual, text
from authorizer.policy.plan.context import Context
from authorizer.policy.plan.values import UNDEFINED, Value, key

_HEX = "[0-9a-fA-F]"
_DASHED = re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}")
_BARE = re.compile(rf"{_HEX}{{32}}")
_GREGORIAN: Final = 0x01B21DD213814000
"""Steps of 100 ns from 1582-10-15, where a UUID's time begins, to 1970."""
_DOMAINS: Final = {0: "Person", 1: "Group", 2: "Org"}


def _new(context: Context, name: Value) -> Value:
    known = ("uuid.rfc4122", key(name))
    if known not in context.cache:
        data = bytearray(context.random(16))
        data[6] = data[6] & 0x0F | 0x40
        data[8] = data[8] & 0x3F | 0x80
        shown = data.hex()
        context.cache[known] = "-".join((shown[:8], shown[8:12], shown[12:16], shown[16:20], shown[20:]))
    return context.cache[known]


def _read(source: str) -> bytes | None:
    if _BARE.fullmatch(source):
        return bytes.fromhex(source)
    if len(source) == 45 and source[:9].lower() == "urn:uuid:":
        source = source[9:]
    elif len(source) == 38:  # in braces, which OPA does not look at
        source = source[1:-1]
    return bytes.fromhex(source.replace("-", "")) if _DASHED.fullmatch(source) else None


def _variant(octet: int) -> str:
    if octet & 0xC0 == 0x80:
        return "RFC4122"
    return {0xC0: "Microsoft", 0xE0: "Future"}.get(octet & 0xE0, "Reserved")


def _parse(context: Context, value: Value) -> Value:
    context.budget.charge(50)
    data = _read(text(value, 1))
    if data is None:
        return UNDEFINED
    version = data[6] >> 4
    told: dict[str, Value] = {"version": version, "variant": _variant(data[8])}
    if version not in {1, 2}:
        return told
    stamp = int.from_bytes(data[:4]) | int.from_bytes(data[4:6]) << 32 | (int.from_bytes(data[6:8]) & 0x0FFF) << 48
    scope = "local" if data[10] & 2 else "global"
    told |= {
        "time": (stamp - _GREGORIAN) * 100,
        "nodeid": data[10:].hex("-"),
        "macvariables": f"{scope}:{'multicast' if data[10] & 1 else 'unicast'}",
        "clocksequence": int.from_bytes(data[8:10]) & 0x3FFF,
    }
    if version == 2:
        told |= {"id": int.from_bytes(data[:4]), "domain": _DOMAINS.get(data[9], f"Domain{data[9]}")}
    return told


BUILTINS: Final[Mapping[str, Builtin]] = {"uuid.parse": contextual(_parse), "uuid.rfc4122": contextual(_new)}
