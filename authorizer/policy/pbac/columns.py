"""Columns of numbers and tables of texts, as JSON carries them: a million rows are a few long strings, not objects.

A column is a digit, the bytes of each number (1, 2 or 4; 8 for a double), followed by the numbers in base64 (RFC 4648
section 4), unsigned and little-endian. A table of texts is all of them in one string, with a column of their lengths.
"""

import binascii
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from authorizer.policy.pbac.form import TextsForm

_CODES = {"1": "B", "2": "H", "4": "I", "8": "d"}
_LARGEST = {"1": 0xFF, "2": 0xFFFF, "4": 0xFFFFFFFF}
_CHUNK = 65536
_SWAP = sys.byteorder == "big"


def pack(numbers: Sequence[int]) -> str:
    """Write numbers of 0 to 2**32-1, as narrow as they allow."""
    most = max(numbers, default=0)
    return _write(next(width for width, largest in _LARGEST.items() if most <= largest), numbers)


def pack_moments(moments: Sequence[float]) -> str:
    """Write numbers as doubles."""
    return _write("8", moments)


def _write(width: str, numbers: Sequence[float]) -> str:
    column = array(_CODES[width], numbers)
    if _SWAP:
        column.byteswap()
    return width + binascii.b2a_base64(column, newline=False).decode("ascii")


def unpack(text: str) -> "array[int]":
    """Read a column of whole numbers. Raises ValueError."""
    if text[:1] not in _LARGEST:
        raise ValueError("not a column of whole numbers")
    return _read(text, array(_CODES[text[0]]))


def unpack_moments(text: str) -> "array[float]":
    """Read a column of doubles. Raises ValueError."""
    if text[:1] != "8":
        raise ValueError("not a column of doubles")
    return _read(text, array("d"))


def _read(text: str, column: "array[Any]") -> "array[Any]":
    column.frombytes(binascii.a2b_base64(text[1:], strict_mode=True) if len(text) > 1 else b"")
    if _SWAP:
        column.byteswap()
    return column


def running(sizes: "array[int]") -> "array[int]":
    """Return where each part begins when parts of these sizes follow each other, and last where all end.

    Raises ValueError when that is beyond 2**32-1.
    """
    starts = array("I", [0])
    total = 0
    try:
        for part in chunks(sizes):
            ends = []
            for size in part:
                total += size
                ends.append(total)
            starts.extend(ends)
    except OverflowError:
        raise ValueError("too long") from None
    return starts


def chunks(column: "array[int]") -> Iterator["array[int]"]:
    """Yield a column in pieces, so that nobody waits long for a thread that works on a long one."""
    for start in range(0, len(column), _CHUNK):
        yield column[start : start + _CHUNK]


class Texts:
    """Many texts in one. A text is made when it is asked for."""

    def __init__(self, form: TextsForm) -> None:
        """Read a table of texts. Raises ValueError when the lengths do not add up."""
        self._all = form.text
        sizes = unpack(form.sizes)
        self._starts = running(sizes)
        self.longest = max(sizes, default=0)
        if self._starts[-1] != len(form.text):
            raise ValueError("texts and their lengths differ")

    def __len__(self) -> int:
        """Return how many texts there are."""
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        """Return a text by its position, which must be one."""
        return self._all[self._starts[number] : self._starts[number + 1]]


def pack_texts(texts: Iterable[str]) -> TextsForm:
    """Write texts in their order."""
    several = list(texts)
    return TextsForm("".join(several), pack([len(text) for text in several]))
