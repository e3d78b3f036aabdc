"""The key that signs bundles: given by the operator, or made once in the state directory."""

from pathlib import Path

from authorizer.bundle import Signer, Verifier
from authorizer.control_plane.server.private_files import create, read
from authorizer.jose.jwk import read_key
from authorizer.jose.sign import generate, public_jwk, public_pem

ALGORITHM = "ES256"
_LIMIT = 64 << 10


def load(file: Path | None, key_id: str, state: Path) -> tuple[Signer, Path | None]:
    """Read the ES256 private key (PEM) in ``file``, or else the one in the state directory, where one is made.

    Without ``key_id`` the key is known by its thumbprint (RFC 7638). The public key is kept in ``public_file``, for
    authorizers. Returns the signer, and that file if it was written now. Raises KeyMaterialError for a key that cannot
    sign, ControlPlaneError AZ584 for a file that fails.
    """
    if file is None:
        file = state / "signing.pem"
        if not file.exists():
            create(file, generate(ALGORITHM))
    private_pem = read(file, _LIMIT)
    public = public_file(state)
    made = None
    if not public.exists() or read(public, _LIMIT) != public_pem(private_pem):
        public.unlink(missing_ok=True)
        create(public, public_pem(private_pem))
        made = public
    known_by = public_jwk(private_pem, ALGORITHM, key_id or None)["kid"]
    return Signer(private_pem=private_pem, key_id=known_by, algorithm=ALGORITHM), made


def public_file(state: Path) -> Path:
    """Return where the public key is kept, in PEM."""
    return state / "signing.pub.pem"


def verifier(signer: Signer) -> Verifier:
    """Return what checks the signer's bundles."""
    members = public_jwk(signer.private_pem, signer.algorithm, signer.key_id)
    return Verifier(keys={signer.key_id: read_key(members)})
