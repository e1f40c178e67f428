"""The rules: those that come with the ledger, and what a file makes of them."""

from pathlib import Path

import pytest

from ledger.alerting.rules import InvalidRules, as_file, rules_of
from ledger.nouns.alerts.events import AlertSeverity
from ledger.vitals.condition import CONDITIONS

ROOT = Path(__file__).parent.parent.parent


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return path


def test_every_condition_of_the_vitals_is_a_rule_with_its_runbook() -> None:
    rules = rules_of(None)
    for condition in CONDITIONS:
        rule = rules.by_name[condition.alert]
        assert (rule.measure, rule.limit) == (condition.measure, condition.limit)
        critical = rule.severity is AlertSeverity.CRITICAL
        assert critical == (condition.severity == "page")


def test_every_runbook_is_there() -> None:
    for rule in rules_of(None).by_name.values():
        assert rule.runbook is None or (ROOT / rule.runbook).is_file(), rule.name


def test_a_file_changes_adds_and_takes_away(tmp_path: Path) -> None:
    rules = rules_of(
        file(
            tmp_path,
            """
            channels = ["ops"]
            escalate_after_minutes = 5
            [[rule]]
            name = "LedgerDiskFull"
            limit = 7
            channels = ["boss"]
            [[rule]]
            name = "LedgerSealsUnsigned"
            enabled = false
            [[rule]]
            name = "mine"
            events = ["account.withdrawn"]
            where = { asset = ["BTC"] }
            title = "$amount left"
            """,
        )
    ).by_name
    disk = rules["LedgerDiskFull"]
    assert (disk.limit, disk.measure, disk.channels) == (7, "disk_free_bytes", ("boss",))
    assert "LedgerSealsUnsigned" not in rules
    assert (rules["mine"].channels, rules["mine"].escalate_after_minutes) == (("ops",), 5)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[[rule]", "rules.toml cannot be used"),
        ('[[rule]]\nname = "a b"\nmeasure = "bus_up"\ntitle = "t"', "a name has"),
        ('[[rule]]\nname = "a"\ntitle = "t"', "by `events` or by a `measure`"),
        ('[[rule]]\nname = "a"\nevents = ["x.y"]\ntitle = "t"', "no events x.y"),
        ('[[rule]]\nname = "a"\nmeasure = "nothing"\ntitle = "t"', "no measure nothing"),
        ('[[rule]]\nname = "a"\nmeasure = "bus_up"\ntitel = "t"', "titel"),
        ('[[rule]]\nname = "a"\nevents = ["log.recovered"]\ntitle = "50 $"', "dollar"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_is_wrong(
    tmp_path: Path, text: str, wrong: str
) -> None:
    with pytest.raises(InvalidRules, match=wrong):
        rules_of(file(tmp_path, text))


def test_the_rules_as_a_file_make_the_same_rules(tmp_path: Path) -> None:
    rules = rules_of(None)
    assert rules_of(file(tmp_path, "\n".join(as_file(rules)))) == rules
