"""The alphabets and escapes that more than one room judges by. Two copies of one would let two rooms part.

Sources: RFC 3986 (escapes), RFC 9110 section 5.6.2 (tokens), Unicode (controls, separators, surrogates), PHP (names).
"""

import re
import string

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
TOKEN = rf"[{re.escape(TOKEN_CHARACTERS)}]"
"""One character of an HTTP token; who uses it says how many."""
METHOD = re.compile(rf"{TOKEN}{{1,64}}")

UNSAFE = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
"""One character that has no place in a name, a header or a log line: a control character, a line or paragraph
separator, half of a surrogate pair."""
UNSAFE_TEXT = re.compile(UNSAFE)

BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# RFC 3986, section 2.3: letters, digits and - . _ ~ mean the same encoded or not, and gateways decode them.
NEEDLESS_ESCAPE = re.compile(r"%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE)

PHP_NAME = str.maketrans(". +", "___")
"""What PHP makes of these characters in the name of a parameter."""
