"""docs/policy-tools.md: its commands are commands, and every verb for authors stands there."""

import re
from pathlib import Path

from authorizer import cli

PAGE = (Path(__file__).parents[2] / "docs" / "policy-tools.md").read_text(encoding="utf-8")
ELSEWHERE = {"check", "build", "schema"}
"""Verbs that other pages tell of."""


def test_every_command_shown_is_one():
    commands = re.findall(r"`authorizer ([^`\n]+)`", PAGE)
    assert len(commands) > 2
    for command in commands:
        words = command.split()
        assert cli.parser(words).parse_args(words).run


def test_every_verb_has_a_row():
    (group,) = [action for action in cli.parser(["policy"])._actions if action.dest == "command"]
    (verbs,) = [action for action in group.choices["policy"]._actions if action.dest == "verb"]
    shown = set(re.findall(r"^\| `authorizer policy ([\w-]+)", PAGE, re.MULTILINE))
    assert set(verbs.choices) - ELSEWHERE == shown
