"""Every way in which a bundle is refused, on one page: a word used in the code, its stable code, and the cure."""

from authorizer.errors import BundleError

_REBUILD = "build the bundle again with 'authorizer policy build'"
_FETCH = "fetch the bundle again; if it stays so, the server or the network alters it"
_KEY = "configure the public key that belongs to the publisher's signing key"
_KEY_ID = (
    "name the publisher's public key by the id that it signs with (control_plane.keys), or let it sign with an id that"
    " is configured (authorizer control-plane --key-id)"
)

REFUSALS: dict[str, tuple[str, str]] = {
    "malformed": ("AZ300", _REBUILD),
    "truncated": ("AZ301", _FETCH),
    "trailing": ("AZ302", _FETCH),
    "too_large": ("AZ303", "split the policies, or raise the bundle limits"),
    "bad_name": ("AZ304", _REBUILD),
    "bad_entry": ("AZ305", "a bundle holds plain files only: no links, devices or extended headers"),
    "repeated_entry": ("AZ306", _REBUILD),
    "bad_manifest": ("AZ310", _REBUILD),
    "wrong_kind": ("AZ311", "check which bundle this address serves"),
    "wrong_format": ("AZ312", "upgrade the authorizer or the publisher, so that both speak one format"),
    "outside_roots": ("AZ313", "list the file's folder in the manifest's roots"),
    "bad_document": ("AZ314", _REBUILD),
    "unsigned": ("AZ320", "sign the bundle, or remove the verification key from the configuration"),
    "signature_unexpected": ("AZ321", _KEY),
    "bad_signature_file": ("AZ322", "sign the bundle once, with exactly one signature"),
    "wrong_signature": ("AZ323", _KEY),
    "wrong_algorithm": ("AZ324", "sign with the algorithm that the verification key is configured for"),
    "unknown_key": ("AZ325", _KEY_ID),
    "wrong_scope": ("AZ326", "sign with the scope that is configured"),
    "file_list": ("AZ327", "sign after the last change to the bundle's files"),
    "weak_digest": ("AZ328", "sign with SHA-256"),
    "wrong_digest": ("AZ329", "the file was changed after signing: build the bundle again"),
    "older": ("AZ330", "publish again, so that the bundle gets a newer serial"),
    "not_activated": ("AZ331", "the log has the details; the bundle before stays in force"),
    "incomplete": ("AZ332", "serve the bundles of one publication together; what was in force stays"),
    "store_failed": ("AZ340", "check the state directory: its owner, its permissions and the free space"),
    "store_damaged": ("AZ341", "remove the named file, after finding out who changed it"),
}


def refusal(what: str, message: str) -> BundleError:
    """Return the error for the row ``what`` of the table; ``message`` says what was seen."""
    code, cure = REFUSALS[what]
    return BundleError(code, message, hint=cure)


def shown(name: object) -> str:
    """Quote a name that came from outside: escaped and short, so that it cannot forge a log line."""
    text = ascii(name)
    return text if len(text) <= 80 else text[:77] + "..."
