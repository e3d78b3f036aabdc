"""The chart as Helm renders it, for tests. Helm is asked once a values file."""

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "helm/authorizer"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
KUBERNETES = "1.36.0"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "authorizer/deploy"


def tool(name: str) -> str:
    """Return the path of a program that .ci/check-deploy builds; skips the test where there is none."""
    found = shutil.which(name, path=f"{_CACHE}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"needs {name}: make check-deploy builds it")
    return found


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Helm."""
    return subprocess.run([tool("helm"), *arguments], check=False, capture_output=True, text=True, timeout=60)


@functools.cache
def text(case: Path, *flags: str) -> str:
    """Return all objects of a values file, as text."""
    done = helm("template", "x", CHART, "--namespace=apps", f"--kube-version={KUBERNETES}", f"--values={case}", *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(name: str, *flags: str) -> list[Mapping[str, Any]]:
    """Return the objects that ``ci/NAME-values.yaml`` makes."""
    found = yaml.safe_load_all(text(CHART / f"ci/{name}-values.yaml", *flags))
    return [value for value in found if value]


def one(name: str, kind: str, *flags: str, suffix: str = "") -> Mapping[str, Any]:
    """Return the only object of a kind whose name ends so."""
    (found,) = (
        each for each in objects(name, *flags) if each["kind"] == kind and each["metadata"]["name"].endswith(suffix)
    )
    return found


def pods(name: str) -> list[Mapping[str, Any]]:
    """Return the pods that ``ci/NAME-values.yaml`` leads to, each as a Pod of its own."""
    made = []
    for each in objects(name):
        if each["kind"] == "Pod":
            made.append(each)
        elif "template" in each["spec"] if "spec" in each else False:
            template = each["spec"]["template"]
            metadata = {"name": each["metadata"]["name"], **template["metadata"]}
            made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    return made
