"""A short run of the fuzzer that is steered by coverage; ``make fuzz`` is the long one."""

import asyncio
import sys
from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed (CPython below 3.13 on Linux)")
async def test_a_steered_fuzzer_finds_nothing(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tests.http2.fuzz_atheris",
        "-runs=400",
        "-seed=1",
        f"-artifact_prefix={tmp_path}/",
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    try:
        _, told = await asyncio.wait_for(process.communicate(), 120)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, told.decode()[-4000:]
    assert b"Done 400 runs" in told
