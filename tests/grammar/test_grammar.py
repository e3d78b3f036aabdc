"""The alphabets that rooms share: each holds exactly what its source says."""

import re
import string
import unicodedata
from urllib.parse import unquote

from authorizer import grammar

ASCII = [chr(code) for code in range(128)]
EVERYTHING = [chr(code) for code in range(0x110000)]


def test_a_token_is_visible_ascii_without_delimiters():
    visible = set(ASCII[0x21:0x7F])
    assert set(grammar.TOKEN_CHARACTERS) == visible - set('"(),/:;<=>?@[\\]{}')  # RFC 9110, section 5.6.2
    token = re.compile(grammar.TOKEN)
    assert {one for one in EVERYTHING if token.fullmatch(one)} == set(grammar.TOKEN_CHARACTERS)
    assert grammar.METHOD.fullmatch("M-SEARCH")
    assert not any(grammar.METHOD.fullmatch(text) for text in ("", "GET\n", "GE T", "G" * 65))


def test_unsafe_are_controls_separators_and_surrogates():
    unsafe = {one for one in EVERYTHING if grammar.UNSAFE_TEXT.search(one)}
    assert unsafe == {one for one in EVERYTHING if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"}}


def test_needless_are_the_escapes_of_unreserved_characters():
    escapes = [f"%{code:02{case}}" for code in range(256) for case in "xX"]
    needless = {unquote(escape, "latin-1") for escape in escapes if grammar.NEEDLESS_ESCAPE.fullmatch(escape)}
    assert needless == set(string.ascii_letters + string.digits + "-._~")  # RFC 3986, section 2.3
    assert not any(grammar.BAD_ESCAPE.search(escape) for escape in escapes)
    assert all(grammar.BAD_ESCAPE.search(text) for text in ("%", "%4", "a%4g", "%%41", "%\uff11\uff11"))
