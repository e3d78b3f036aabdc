"""The client of the control plane: pulls signed bundles, reports APIs and status."""

from authorizer.control_plane.client.link import Endpoint, Link, connect
from authorizer.control_plane.client.pull import Intake, Outcome, Pace, Progress, delay, follow, resume, sync_once
from authorizer.control_plane.client.reports import report_apis, report_forever, report_status, status

__all__ = [
    "Endpoint",
    "Intake",
    "Link",
    "Outcome",
    "Pace",
    "Progress",
    "connect",
    "delay",
    "follow",
    "report_apis",
    "report_forever",
    "report_status",
    "resume",
    "status",
    "sync_once",
]
