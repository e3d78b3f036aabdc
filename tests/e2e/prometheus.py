"""A real Prometheus with the rules that we ship. A minute of theirs takes a second: only durations are rewritten."""

import asyncio
import json
import re
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from authorizer.demo.parts import free_port
from authorizer.demo.processes import Children
from tests.e2e.world import listening

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "authorizer.rules.yml"
_SECONDS = {"m": 1, "h": 60}


def hurried(text: str) -> str:
    """Let each minute of an expression last a second."""
    return re.sub(r"\b(\d+)([mh])\b", lambda found: f"{int(found[1]) * _SECONDS[found[2]]}s", text)


def rules() -> dict[str, Any]:
    """Return the rules, hurried."""
    shipped = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for rule in shipped["groups"][0]["rules"]:
        rule["expr"] = hurried(rule["expr"])
        if "for" in rule:
            rule["for"] = hurried(rule["for"])
    return shipped


class Prometheus:
    """A Prometheus that scrapes every second. ``targets`` may be replaced while it runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._url = ""
        self._targets: list[str] = []

    async def start(self, children: Children, jobs: Iterable[Mapping[str, Any]] = ()) -> None:
        """Start it with further ``jobs`` beside the authorizers."""
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("prometheus is not installed; .ci/interop says how to get it")
        self.scrape()
        (self._directory / "rules.yml").write_text(yaml.safe_dump(rules()))
        found = {"files": [str(self._directory / "targets.json")], "refresh_interval": "1s"}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(self._directory / "rules.yml")],
            "scrape_configs": [{"job_name": "authorizer", "file_sd_configs": [found]}, *jobs],
        }
        (self._directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{free_port()}"
        command = [program, "--config.file", self._directory / "prometheus.yml"]
        command += ["--storage.tsdb.path", self._directory / "tsdb", "--web.listen-address", address]
        command += ["--enable-feature=exemplar-storage", "--log.level=warn"]
        await children.start("prometheus", command, log=self._directory / "prometheus.log")
        await listening(address)
        self._url = f"http://{address}/api/v1/"
        async with asyncio.timeout(30), aiohttp.ClientSession(trust_env=False) as session:
            while True:
                async with session.get(f"http://{address}/-/ready") as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.1)

    def scrape(self, *targets: str) -> None:
        """Scrape these authorizers too."""
        self._targets += targets
        unready = self._directory / "targets.part"
        unready.write_text(json.dumps([{"targets": self._targets}]))
        unready.rename(self._directory / "targets.json")

    async def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer of its HTTP API."""
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(self._url + path, params=query) as answer,
        ):
            told = await answer.json()
        assert told["status"] == "success", told
        return told["data"]

    async def value(self, query: str) -> float | None:
        """Return the value of a query that has one, None when it has none."""
        found = (await self.ask("query", query=query))["result"]
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = (await self.ask("alerts"))["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def fires(self, *names: str, seconds: float = 90) -> None:
        """Wait until each of these alerts has fired."""
        missing, end = set(names), time.monotonic() + seconds
        while missing := missing - await self.firing():
            if time.monotonic() > end:
                pytest.fail(f"{missing} did not fire: {await self.ask('alerts')}")
            await asyncio.sleep(0.5)
