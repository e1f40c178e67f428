"""Settings: each with its value and where that comes from, of every program that tells it, and
where programs were told otherwise. Secrets are never here: only whether they are set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from pydantic_settings import BaseSettings

from ledger.operate import told_settings
from ledger.operate.told_settings import SettingSource, ToldSetting, ToldSettings, variable
from ledger.web.answers import NotVisible
from ledger.web.pages.files import text_file
from ledger.web.pages.frame import show
from ledger.web.viewer import PageViewer

VIEWS = {"given": "not the default", "differing": "differing", "all": "all"}
TITLES = {"write": "All programs", "read": "Read side", "web": "Web"}

router = APIRouter()


class ProgramValue(NamedTuple):
    """What one program was told."""

    program: str
    setting: ToldSetting


@dataclass(frozen=True)
class SettingLine:
    """A setting: what this server was told, and every program that says so."""

    variable: str
    default: str
    description: str
    own: ToldSetting | None
    of_programs: Sequence[ProgramValue]

    @property
    def differs(self) -> bool:
        """Whether programs were told different things."""
        return len({one.setting.value for one in self.of_programs}) > 1

    @property
    def by_value(self) -> Mapping[str, str]:
        """Each value, with the programs that have it."""
        found: dict[str, list[str]] = {}
        for one in self.of_programs:
            found.setdefault(one.setting.value, []).append(one.program)
        return {value: ", ".join(names) for value, names in found.items()}

    @property
    def is_given(self) -> bool:
        given = [one.setting for one in self.of_programs]
        given += [] if self.own is None else [self.own]
        return any(one.source is not SettingSource.DEFAULT for one in given)


class SettingGroup(NamedTuple):
    """The settings of a part of the ledger."""

    title: str
    lines: Sequence[SettingLine]


@router.get("/settings")
def settings(request: Request, viewer: PageViewer, view: str = "given") -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    view = view if view in VIEWS else "given"
    with viewer.reading() as reading:
        standing = reading.standing()
    programs = _programs(viewer)
    groups = _groups(told_settings.of_this_process(), programs)
    shown = [
        SettingGroup(group.title, [one for one in group.lines if _is_in(view, one)])
        for group in groups
    ]
    values = {
        "groups": [group for group in shown if group.lines],
        "programs": programs,
        "views": VIEWS,
        "view": view,
        "differing": sum(one.differs for group in groups for one in group.lines),
    }
    return show(request, viewer, "settings.html", values, standing=standing)


@router.get("/settings/file")
def env_file(viewer: PageViewer, program: str | None = None) -> Response:
    """What is not the default, as a file `.env`: of a program, or of this server. Raises Problem,
    NotVisible."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing()
    found: Mapping[str, ToldSetting] = told_settings.of_this_process()
    if program is not None:
        programs = [one for one in _programs(viewer) if one.program == program]
        if not programs:
            raise NotVisible(f"no program {program[:60]!r} tells its settings here")
        found = programs[-1].settings
    name = f"{program or 'web'}.env"
    return text_file(name, told_settings.as_env_file(found), "text/plain", standing)


def _programs(viewer: Any) -> list[ToldSettings]:
    found = told_settings.read(viewer.web.settings.data_dir)
    return [one for one in found if not one.has_ended]


def _groups(own: Mapping[str, ToldSetting], programs: Sequence[ToldSettings]) -> list[SettingGroup]:
    found, seen = [], set[str]()
    for name, kind in told_settings.kinds().items():
        lines = []
        for field in kind.model_fields:
            if field not in seen:
                seen.add(field)
                lines.append(_line(kind, field, own, programs))
        found.append(SettingGroup(TITLES.get(name, name.capitalize()), lines))
    return found


def _line(
    kind: type[BaseSettings],
    name: str,
    own: Mapping[str, ToldSetting],
    programs: Sequence[ToldSettings],
) -> SettingLine:
    field, key = kind.model_fields[name], variable(name)
    default = told_settings.UNSET if field.default is None else str(field.default) or "empty"
    of_programs = [
        ProgramValue(one.program, one.settings[key]) for one in programs if key in one.settings
    ]
    return SettingLine(key, default, field.description or "", own.get(key), of_programs)


def _is_in(view: str, line: SettingLine) -> bool:
    return view == "all" or (line.differs if view == "differing" else line.is_given)
