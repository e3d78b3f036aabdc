"""Reads the policy rows of the compiled form, one by one, and gathers them by what they are about."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from authorizer.errors import DocumentError, Place, Problem
from authorizer.model import ANYONE, Duty, StepUp
from authorizer.policy.pbac.form import ExtrasForm, Form, PolicyForm
from authorizer.policy.pbac.index import PLAIN, Bucket, Extras, Row, build_bucket
from authorizer.policy.pbac.tables import RightTable
from authorizer.policy.pbac.templates import BadTemplateError, Template, build, parameters
from authorizer.policy.pbac.types import FieldType
from authorizer.reasons import TAKEN

FILE = "authorizer/policy.json"
Target = tuple[str, str, str]
"""Application, kind (right, role, all), name."""


def refused(message: str) -> DocumentError:
    """Make the error that refuses the whole form."""
    return DocumentError([Problem("AZ220", f"the compiled policies cannot be read: {message}", Place(FILE))])


class Policies:
    """Rows sorted by what they are about, while a program is made."""

    def __init__(self, form: Form, types: tuple[FieldType, ...]) -> None:
        self.form = form
        self.templates: list[Template | None] = []
        for node in form.templates:
            try:
                self.templates.append(build(node, types))
            except (BadTemplateError, KeyError, TypeError, ValueError):
                self.templates.append(None)
        self.acr = {name: position for position, name in enumerate(form.acr)}
        self.allows: dict[Target, list[tuple[str, str, Row]]] = defaultdict(list)
        self.denials: dict[Target, list[tuple[str, str, Row]]] = defaultdict(list)
        self.gates: dict[Target, list[Row]] = defaultdict(list)
        self.broken: dict[Target, list[str]] = defaultdict(list)
        self.env: dict[str, set[str]] = defaultdict(set)
        self.reads: dict[Target, set[str]] = defaultdict(set)
        self.momentary: set[Target] = set()
        for raw in form.policies:
            self._add(raw)
        self.eligible: dict[Target, list[tuple[str, str, Row]]] = defaultdict(list)
        self.excluded: dict[Target, list[tuple[str, str, Row]]] = defaultdict(list)
        for rule in form.eligibility:
            kinds = {"eligible": self.eligible, "exclusion": self.excluded}
            if rule.type in kinds:  # what is suggested or approved beforehand is the control plane's business
                row = Row(rule.id, rule.place, None, (), None, None)
                kinds[rule.type][rule.application, rule.kind, rule.target].append((rule.token, rule.point, row))
        self.buckets: dict[tuple[str, Target], Bucket] = {}

    def _add(self, raw: list[Any]) -> None:
        try:
            policy = msgspec.convert(raw, PolicyForm)
            target = self._target(policy.application, policy.kind, policy.target)
            row = self._row(policy)
        except (msgspec.ValidationError, BadTemplateError, LookupError, TypeError, ValueError):
            self._note_broken(raw)
            return
        if row.template is not None:
            self.env[policy.application] |= row.template.env
            self.reads[target] |= row.template.resource
        if _momentary(row):
            self.momentary.add(target)
        if policy.effect == "gate":
            self.gates[target].append(row)
        else:
            rows = self.allows if policy.effect == "allow" else self.denials
            rows[target].append((policy.token or ANYONE, policy.point, row))

    def _target(self, application: str, kind: str, name: str) -> Target:
        declared = self.form.applications[application]
        names: dict[str, Iterable[str]] = {"all": ("",), "right": declared.rights, "role": declared.roles}
        if name not in names[kind]:
            raise LookupError(name)
        return application, kind, name

    def _row(self, policy: PolicyForm) -> Row:
        template: Template | None = None
        params: tuple[Any, ...] = ()
        if policy.template >= 0:
            template = self.templates[policy.template]
            if template is None:
                raise BadTemplateError("the template is broken")
            params = parameters(template, policy.params)
        elif policy.params or policy.template != -1:
            raise BadTemplateError("parameters without a template")
        if policy.point and policy.point not in self.form.points:
            raise LookupError(policy.point)
        extras = self._extras(policy.extras) if policy.extras is not None else PLAIN
        if policy.effect not in {"allow", "deny", "gate"} or (policy.effect == "allow" and not policy.token):
            raise ValueError(policy.effect)
        if policy.effect != "allow" and not extras.reason:
            raise ValueError("a denial without a reason")
        if extras.reason in TAKEN:
            raise ValueError("a built-in reason")
        return Row(policy.id, policy.place, template, params, policy.start, policy.end, extras)

    def _extras(self, extras: ExtrasForm) -> Extras:
        step_up = None
        if extras.acr is not None or extras.max_age is not None:
            step_up = StepUp(extras.acr, extras.max_age)
        return Extras(
            reason=extras.reason,
            feature_gate=extras.feature_gate,
            overridable=extras.overridable,
            overrides=frozenset(extras.overrides),
            acr=None if extras.acr is None else self.acr[extras.acr],
            max_age=extras.max_age,
            step_up=step_up,
            obligations=tuple(Duty(duty.id, duty.type, duty.properties) for duty in extras.obligations),
            advice=tuple(Duty(duty.id, duty.type, duty.properties) for duty in extras.advice),
        )

    def _note_broken(self, raw: list[Any]) -> None:
        name = raw[0] if raw and isinstance(raw[0], str) else "?"
        application = raw[2] if len(raw) > 2 else None
        if not isinstance(application, str) or application not in self.form.applications:
            raise refused(f"policy {name!r} is broken, and it does not tell whose it is")
        try:
            target = self._target(application, raw[3], raw[4])
        except (LookupError, TypeError):
            target = (application, "all", "")
        self.broken[target].append(name)

    def env_of(self, application: str) -> set[str]:
        """Return the attributes of the moment that an application's policies read."""
        return self.env[application]

    def right_table(self, application: str, right: str) -> RightTable:
        """Gather all that is about one right."""
        declared = self.form.applications[application]
        targets: list[Target] = [(application, "right", right), (application, "all", "")]
        targets += [(application, "role", name) for name, held in declared.roles.items() if right in held]
        gates = [row for target in targets for row in self.gates[target]]
        denials = self._of(targets, "denials")
        return RightTable(
            name=right,
            feature=declared.rights[right].feature,
            gates=tuple(sorted(gates, key=lambda row: (row.extras.feature_gate, row.id))),
            denials=denials,
            allows=self._of(targets, "allows"),
            eligible=self._of(targets, "eligible"),
            excluded=self._of(targets, "excluded"),
            broken=tuple(sorted(name for target in targets for name in self.broken[target])),
            denied_at_points=any(bucket.at for bucket in denials),
            reads=frozenset().union(*(self.reads[target] for target in targets)),
            momentary=any(target in self.momentary for target in targets),
        )

    def _of(self, targets: list[Target], what: str) -> tuple[Bucket, ...]:
        rows = getattr(self, what)
        found = []
        for target in targets:
            if target in rows:
                key = (what, target)
                if key not in self.buckets:
                    self.buckets[key] = build_bucket(rows[target], denials=what == "denials")
                found.append(self.buckets[key])
        return tuple(found)


def _momentary(row: Row) -> bool:
    """Tell whether what a policy says depends on when it is asked, not only on whom and what it is asked about."""
    extras = row.extras
    timed = row.start is not None or row.end is not None
    login = extras.acr is not None or extras.max_age is not None
    return timed or login or (row.template is not None and bool(row.template.env))
