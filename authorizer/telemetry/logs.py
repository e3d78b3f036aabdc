"""The operational log: what the process does, never what it decides (``decision_log`` does that).

Standard logging, one line a record on stderr, JSON or text. Give details as ``extra={...}``; they become fields.
"""

import logging
from typing import IO, Literal

import orjson

from authorizer.telemetry.masking import masked
from authorizer.timestamps import rfc3339

LogFormat = Literal["json", "text"]

_LIMIT = 8192
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``timestamp``, ``level``, ``logger``, ``message``, the extra fields, ``error``."""

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. INVARIANT: it never raises for a value that a caller logged."""
        line = {
            "timestamp": rfc3339(record.created, "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage(), _LIMIT),
            **_fields(record),
        }
        error = _error(record, self, tracebacks=self._tracebacks)
        if error:
            line["error"] = error
        return orjson.dumps(line).decode()


class TextFormatter(logging.Formatter):
    """For people: time, level, logger, message, then ``key=value`` pairs."""

    def __init__(self, *, tracebacks: bool) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = _fields(record).items()
        pairs = "".join(
            f" {key}={orjson.dumps(value).decode() if isinstance(value, dict) else value}" for key, value in fields
        )
        error = _error(record, self, tracebacks=self._tracebacks)
        text = masked(record.getMessage(), _LIMIT)
        suffix = f" error={error}" if error else ""
        return f"{rfc3339(record.created, 'milliseconds')} {record.levelname:<7} {record.name}: {text}{pairs}{suffix}"


def configure(
    log_format: LogFormat, level: str, stream: IO[str], *, tracebacks: bool = False, worker: int | None = None
) -> None:
    """Send every record of ``level`` (``debug`` to ``critical``) and above to ``stream``, in place of earlier handlers.

    Without ``tracebacks`` an exception is one line: its type and text. The records of a ``worker`` say so.
    """
    handler = logging.StreamHandler(stream)
    if worker is not None:
        handler.addFilter(lambda record: record.__dict__.setdefault("worker", worker) is not None)
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    handler.setFormatter(formatter(tracebacks=tracebacks))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {
        key: value if isinstance(value, int | float | bool) else _tree(value)
        for key, value in vars(record).items()
        if key not in _OWN and not (isinstance(value, int) and value.bit_length() > 63)
    }


def _tree(value: object) -> object:
    """Return lists by name, such as endpoints, as they are, and anything else as text."""
    if isinstance(value, dict) and all(isinstance(items, list) for items in value.values()):
        return {str(name): [masked(str(item), _LIMIT) for item in items] for name, items in value.items()}
    return masked(str(value), _LIMIT)


def _error(record: logging.LogRecord, formatter: logging.Formatter, *, tracebacks: bool) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    if tracebacks:
        return masked(formatter.formatException(record.exc_info), _LIMIT)
    error = record.exc_info[1]
    return masked(f"{type(error).__name__}: {error}", _LIMIT)
