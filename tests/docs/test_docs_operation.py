"""docs/operation.md: addresses, credentials and exit statuses are those of the code."""

import re
from pathlib import Path

from authorizer import cli, errors, settings
from authorizer.control_plane.server import api

PAGE = (Path(__file__).parents[2] / "docs" / "operation.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a text."""
    lines = PAGE.partition(heading)[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return table


def test_every_address_of_the_control_plane_with_its_credential():
    shown = [tuple(cell.strip("`") for cell in row[:3]) for row in rows("## Control plane")]
    known = [(method, address, role or "none") for method, address, role, _ in api._TABLE]
    assert sorted(shown) == sorted([*known, ("GET", "/metrics", "authorizer")])


def test_every_exit_status():
    shown = {int(row[0]) for row in rows("## Exit statuses")}
    raised = {
        error.exit_status for error in vars(errors).values() if isinstance(error, type) and "exit_status" in vars(error)
    }
    assert shown == {0, 2, 4, 130} | raised
    assert {
        int(number) for number in re.findall(r"\b(\d{1,3}) [a-z]", cli.__doc__.partition("Exit status:")[2])
    } == shown


def test_the_configuration_shown_is_good():
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert settings.load(text, "authorizer.yaml").control_plane.keys["main"].algorithm == "ES256"


def test_every_command_shown_is_one():
    commands = re.findall(r"^authorizer ([^#\n]+)", PAGE, re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        words = command.split()
        assert cli.parser(words).parse_args(words).run
