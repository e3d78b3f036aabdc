"""Names of cases that every process of a test run gives alike, nothing timed, and a watch for secrets over all of them."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import leaks

# A busy machine is no fault of what is tested.
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_LONGEST = 80
leaks.watch()


@pytest.fixture(autouse=True)
def nothing_tells_a_secret(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which a secret came out, whichever test it was."""
    home = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    leaks.found.clear()
    yield
    if home is not None:
        leaks.look_at_files(home)
    assert not leaks.found, f"a secret was told: {', '.join(leaks.found)}"


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Call a case by its parameter where its text is long (often a token, made anew in each process) or not ASCII."""
    if isinstance(val, str) and (len(val) > _LONGEST or not val.isascii()):
        return argname
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Send what a test wrote as text of UTF-8: tests of hostile text log half of a surrogate pair."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
