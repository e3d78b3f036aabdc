"""``python -m tests.http2.h2spec H2SPEC``: the native door under h2spec, a conformance test of RFC 7540 and RFC 7541.

Ends well when every case passes but those named here, which must fail: an exception that is none any more is an error.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from authorizer.doors import ext_authz, native
from authorizer.http2.limits import Limits

SELF_DEPENDENCY = "RFC 9113 took out the priorities of RFC 7540, section 5.3.1 among them; PRIORITY is read and ignored"
EXCEPTIONS = {
    ("http2/5.3.1", "Sends HEADERS frame that depend on itself"): SELF_DEPENDENCY,
    ("http2/5.3.1", "Sends PRIORITY frame that depend on itself"): SELF_DEPENDENCY,
}
SECTIONS = ("generic", "http2", "hpack")


async def failures(program: str, report: Path) -> tuple[int, set[tuple[str, str]]]:
    """Return how many cases ran, and which of them failed: (section, title)."""
    allow = ext_authz.FIXED["internal_error"]
    door = native.NativeDoor(
        lambda _: allow, ext_authz.FIXED.__getitem__, lambda: True, limits=Limits(), breach=lambda _: None
    )
    await door.open("127.0.0.1:0")
    try:
        host, _, port = door.address.rpartition(":")
        flags = ("--strict", "--timeout", "2", "--junit-report", str(report), "--host", host, "--port", port)
        process = await asyncio.create_subprocess_exec(program, *SECTIONS, *flags, stdout=asyncio.subprocess.DEVNULL)
        async with asyncio.timeout(300):
            await process.wait()
    finally:
        await door.close(0)
    cases = list(ET.parse(report).iter("testcase"))  # written by the program we have just run
    failed = {
        (case.get("package", ""), case.get("classname", ""))
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    return len(cases), failed


def main(program: str) -> int:
    """Run all sections and tell what is not as expected."""
    with tempfile.TemporaryDirectory() as folder:
        count, failed = asyncio.run(failures(str(Path(program).resolve()), Path(folder, "report.xml")))
    wrong = [f"failed: {section}: {title}" for section, title in sorted(failed - EXCEPTIONS.keys())]
    wrong += [
        f"passes, but is named as an exception: {section}: {title}"
        for section, title in sorted(EXCEPTIONS.keys() - failed)
    ]
    if count < 100:
        wrong.append(f"only {count} cases ran")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"h2spec: {count} cases, {count - len(failed)} passed")
    for (section, title), reason in EXCEPTIONS.items():
        print(f"  not meant to pass: {section}: {title} ({reason})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
