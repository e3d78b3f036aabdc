"""Where the settings send decisions and spans, each with its own buffer and its own counts."""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from authorizer import __version__
from authorizer.settings import STDOUT, Settings, Traces, Upload
from authorizer.telemetry import otlp, sinks
from authorizer.telemetry.courier import Sink, Tally
from authorizer.telemetry.decision_event import maker
from authorizer.telemetry.decision_log import DecisionLog
from authorizer.telemetry.log_rules import Rules
from authorizer.telemetry.metrics import Metrics
from authorizer.telemetry.spool import Spool
from authorizer.telemetry.traces import Spans
from authorizer.telemetry.upload import OPA, Server, to_server


def decision_logs(
    settings: Settings, metrics: Metrics, clock: Callable[[], float], stdout: Sink | None = None, worker: int = 0
) -> list[DecisionLog]:
    """Return the decision logs of a process; ``stdout`` replaces its own. Raises OSError for files of no use."""
    told = settings.log
    line = maker(labels(settings), Rules(told.erase, told.replace, told.drop))
    found = []
    if told.decisions:
        name = "stdout" if told.decisions == STDOUT else "file"
        near = (stdout or sinks.to_stdout()) if name == "stdout" else sinks.to_file(Path(told.decisions))
        found.append(DecisionLog(line, near, clock, _tally(metrics, name)))
    upload = told.upload
    if upload.url:
        opa = upload.protocol == "opa"
        server = _server(upload, "/logs" if opa else "/v1/logs")
        far = to_server(server, OPA if opa else otlp.logs(labels(settings)))
        spool = (
            Spool(Path(upload.buffer), upload.buffer_bytes // settings.workers, worker, settings.workers)
            if upload.buffer
            else None
        )
        found.append(DecisionLog(line, far, clock, _tally(metrics, upload.protocol), spool=spool))
    metrics.log_waiting = lambda: sum(each.waiting for each in found)
    return found


def traces(settings: Settings, metrics: Metrics, clock: Callable[[], float]) -> Spans | None:
    """Return where spans go, None for nowhere. Raises OSError for files of no use."""
    told = settings.traces
    if not told.url:
        return None
    sink = to_server(_server(told, "/v1/traces"), otlp.spans(labels(settings)))
    tally = Tally(
        lambda count: metrics.spans_ended("exported", count), metrics.spans_ended, lambda: metrics.log_failed("traces")
    )
    return Spans(sink, clock, tally)


def labels(settings: Settings) -> Mapping[str, str]:
    """Return what names this process in events and spans."""
    return {"id": settings.id or platform.node(), "version": __version__}


def _server(told: Upload | Traces, resource: str) -> Server:
    url = told.url.rstrip("/") + resource
    return Server(url=url, token_file=told.token_file, ca_file=told.ca_file, timeout=told.timeout_seconds)


def _tally(metrics: Metrics, sink: str) -> Tally:
    metrics.decisions_written(sink, 0)
    return Tally(
        lambda count: metrics.decisions_written(sink, count),
        lambda why, count: metrics.decisions_dropped(sink, why, count),
        lambda: metrics.log_failed(sink),
    )
