"""When something is told, how bad it is, and on which channels."""

import re
import string
import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.nouns import EVENTS
from ledger.nouns.alerts.events import SYSTEM, AlertSeverity
from ledger.vitals.condition import CONDITIONS, PAGE, AlertCondition
from ledger.vitals.measure import MEASURES

SHIPPED = "shipped_rules.toml"
HOLDS_SECONDS = 10.0
"""How long a condition of the vitals must hold before it is told: two looks."""
_NAME = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_ENTITY_TYPE = re.compile(r"[A-Z_]{1,32}")


class InvalidRules(LedgerError):
    """A file of rules cannot be used."""


class AlertRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `events` (types, with fields that are `where` said) or a `measure` of the vitals
    beyond its `limit` for so many seconds. `channels` None: all there are."""

    name: str
    severity: AlertSeverity = AlertSeverity.WARNING
    title: str = ""
    message: str = ""
    enabled: bool = True
    channels: tuple[str, ...] | None = None
    escalate_after_minutes: float | None = None
    escalate_to: tuple[str, ...] = ()
    runbook: str | None = None
    # of events
    events: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    entity_type: str = SYSTEM
    entity: str | None = None
    """The field that says which one."""
    resolved_by: tuple[str, ...] = ()
    quiet_minutes: float | None = None
    """It resolves itself after so long without a further event."""
    # of the vitals
    measure: str | None = None
    limit: float = 0.0
    below: bool = False
    for_seconds: float = HOLDS_SECONDS

    def holds(self, value: float) -> bool:
        return value < self.limit if self.below else value > self.limit


class Rules(msgspec.Struct, frozen=True):
    """All rules that are enabled, by name."""

    by_name: dict[str, AlertRule]

    @property
    def of_events(self) -> list[AlertRule]:
        return [rule for rule in self.by_name.values() if rule.events]

    @property
    def of_vitals(self) -> list[AlertRule]:
        return [rule for rule in self.by_name.values() if rule.measure is not None]

    @property
    def event_types(self) -> set[str]:
        """Those that any rule goes by."""
        return {one for rule in self.of_events for one in (*rule.events, *rule.resolved_by)}


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said at the top holds for rules that do not say it themselves."""

    rule: tuple[dict[str, Any], ...] = ()
    channels: tuple[str, ...] | None = None
    escalate_after_minutes: float | None = None
    escalate_to: tuple[str, ...] = ()


def rules_of(path: Path | None) -> Rules:
    """Those that come with the ledger, changed and added to by a file. Raises InvalidRules."""
    shipped = tomllib.loads(files(__package__).joinpath(SHIPPED).read_text(encoding="utf-8"))
    found = {one.name: one for one in map(_of_condition, CONDITIONS)}
    found |= {one["name"]: _rule(one, None, SHIPPED) for one in shipped["rule"]}
    if path is not None:
        found = _changed(found, path)
    return Rules({name: rule for name, rule in found.items() if rule.enabled})


def _of_condition(condition: AlertCondition) -> AlertRule:
    return AlertRule(
        name=condition.alert,
        severity=AlertSeverity.CRITICAL if condition.severity == PAGE else AlertSeverity.WARNING,
        title=condition.says,
        runbook=f"docs/runbooks/{condition.runbook}",
        entity_type=(MEASURES[condition.measure].of or SYSTEM).upper(),
        measure=condition.measure,
        limit=condition.limit,
        below=condition.below,
        for_seconds=max(float(condition.seconds), HOLDS_SECONDS),
    )


def _changed(found: dict[str, AlertRule], path: Path) -> dict[str, AlertRule]:
    try:
        given = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), known(_File))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidRules(
            f"the rules {path} cannot be used: {error}. Correct the file, or LEDGER_ALERT_RULES."
        ) from error
    changed = dict(found)
    for one in given.rule:
        name = str(one.get("name", ""))
        changed[name] = _rule(one, found.get(name), str(path))
    return {name: _with_defaults(rule, given) for name, rule in changed.items()}


def _with_defaults(rule: AlertRule, given: _File) -> AlertRule:
    after = rule.escalate_after_minutes
    return replace(
        rule,
        channels=given.channels if rule.channels is None else rule.channels,
        escalate_after_minutes=given.escalate_after_minutes if after is None else after,
        escalate_to=rule.escalate_to or given.escalate_to,
    )


def _rule(given: dict[str, Any], before: AlertRule | None, where: str) -> AlertRule:
    """Raises InvalidRules."""
    changed = {} if before is None else msgspec.to_builtins(before)
    try:
        rule = msgspec.convert(changed | given, known(AlertRule))
        _check(rule)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRules(
            f"the rule {given.get('name')!r} of {where} cannot be used: {error}. Correct it "
            "(docs/alerts.md)."
        ) from error
    return rule


def _check(rule: AlertRule) -> None:
    """Raises ValueError."""
    if not _NAME.fullmatch(rule.name):
        raise ValueError("a name has 1 to 64 letters, digits, `.`, `_`, `-`")
    if not _ENTITY_TYPE.fullmatch(rule.entity_type):
        raise ValueError("an entity_type has capital letters and `_`")
    if bool(rule.events) == (rule.measure is not None):
        raise ValueError("it goes by `events` or by a `measure`")
    unknown = _missing((*rule.events, *rule.resolved_by), EVENTS)
    if unknown:
        raise ValueError(f"there are no events {', '.join(unknown)}")
    if rule.measure is not None and rule.measure not in MEASURES:
        raise ValueError(f"there is no measure {rule.measure}: {', '.join(sorted(MEASURES))}")
    if not rule.title:
        raise ValueError("it has no title")
    if rule.events and not string.Template(rule.title).is_valid():
        raise ValueError("`$name` in a title stands for a field of the event, `$$` for a dollar")


def _missing(names: Iterable[str], known: Iterable[str]) -> list[str]:
    return sorted(set(names) - set(known))


def as_file(rules: Rules) -> Iterator[str]:
    """The rules as lines of a file that would make the same of them."""
    for rule in rules.by_name.values():
        yield "[[rule]]"
        said = msgspec.to_builtins(rule)
        for name, value in said.items():
            default = _DEFAULTS.get(name)
            if value != default and value is not None:
                yield f"{name} = {_toml(value)}"
        yield ""


_DEFAULTS: dict[str, Any] = msgspec.to_builtins(AlertRule(name=""))


def _toml(value: Any) -> str:
    """Texts, numbers, flags, lists and tables of texts are written as in JSON, all but the
    tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(one)}" for name, one in value.items()) + " }"
    return msgspec.json.encode(value).decode()
