"""docs/discovery.md explains every flag as the program does."""

import re
from pathlib import Path

from authorizer.discovery.flags import MEANING

PAGE = (Path(__file__).parents[2] / "docs" / "discovery.md").read_text(encoding="utf-8")


def test_every_flag_is_explained_as_the_program_explains_it() -> None:
    assert dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", PAGE, re.MULTILINE)) == MEANING
