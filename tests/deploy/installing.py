"""The chart as Helm installs it on a test's API server."""

import asyncio
from pathlib import Path
from typing import Any

import yaml

from tests.deploy import rendering
from tests.discovery.cluster import ApiServer

LEVELS = ("enforce", "warn", "audit")


def space(name: str, level: str = "restricted") -> dict[str, Any]:
    """Return a namespace that a pod security standard holds for."""
    labels = {f"pod-security.kubernetes.io/{each}": level for each in LEVELS}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def account(namespace: str, name: str = "default") -> dict[str, Any]:
    """Return a service account; there is no controller that makes the one of a namespace."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


async def helm(server: ApiServer, *words: str | Path) -> str:
    """Run Helm; it says warnings of the API server on stderr."""
    flags = (f"--kubeconfig={server.kubeconfig()}", "--burst-limit=1000", "--qps=1000")
    done = await asyncio.to_thread(rendering.helm, *words, *flags)
    assert (done.returncode, done.stderr) == (0, ""), words
    return done.stdout


async def installed(
    server: ApiServer, namespace: str, *words: str | Path, verb: str = "install"
) -> list[dict[str, Any]]:
    """Install the chart, or bring it up to date; return its objects with their namespaces."""
    await helm(server, verb, "x", f"--namespace={namespace}", *words)
    return await manifest(server, namespace)


async def manifest(server: ApiServer, namespace: str, what: str = "manifest") -> list[dict[str, Any]]:
    """Return the objects of a release, or with ``hooks`` the pods of ``helm test``."""
    text = await helm(server, "get", what, "x", f"--namespace={namespace}")
    objects = [value for value in yaml.safe_load_all(text) if value]
    for value in objects:
        value["metadata"].setdefault("namespace", namespace)
    return objects
