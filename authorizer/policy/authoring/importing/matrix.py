"""Tables of who may do what, as spreadsheets hold them (CSV), as roles, rights and grants.

A list has columns named ``user``, ``group``, ``role``, ``right``: a row with a role and a right says that the role has
it, one with a user or group and a role or right grants it. A matrix has rights (or, beside users and groups, roles) as
columns; what its first column lists is told by that column's name, and a cell that is marked says yes.
"""

import csv
from collections.abc import Iterable, Sequence

from authorizer.errors import DocumentError, Place, Problem
from authorizer.policy.authoring.importing import Imported, Names, Tree, made

MAX_BYTES = 16 * 1024 * 1024
WHO = {"user": "person", "person": "person", "group": "group"}
COLUMNS = (*WHO, "role", "right")
_YES = frozenset({"x", "1", "y", "yes", "true", "✓"})
_NO = frozenset({"", "0", "n", "no", "false", "-"})
_DELIMITERS = ",;\t"


class _Table:
    """What all files say together. INVARIANT: a cell that is neither yes nor no is a problem, never a grant."""

    def __init__(self) -> None:
        self.roles: dict[str, dict[str, None]] = {}
        self.grants: dict[tuple[str, str, str, str], None] = {}
        self.rights: dict[str, None] = {}
        self.problems: list[Problem] = []

    def role_has(self, role: str, right: str) -> None:
        self.roles.setdefault(role, {})[right] = None
        self.rights[right] = None

    def grant(self, who: str, name: str, what: str, target: str) -> None:
        self.grants[who, name, what, target] = None
        if what == "right":
            self.rights[target] = None


def import_csv(files: Iterable[tuple[str, bytes]], *, application: str = "app") -> Imported:
    """Import tables, given by name and content, together. Raises DocumentError."""
    table = _Table()
    for file, data in files:
        _read(file, data, table)
    if table.problems:
        raise DocumentError(table.problems)
    names, ids, notes = Names(), Names(), list[str]()
    policies: list[Tree] = []
    for who, name, what, target in table.grants:
        if what == "role" and target not in table.roles:
            notes.append(f"{who} {name!r}: the role {target!r} has no rights in these tables: not granted")
            continue
        policies.append(
            {
                "id": ids.name(f"{name}-{target}"),
                what: f"{application}/{names.name(target)}",
                "to": {who: name},
            }
        )
    roles: dict[str, Tree] = {
        names.name(role): [names.name(one) for one in rights] for role, rights in table.roles.items()
    }
    declared: dict[str, Tree] = {names.name(right): {} for right in table.rights}
    if not declared:
        raise DocumentError([Problem("T312", "no right in these tables", Place("tables"), "name a column 'right'")])
    documents: list[Tree] = [
        {
            "kind": "Application",
            "id": application,
            "model": "pbac",
            "rights": declared,
            **({"roles": roles} if roles else {}),
        }
    ]
    if policies:
        documents.append({"kind": "Policies", "policies": policies})
    return made(documents, notes)


def _read(file: str, data: bytes, table: _Table) -> None:
    if len(data) > MAX_BYTES:
        table.problems.append(Problem("T312", f"larger than {MAX_BYTES} bytes", Place(file), "split the table"))
        return
    try:
        text = data.decode("utf-8-sig")
        lines = text.splitlines()
        first = lines[0] if lines else ""
        delimiter = max(_DELIMITERS, key=first.count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter, strict=True)]
    except (UnicodeDecodeError, csv.Error) as error:
        table.problems.append(Problem("T312", f"not a table: {error}", Place(file), "save it as CSV in UTF-8"))
        return
    header = [cell.lower() for cell in rows[0]] if rows else []
    if not header or not (set(header) & set(COLUMNS)):
        known = ", ".join(COLUMNS)
        table.problems.append(Problem("T312", "the first row names no column", Place(file, 1, 1), f"columns: {known}"))
        return
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if any(row)]
    if set(header) <= set(COLUMNS) and len(header) > 1:
        _list(file, header, body, table)
    else:
        _matrix(file, header[0], rows[0][1:], body, table)


def _list(file: str, header: Sequence[str], body: Sequence[tuple[int, list[str]]], table: _Table) -> None:
    for number, row in body:
        said = {key: cell for key, cell in zip(header, row, strict=False) if cell}
        whom = [(WHO[key], name) for key, name in said.items() if key in WHO]
        role, right = said.get("role"), said.get("right")
        if len(row) > len(header) or len(said) < 2 or len(whom) > 1:
            message = "a row says too little or too much: somebody and a role or right, or a role and a right"
            table.problems.append(Problem("T312", message, Place(file, number, 1)))
            continue
        if role and right:
            table.role_has(role, right)
        for who, name in whom:
            table.grant(who, name, "role" if role else "right", role or right or "")


def _matrix(file: str, what: str, columns: Sequence[str], body: Sequence[tuple[int, list[str]]], table: _Table) -> None:
    if what not in COLUMNS or what == "right" or not all(columns) or len(set(columns)) < len(columns):
        hint = "user, group or role above the first column, and a different name above each other"
        table.problems.append(
            Problem("T312", "the first row does not tell what the table is of", Place(file, 1, 1), hint)
        )
        return
    for number, row in body:
        name, cells = row[0], row[1:]
        if not name or len(cells) > len(columns):
            table.problems.append(Problem("T312", "a row has no name, or too many cells", Place(file, number, 1)))
            continue
        for column, cell in zip(columns, cells, strict=False):
            if cell.lower() in _NO:
                continue
            if cell.lower() not in _YES:
                message = f"{cell[:40]!r} in column {column!r} is neither yes nor no"
                table.problems.append(
                    Problem("T312", message, Place(file, number, 1), "mark a cell with x, or leave it empty")
                )
            elif what == "role":
                table.role_has(name, column)
            else:
                table.grant(WHO[what], name, "role", column)
