"""Names of cases that every process of a test run gives alike: the run is spread over several; nothing is timed."""

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of what is tested.
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_LONGEST = 80


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
