"""docs/rego-builtins.md names every function that is refused, with the reason that the program gives."""

import re
from pathlib import Path

from authorizer.policy.plan.builtins import REFUSED

PAGE = (Path(__file__).parents[2] / "docs" / "rego-builtins.md").read_text(encoding="utf-8")


def test_the_table_of_refused_functions_is_that_of_the_code():
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", PAGE, re.MULTILINE)
    told = {name: why.replace("them,", "it,") for names, why in rows for name in re.findall(r"`([^`]+)`", names)}
    assert told == {name: why for name, why in REFUSED.items() if "google-re2" not in why}
