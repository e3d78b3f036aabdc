"""Whether a gateway may send checks: the answers of grpc.health.v1 as bytes.

Source: the gRPC health checking protocol (grpc/health/v1/health.proto). Envoy asks for the name of the service that it
calls, Kubernetes probes for the empty name or one of their own.
"""

from authorizer.doors import ext_authz
from authorizer.doors.wire.health_pb2 import HealthCheckRequest, HealthCheckResponse

SERVICE = "grpc.health.v1.Health"
NAMES = frozenset({"", ext_authz.SERVICE, "readiness"})
"""The services that can be asked about; they are ready together."""

_READY = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_NOT_READY = HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString()
UNKNOWN = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN).SerializeToString()
"""What Watch says of a service that is not known; Check ends with NOT_FOUND instead."""


def service(message: bytes) -> str:
    """Return the name asked about. Raises google.protobuf.message.DecodeError for bytes that are not the question."""
    return HealthCheckRequest.FromString(message).service


def status(name: str, *, ready: bool) -> bytes:
    """Return the HealthCheckResponse for a service name."""
    if name not in NAMES:
        return UNKNOWN
    return _READY if ready else _NOT_READY
