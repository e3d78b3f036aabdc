"""OPA itself, kept warm as a server on a socket in a directory: what it makes of a policy, and of an input."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from authorizer.policy.plan.values import UNDEFINED


def program():
    """Return the path of OPA: what OPA names, else the one on the path, else None."""
    return os.environ.get("OPA") or shutil.which("opa")


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class Opa:
    """A running server; a context manager."""

    def __init__(self, directory):
        self.path = str(Path(directory) / "opa.sock")

    def __enter__(self):
        command = [
            program(),
            "run",
            "--server",
            "--addr",
            f"unix://{self.path}",
            "--log-level",
            "error",
            "--disable-telemetry",
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"GOMAXPROCS": "1"}
        )
        for _ in range(600):
            if Path(self.path).exists():
                break
            time.sleep(0.05)
        self._connection = _Connection(self.path)
        return self

    def __exit__(self, *_):
        self._connection.close()
        self._process.terminate()
        self._process.wait(30)

    def ask(self, method, path, body):
        """Return status and decoded body."""
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def load(self, data, text):
        """Load data and a module in place of those before; return the codes of its errors."""
        self.ask("PUT", "/v1/data/base", json.dumps(data))
        status, body = self.ask("PUT", "/v1/policies/p", text)
        return () if status == 200 else tuple(error["code"] for error in body.get("errors", [body]))

    def evaluate(self, package, input_):
        """Return the package's document, or the code of the error, in a tuple."""
        status, body = self.ask("POST", f"/v1/data/{package}", json.dumps({"input": input_}))
        if status == 200:
            return body.get("result", UNDEFINED)
        return (body["errors"][0]["code"] if body.get("errors") else body["code"],)
