"""``python -m tests.gateways.examples``: write ``deploy`` anew from what ``authorizer gateway`` prints."""

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from authorizer.gateways.kinds import KINDS
from authorizer.gateways.site import Site
from authorizer.settings import IDENTITY_HEADERS

DEPLOY = Path(__file__).parents[2] / "deploy"
SITE = Site(grpc=("127.0.0.1:9191",), http=("127.0.0.1:9192",), identity=tuple(IDENTITY_HEADERS), api_key="x-api-key")
SITES: Mapping[str, Site] = {
    **dict.fromkeys(KINDS, SITE),
    # Envoy Gateway refuses loopback addresses; the pod's containers share a directory instead.
    "envoy-gateway": replace(SITE, grpc=("unix:/run/authorizer/grpc.sock",)),
}


def examples() -> Mapping[str, str]:
    """Return the files of ``deploy`` by their names below it."""
    return {f"{kind}/{name}": text for kind, make in KINDS.items() for name, text in make(SITES[kind]).items()}


if __name__ == "__main__":
    for name, text in examples().items():
        (DEPLOY / name).parent.mkdir(parents=True, exist_ok=True)
        (DEPLOY / name).write_text(text, encoding="utf-8")
