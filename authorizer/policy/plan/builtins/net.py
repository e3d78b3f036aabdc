"""IP addresses and CIDR blocks, version 4 and 6, read as Go's package ``net`` does."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from typing import Final

from authorizer.policy.plan.builtins.calling import DEEP, Builtin, contextual, elements, text
from authorizer.policy.plan.context import Context, charge_order
from authorizer.policy.plan.values import BuiltinError, Set, Value, set_of, sorted_items, sorted_values

Network = IPv4Network | IPv6Network
_MAPPED: Final = 0xFFFF << 32
_LOW: Final = (1 << 32) - 1
_LONGEST: Final = 64


_READ: Final = 60
"""The cost of reading a block or an address."""


def _address(source: str) -> IPv4Address | IPv6Address | None:
    """Return an address, one of version 4 that is mapped into version 6 as version 4; None if it is none."""
    if len(source) > _LONGEST or "%" in source or not source.isascii():
        return None
    try:
        if ":" not in source:
            return IPv4Address(source)
        found = IPv6Address(source)
    except ValueError:
        return None
    return found.ipv4_mapped or found


def _network(source: str) -> Network:
    """Return the block that ``address/length`` is in. Raises BuiltinError."""
    shown, slash, length = source.partition("/")
    found = _address(shown)
    if found is None or not slash or not length.isascii() or not length.isdigit() or len(length) > 3:
        raise BuiltinError("invalid CIDR address")
    size, bits = (32, 4) if ":" not in shown else (128, 6)
    if int(length) > size:
        raise BuiltinError("invalid CIDR address")
    if bits == 6 and isinstance(found, IPv4Address):
        # A block of mapped addresses stays one of version 6, as Go masks it.
        return IPv6Network((_MAPPED | int(found), int(length)), strict=False)
    return type_of(found)((int(found), int(length)), strict=False)


def type_of(address: IPv4Address | IPv6Address) -> type[IPv4Network] | type[IPv6Network]:
    """Return the type of the blocks of an address's version."""
    return IPv4Network if isinstance(address, IPv4Address) else IPv6Network


def _operand(value: Value) -> Network:
    return _network(text(value, 1))


def _bounds(network: Network) -> tuple[int, int, int]:
    """Return version, first and last address; blocks of mapped addresses count as version 4."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == 6 and first >> 32 == 0xFFFF and last >> 32 == 0xFFFF:
        return 4, first & 0xFFFFFFFF, last & 0xFFFFFFFF
    return network.version, first, last


@lru_cache(maxsize=4096)
def _block(source: str) -> tuple[int, int, int]:
    """Return the bounds of a block. Lists of blocks are the same for every request, so they are read once."""
    return _bounds(_network(source))


@lru_cache(maxsize=4096)
def _inner(source: str) -> tuple[int, int, int]:
    """Return the bounds of a block or of a single address."""
    address = _address(source)
    return _block(source) if address is None else (address.version, int(address), int(address))


def _contains(context: Context, value: Value, inner: Value) -> bool:
    context.budget.charge(_READ)
    return _holds(value, inner)


def _holds(value: Value, inner: Value) -> bool:
    outer, within = _block(text(value, 1)), _inner(text(inner, 1))
    return outer[0] == within[0] and outer[1] <= within[1] and within[2] <= outer[2]


def _intersects(context: Context, value: Value, other: Value) -> bool:
    context.budget.charge(2 * _READ)
    a, b = _bounds(_operand(value)), _bounds(_operand(other))
    return a[0] == b[0] and a[1] <= b[2] and b[1] <= a[2]


def _is_valid(context: Context, value: Value) -> bool:
    context.budget.charge(_READ)
    try:
        return type(value) is str and bool(_network(value))
    except BuiltinError:
        return False


def _expand(context: Context, value: Value) -> Set:
    context.budget.charge(_READ)
    version, first, last = _bounds(_operand(value))
    context.budget.charge(8 * (last - first + 1))
    kind = IPv4Address if version == 4 else IPv6Address
    return set_of(str(kind(number)) for number in range(first, last + 1))


def _named(context: Context, value: Value, position: int) -> Iterator[tuple[Value, Value]]:
    """Yield the blocks of an operand of ``cidr_contains_matches``, each with what names it in the result.

    What is neither a string nor a collection has none.
    """
    if type(value) in DEEP:
        context.budget.charge(len(value))
    if type(value) is list:
        pairs = list(enumerate(value))
    elif type(value) is Set:
        charge_order(value.items, context.budget)
        pairs = [(each, each) for each in sorted_values(value)]
    elif type(value) is dict:
        charge_order(value, context.budget)
        pairs = sorted_items(value)
    else:
        if type(value) is str:
            yield value, value
        return
    for name, each in pairs:
        if type(each) is not str and not (type(each) is list and each):
            raise BuiltinError(f"operand {position}: element must be string or non-empty array")
        yield name, each[0] if type(each) is list else each


def _contains_matches(context: Context, outer: Value, inner: Value) -> Set:
    found: list[Value] = []
    for name, block in _named(context, outer, 1):
        context.budget.charge(8)
        for inner_name, candidate in _named(context, inner, 2):
            context.budget.charge(40)
            if _holds(block, candidate):
                found.append([name, inner_name])
    return set_of(found)


def _default_length(address: IPv4Address) -> int:
    """Return the length of the class that an address was in before CIDR, which Go takes for one without a mask."""
    first = int(address) >> 24
    return 8 if first < 0x80 else 16 if first < 0xC0 else 24


def _mergeable(value: Value) -> tuple[int, int, str]:
    """Return first and last address of an element of ``cidr_merge``, and how it is told if it stays alone.

    An address of version 4 counts as the one of version 6 that it is mapped to: a block of that version may hold it.
    """
    if type(value) is not str:
        raise BuiltinError("element must be string")
    address = _address(value)
    if address is None:
        version, first, last = _block(value)
        return *(_mapped(first, last) if version == 4 else (first, last)), ""
    if isinstance(address, IPv6Address):
        raise BuiltinError("IPv6 invalid: needs prefix length")
    length = _default_length(address)
    block = IPv4Network((int(address), length), strict=False)
    return *_mapped(int(block.network_address), int(block.broadcast_address)), f"{address}/{length}"


def _mapped(first: int, last: int) -> tuple[int, int]:
    return _MAPPED | first, _MAPPED | last


def _merge(context: Context, value: Value) -> Set:
    listed = elements(value, 1)
    context.budget.charge(100 * len(listed))
    merged: list[tuple[int, int, str]] = []
    for first, last, shown in sorted(map(_mergeable, listed), key=lambda each: (each[1], each[0])):
        name = shown
        start = first
        while merged and start <= merged[-1][1] + 1:
            start = min(start, merged.pop()[0])
            name = ""
        merged.append((start, last, name))
    made: list[str] = []
    for first, last, shown in merged:
        if shown:
            made.append(shown)
        elif first >> 32 == last >> 32 == 0xFFFF:
            made += map(str, summarize_address_range(IPv4Address(first & _LOW), IPv4Address(last & _LOW)))
        else:
            made += map(str, summarize_address_range(IPv6Address(first), IPv6Address(last)))
    return set_of(made)


BUILTINS: Final[Mapping[str, Builtin]] = {
    "net.cidr_contains": contextual(_contains),
    "net.cidr_contains_matches": contextual(_contains_matches),
    "net.cidr_expand": contextual(_expand),
    "net.cidr_intersects": contextual(_intersects),
    "net.cidr_is_valid": contextual(_is_valid),
    "net.cidr_merge": contextual(_merge),
    "net.cidr_overlap": contextual(_contains),
}
