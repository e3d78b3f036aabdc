"""What the control plane answers: JSON, and refusals as problem details (RFC 9457) with a stable code."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

import orjson
from aiohttp import web
from msgspec.structs import replace

from authorizer.control_plane.protocol import MAX_PROBLEMS
from authorizer.errors import Problem

PROBLEM_TYPE = "application/problem+json"
_MAX_TEXT = 400

_ROWS: dict[str, tuple[str, int, str]] = {
    "unexpected": ("AZ550", 500, "the control plane failed; its log says why"),
    "no_credential": ("AZ551", 401, "a bearer credential is required"),
    "not_admin": ("AZ552", 403, "this takes the credential of an admin"),
    "not_found": ("AZ553", 404, "there is nothing at this address"),
    "method": ("AZ554", 405, "this address does not know the method"),
    "too_large": ("AZ555", 413, "the body is too large"),
    "encoded": ("AZ556", 415, "the body must be sent without a content encoding"),
    "slow": ("AZ557", 408, "the body took too long to arrive"),
    "bad_json": ("AZ558", 400, "the body is not the JSON that is expected here"),
    "bad_request": ("AZ559", 400, "the request is malformed"),
    "bad_name": (
        "AZ560",
        400,
        "a document has a name of letters, digits, '.', '_', '-' that ends in .yaml, .yml or .json",
    ),
    "refused": ("AZ561", 422, "the documents are refused as a whole; nothing was changed"),
    "no_document": ("AZ562", 404, "there is no such document"),
    "too_many": ("AZ563", 413, "there are too many documents"),
    "unpublished": ("AZ564", 404, "this bundle has not been published yet"),
    "starting": ("AZ566", 503, "the documents have not been read yet"),
    "database": ("AZ567", 503, "the database does not answer; nothing was changed, what is published stays in force"),
    "busy": ("AZ565", 503, "too many requests are waiting"),
}


class RefusalError(Exception):
    """A request that is answered by the row ``what`` of the table; ``detail`` says what exactly was wrong with it."""

    def __init__(self, what: str, detail: str = "", problems: Iterable[Problem] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.detail = detail
        self.problems = tuple(problems)


def refusal(what: str, detail: str = "", problems: Iterable[Problem] = ()) -> web.Response:
    """Answer with the row ``what`` of the table."""
    code, status, title = _ROWS[what]
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail or title,
    }
    if shown := problem_list(problems):
        members["problems"] = shown
    headers = {"www-authenticate": 'Bearer realm="control-plane"'} if status == HTTPStatus.UNAUTHORIZED else {}
    return web.Response(status=status, body=orjson.dumps(members), content_type=PROBLEM_TYPE, headers=headers)


def answer(members: Mapping[str, object]) -> web.Response:
    """Answer 200 with a JSON object."""
    return web.Response(body=orjson.dumps(members), content_type="application/json")


def problem_list(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Return the members by which problems are shown: errors first, at most MAX_PROBLEMS, long texts cut short."""
    ranked = sorted(problems, key=lambda problem: problem.severity != "error")
    return [_shortened(problem).members() for problem in ranked[:MAX_PROBLEMS]]


def _shortened(problem: Problem) -> Problem:
    texts = {name: getattr(problem, name)[:_MAX_TEXT] for name in ("message", "hint", "excerpt")}
    return replace(problem, **texts)
