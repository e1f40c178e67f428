"""What the console is made of: what is vendored is what was published, all of it is small, and each
tone can be read on every ground that it stands on."""

import gzip
import hashlib
import re
from typing import Any

import orjson
import pytest

from ledger.web.page import STATIC

MOST_BYTES = 350_000
"""Of all code and styles, as they are sent."""
VENDORED: list[dict[str, Any]] = orjson.loads((STATIC / "vendor" / "vendored.json").read_bytes())
CSS = (STATIC / "console.css").read_text()
TEXT, MARKS = 4.5, 3.0
GROUNDS = ("ground", "surface", "raised")
READ = ("text", "quiet", "accent", "good", "warn", "bad", "up", "down")
SEEN = ("up-mark", "down-mark", "edge", "series-1", "series-2", "series-3")
ON = {"good": "good-ground", "warn": "warn-ground", "bad": "bad-ground", "on-accent": "accent"}


@pytest.mark.parametrize("one", VENDORED, ids=lambda one: str(one["file"]))
def test_what_is_vendored_is_what_was_published(one: dict[str, Any]) -> None:
    found = (STATIC / "vendor" / one["file"]).read_bytes()
    assert hashlib.sha256(found).hexdigest() == one["sha256"]
    assert one["licence"]
    assert one["homepage"].startswith("https://")


def test_nothing_is_vendored_that_is_not_listed() -> None:
    listed = {one["file"] for one in VENDORED} | {"vendored.json", "LICENSES.txt"}
    assert {path.name for path in (STATIC / "vendor").iterdir()} == listed
    licences = (STATIC / "vendor" / "LICENSES.txt").read_text()
    assert "TradingView Lightweight Charts" in licences


def test_all_code_and_styles_are_small() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css")]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) < MOST_BYTES


def test_no_file_of_ours_names_another_host() -> None:
    for path in STATIC.glob("*.*"):
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org)", text), path


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tones", ["green", "red", "blue"])
def test_every_tone_can_be_read_on_every_ground(theme: str, tones: str) -> None:
    colours = tokens(theme, tones)
    for ground in GROUNDS:
        for name in READ:
            assert contrast(colours[name], colours[ground]) >= TEXT, (name, ground)
    for name, ground in ON.items():
        assert contrast(colours[name], colours[ground]) >= TEXT, (name, ground)
    assert contrast(colours["text"], colours["warn-ground"]) >= TEXT
    assert contrast(colours["text"], colours["bad-ground"]) >= TEXT
    for name in SEEN:
        assert contrast(colours[name], colours["surface"]) >= MARKS, name


def test_gain_and_loss_differ_for_who_does_not_tell_red_from_green() -> None:
    for theme in ("light", "dark"):
        colours = tokens(theme, "blue")
        up, down = (_channels(colours[name]) for name in ("up-mark", "down-mark"))
        assert up[2] > up[0]  # blue
        assert down[0] > down[2]  # orange


def tokens(theme: str, tones: str) -> dict[str, str]:
    """The colours of a theme, as the style sheet has them."""
    blocks = re.findall(r"^:root(\[data-tones=\"(\w+)\"\])? \{(.*?)^\}", CSS, re.S | re.M)
    found: dict[str, str] = {}
    for _, of_tones, body in blocks:
        if of_tones in ("", tones):
            pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", body)
            found |= {name: light if theme == "light" else dark for name, light, dark in pairs}
    return found


def contrast(one: str, other: str) -> float:
    """As WCAG 2 has it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in _channels(colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
