"""The story of an order or a correlation, drawn: a lane for each who acted, time from left to
right.

Each step is a dot where it happened, and a tick below where it was recorded; the line between them
slants where one clock differs from the other, or a fact came late. Gaps are as wide as the order of
magnitude of their length, which is written below: idle time takes 48 pixels and no more. It is a
picture of a list that stands below it, and is drawn by the server, so it needs no script.
"""

import math
from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from ledger.audit.ask.explain_order import OrderStep
from ledger.web.pages.shown import age, words

LEFT, RIGHT, TOP = 118, 24, 16
LANE, FOLD, CLOSEST, NUMBERED = 54, 48.0, 22.0, 9
WIDEST = 1_100.0
"""Pixels of a drawing as wide as a page; more steps make it wider, and it scrolls."""
_LANES = ("service", "ledger", "venue", "money")
_ASKED = ("submitted", "requested")
_DECIDED = ("denied",)


class StoryStep(NamedTuple):
    """A step: in which lane, when it happened and when it was recorded."""

    lane: str
    label: str
    occurred_at: datetime
    recorded_at: datetime
    href: str
    kind: str = ""


def of_step(step: OrderStep) -> StoryStep:
    """A step of an order: what services asked, the ledger decided, the venue told, what moved."""
    name = step.event_type.partition(".")[2]
    if step.event_type.startswith("account."):
        lane = "money"
    elif name.endswith(_DECIDED):
        lane = "ledger"
    else:
        lane = "service" if name.endswith(_ASKED) else "venue"
    kind = "late" if step.late else ""
    if not kind and "void" in name:
        kind = "void"
    if not kind and name in ("denied", "rejected", "fill_conflicted"):
        kind = "bad"
    if not kind and name == "filled":
        kind = "fill"
    label = step.event_type.replace("_", " ")
    return StoryStep(
        lane, label, step.occurred_at, step.recorded_at, f"/events/{step.event_id}", kind
    )


def drawn(moments: Sequence[StoryStep], zone: tzinfo) -> Markup:
    """The drawing, as SVG."""
    if not moments:
        return Markup("")
    lanes = [one for one in _LANES if any(each.lane == one for each in moments)]
    lanes += sorted({each.lane for each in moments} - set(_LANES))
    places, gaps = _axis(moments)
    width = max(max(places.values()) + RIGHT + NUMBERED, 420)
    bottom = TOP + LANE * len(lanes)
    parts = [_lane(name, at, width) for at, name in enumerate(lanes)]
    parts += [_gap(gap, bottom) for gap in gaps]
    used: dict[tuple[str, float], int] = {}
    for number, moment in enumerate(moments, 1):
        x, y = places[moment.occurred_at], TOP + LANE * lanes.index(moment.lane) + 20
        beside = used.get((moment.lane, x), 0)
        used[moment.lane, x] = beside + 1
        parts.append(_dot(number, moment, x + beside * (2 * NUMBERED + 1), y, places, zone))
    first, last = moments[0], moments[-1]
    said = f"{len(moments)} steps from {first.label} to {last.label}"
    return Markup(
        '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" '
        'aria-label="{said}">{parts}</svg>'
    ).format(w=round(width), h=bottom + 26, said=said, parts=Markup("").join(parts))


class _Gap(NamedTuple):
    begin: float
    end: float
    seconds: float


def _axis(moments: Sequence[StoryStep]) -> tuple[dict[datetime, float], list[_Gap]]:
    """Where each time stands, and the gaps between them."""
    times = sorted({time for one in moments for time in (one.occurred_at, one.recorded_at)})
    crowd: dict[tuple[datetime, str], int] = {}
    for one in moments:
        crowd[one.occurred_at, one.lane] = crowd.get((one.occurred_at, one.lane), 0) + 1
    most = {time: max((n for (t, _), n in crowd.items() if t == time), default=1) for time in times}
    places, gaps, x = {times[0]: float(LEFT + NUMBERED)}, [], float(LEFT + NUMBERED)
    for before, time in pairwise(times):
        seconds = (time - before).total_seconds()
        step = min(CLOSEST + 9 * math.log10(1 + seconds * 1_000), FOLD)
        step += (most[before] - 1) * (2 * NUMBERED + 1)
        gaps.append(_Gap(x, x + step, seconds))
        x += step
        places[time] = x
    if len(times) > 1 and x < WIDEST - RIGHT:
        stretch = min((WIDEST - RIGHT - LEFT) / (x - LEFT), 2.5)
        places = {time: LEFT + (at - LEFT) * stretch for time, at in places.items()}
        gaps = [
            _Gap(
                LEFT + (one.begin - LEFT) * stretch, LEFT + (one.end - LEFT) * stretch, one.seconds
            )
            for one in gaps
        ]
    return places, gaps


def _lane(name: str, at: int, width: float) -> Markup:
    y = TOP + LANE * at
    return Markup(
        '<line class="lane" x1="0" x2="{w}" y1="{b}" y2="{b}"/>'
        '<text class="quiet" x="8" y="{t}">{name}</text>'
    ).format(w=round(width), b=y + LANE - 6, t=y + 25, name=words(name))


def _gap(gap: _Gap, bottom: float) -> Markup:
    long = gap.seconds >= 1 and gap.end - gap.begin >= FOLD - 1
    fold = Markup('<rect class="fold" x="{}" y="{}" width="{}" height="{}"/>').format(
        round(gap.begin + 14, 1),
        TOP - 8,
        round(max(gap.end - gap.begin - 28, 4), 1),
        bottom - TOP + 2,
    )
    text = Markup('<text class="quiet" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        round((gap.begin + gap.end) / 2, 1), bottom + 12, age(gap.seconds)
    )
    return (fold if long else Markup("")) + (text if gap.end - gap.begin > 34 else Markup(""))


def _dot(
    number: int,
    moment: StoryStep,
    x: float,
    y: float,
    places: dict[datetime, float],
    zone: tzinfo,
) -> Markup:
    recorded = places[moment.recorded_at]
    late = (moment.recorded_at - moment.occurred_at).total_seconds()
    title = (
        f"{number}. {moment.label}: happened {moment.occurred_at.astimezone(zone):%H:%M:%S.%f}, "
        f"recorded {age(abs(late))} {'later' if late >= 0 else 'earlier, by its clock'}"
    )
    return Markup(
        '<line class="{skew}" x1="{x}" y1="{y}" x2="{r}" y2="{b}"/>'
        '<line class="between" x1="{r}" x2="{r}" y1="{b}" y2="{e}"/>'
        '<a href="{href}"><circle class="dot {kind}" cx="{x}" cy="{y}" r="9"/>'
        '<text x="{x}" y="{t}" text-anchor="middle" class="numeral">{n}</text>'
        "<title>{title}</title></a>"
    ).format(
        skew="skew" if abs(late) >= 1 else "between",
        x=round(x, 1),
        y=y,
        r=round(recorded, 1),
        b=y + 18,
        e=y + 26,
        t=y + 4,
        href=moment.href,
        kind=moment.kind,
        n=number,
        title=title,
    )
