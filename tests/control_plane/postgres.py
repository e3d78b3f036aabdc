"""A real PostgreSQL: Debian's programs, a directory of its own, an ordinary user."""

import os
import shutil
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path

NOBODY = 65534


def programs() -> Path | None:
    """Return the directory of the server's programs, the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Database:
    """A server on loopback; each ``address`` is that of a new database."""

    def __init__(self, bin_directory: Path) -> None:
        self._bin = bin_directory
        self._numbers = count()
        self.directory = Path(tempfile.mkdtemp(prefix="authorizer-postgres-"))
        self.directory.chmod(0o755)
        if os.geteuid() == 0:  # the server refuses to run as root
            os.chown(self.directory, NOBODY, NOBODY)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.run("initdb", "-D", self._data, "-U", "authorizer", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()

    @property
    def _data(self) -> str:
        return str(self.directory / "data")

    def run(self, program: str, *arguments: str) -> None:
        as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        command = [*as_user, str(self._bin / program), *arguments]
        subprocess.run(command, check=True, cwd=self.directory, timeout=60, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.directory} -c fsync=off"
        self.run("pg_ctl", "-D", self._data, "-w", "-l", str(self.directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop it, unless it is stopped, and remove what it kept."""
        if Path(self._data, "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.directory)

    def address(self) -> str:
        name = f"d{next(self._numbers)}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "authorizer", name)
        return f"postgresql://authorizer:a-password-of-the-tests@127.0.0.1:{self.port}/{name}"
