"""The page on gateways names every profile and every flag, and its links lead somewhere."""

import re
from pathlib import Path

from authorizer.discovery.flags import MEANING
from authorizer.doors.forward_auth_profiles import PREFIX, PROFILES
from authorizer.settings import IDENTITY_HEADERS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gateways.md").read_text(encoding="utf-8")


def test_every_flag_is_explained_as_the_program_explains_it() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", PAGE, re.MULTILINE))
    assert rows == MEANING


def test_every_profile_has_its_address() -> None:
    assert {f"{PREFIX}{name}" for name in PROFILES} == set(re.findall(rf"{PREFIX}[a-z]+", PAGE))


def test_every_identity_header_is_copied_in_each_example() -> None:
    deploy = DOCS.parent / "deploy"
    for text in (
        PAGE,
        (deploy / "caddy" / "Caddyfile").read_text(),
        (deploy / "nginx" / "authorizer.conf").read_text(),
    ):
        assert set(IDENTITY_HEADERS) <= set(re.findall(r"x-auth-[a-z]+", text.lower()))


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", PAGE):
        assert (DOCS / link).exists(), link
