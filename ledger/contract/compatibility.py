"""Whether a schema may take the place of an earlier one of the same version.

Both sides must go on working without a change of theirs:

    a command    what was right to send must stay right: no field less, none newly required, no
                 value refused that was taken
    an event     what could be relied on must stay so: no field less, none that was always there
    or outcome   now absent, no value of another type. Further fields and values may come.

What must change otherwise gets a new schema version, with a file of its own.
"""

from collections.abc import Iterator
from typing import Any, Literal

Schema = dict[str, Any]
Kind = Literal["command", "event"]

_LIMITS = {
    "maxLength": -1,
    "maximum": -1,
    "exclusiveMaximum": -1,
    "maxItems": -1,
    "minLength": 1,
    "minimum": 1,
    "exclusiveMinimum": 1,
    "minItems": 1,
}
"""Limits of values, and the direction in which each gets narrower."""
_FIXED = ("pattern", "format", "const")
_DIGITS_18 = r"^-?[0-9]{1,20}(\.[0-9]{1,18})?$"
_WIDENED = {
    _DIGITS_18: {r"^-?[0-9]{1,20}(\.[0-9]{1,36})?$", r"^-?[0-9]{1,40}(\.[0-9]{1,90})?$"},
    r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,31}$": {r"^[^\s:]{1,64}$"},
    r"^[A-Za-z0-9_\-]{1,32}:[A-Za-z0-9._/:\-]{1,64}$": {r"^[A-Za-z0-9_\-]{1,32}:[^\s]{1,64}$"},
}
"""Patterns of commands, and those that take all that they took: which of two takes more, nothing
can tell but a reader."""


def kind_of(file_name: str) -> Kind:
    return "command" if file_name.startswith("commands/") else "event"


def breaks(old: Schema, new: Schema, kind: Kind) -> list[str]:
    """What the new schema breaks, one line each; nothing if it may take the old one's place."""
    return list(_Comparison(old, new, kind).differences(old, new, "message"))


class _Comparison:
    def __init__(self, old_root: Schema, new_root: Schema, kind: Kind) -> None:
        self._old_root, self._new_root, self._kind = old_root, new_root, kind

    def differences(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        old, new = _resolved(old, self._old_root), _resolved(new, self._new_root)
        if "anyOf" in old or "anyOf" in new:
            yield from self._of_alternatives(old, new, where)
            return
        yield from self._of_values(old, new, where)
        if "properties" in old:
            yield from self._of_fields(old, new, where)
        if "items" in old:
            yield from self.differences(old["items"], new.get("items", {}), f"{where}[]")

    def _of_alternatives(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        """Each alternative of the one must be found in the other: of the old where the ledger
        reads, of the new where services do."""
        before, after = old.get("anyOf", [old]), new.get("anyOf", [new])
        for number, one in enumerate(before if self._kind == "command" else after):
            pairs = (
                [(one, other) for other in after]
                if self._kind == "command"
                else [(other, one) for other in before]
            )
            tries = [list(self.differences(first, second, where)) for first, second in pairs]
            if all(tries):
                yield f"{where}: alternative {number + 1} is another: {min(tries, key=len)[0]}"

    def _of_values(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        if old.get("type") != new.get("type") and "type" in old:
            yield f"{where}: was of type {old['type']}, is of type {new.get('type')}"
        for name in _FIXED:
            was, now = old.get(name), new.get(name)
            if self._kind == "command" and now in _WIDENED.get(str(was), ()):
                continue
            if was != now and (now if self._kind == "command" else was) is not None:
                yield f"{where}: {name} was {was!r}, is {now!r}"
        missing = [value for value in old.get("enum", ()) if value not in new.get("enum", ())]
        if "enum" in new and missing:
            yield f"{where}: no longer has {', '.join(map(repr, missing))}"
        if self._kind == "command":
            for name, direction in _LIMITS.items():
                was, now = old.get(name), new.get(name)
                if now is not None and (was is None or (now - was) * direction > 0):
                    yield f"{where}: {name} was {was}, is {now}"

    def _of_fields(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        fields = new.get("properties", {})
        for name, schema in old["properties"].items():
            if name not in fields:
                yield f"{where}.{name}: is gone"
            else:
                yield from self.differences(schema, fields[name], f"{where}.{name}")
        was, now = set(old.get("required", ())), set(new.get("required", ()))
        if self._kind == "command":
            for name in sorted(now - was):
                yield f"{where}.{name}: is now required"
            if old.get("additionalProperties", True) and not new.get("additionalProperties", True):
                yield f"{where}: no longer takes other fields"
        else:
            for name in sorted(was - now):
                yield f"{where}.{name}: may now be absent"


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a reference inside the document stands for."""
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = root["$defs"][name]
    return schema
