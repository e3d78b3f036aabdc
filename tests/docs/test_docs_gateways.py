"""docs/gateways.md tells each gateway's contract as the doors keep it, and shows configurations that are those we test."""

import re
from pathlib import Path

import pytest
import yaml

from authorizer.doors.forward_auth_profiles import PROFILES
from authorizer.gateways.envoy import Check, ext_authz
from authorizer.settings import IDENTITY_HEADERS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "gateways.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]
ROWS = {
    "envoy": "Envoy (HTTP)", "traefik": "Traefik", "nginx": "nginx", "caddy": "Caddy", "haproxy": "HAProxy", "kong": "Kong",
    "apisix": "APISIX",
}  # fmt: skip


def cells(title: str) -> list[str]:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {title} |") and line.count("|") > 5)
    return line.strip("|").split("|")


def cell(name: str, column: str) -> str:
    return cells(ROWS[name])[cells("gateway").index(f" {column} ")]


def carriers(text: str) -> set[str]:
    """Return the header names of a cell, in which ``-Uri`` is short for the first name with another ending."""
    names = re.findall(r"`([^`]+)`", text)
    return {(names[0].rpartition("-")[0] + name if name.startswith("-") else name).lower() for name in names}


def test_every_profile_has_a_row():
    assert ROWS.keys() == PROFILES.keys()
    for name in ROWS:
        assert f"`/authz/{name}`" in cell(name, "asks")


@pytest.mark.parametrize("name", ROWS)
def test_each_profile_reads_the_headers_that_the_page_names(name):
    profile = PROFILES[name]
    told = carriers(cell(name, "method, path, host in")) | carriers(cell(name, "scheme in"))
    assert told == profile.carriers - {profile.client}


@pytest.mark.parametrize("name", ROWS)
def test_each_profile_obeys_as_the_page_says(name):
    profile = PROFILES[name]
    shown = {
        "400 to 499; others become 403": set(range(400, 500)),
        "401 and 403; others become 403": {401, 403},
        "as they are": set(range(400, 600)),
    }
    assert shown[cell(name, "denials that reach the client").strip()] == profile.statuses
    assert (cell(name, "body").strip() != "never") is profile.sends_body


def test_the_filter_for_envoys_http_mode_is_the_one_that_is_tested():
    assert BLOCKS[0] == ext_authz(Check(address="127.0.0.1:9192", protocol="http"))


def test_traefik_is_told_every_identity_header():
    forward_auth = BLOCKS[1]["http"]["middlewares"]["authorizer"]["forwardAuth"]
    assert {name.lower() for name in forward_auth["authResponseHeaders"]} == set(IDENTITY_HEADERS)
    assert len(BLOCKS) == 2
