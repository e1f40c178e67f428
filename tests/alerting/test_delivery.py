"""One message on one channel: an answer, and nothing of where it went."""

import logging
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from pydantic import SecretStr

from ledger.alerting.channels import UnusableChannels, channels_of
from ledger.alerting.delivery import AlertMessage, send, together, without_secrets
from ledger.nouns.alerts.events import AlertSeverity
from ledger.operate.settings import Settings
from tests.alerting.receiving import SECRET, posted, webhook
from tests.ports import free_port

MESSAGE = AlertMessage("WARNING: a limit", "80 % of it", AlertSeverity.WARNING, "key-1")


class Mailbox:
    """Takes mail, or refuses whoever it is for."""

    def __init__(self, refuses: bool = False) -> None:
        self.mails: list[str] = []
        self._refuses = refuses

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self._refuses:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope.content.decode())
        return "250 OK"


@pytest.mark.parametrize("refuses", [False, True])
def test_a_mail_server_takes_it_or_refuses_it(refuses: bool) -> None:
    box = Mailbox(refuses)
    port = free_port()
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        address = f"mailto://127.0.0.1:{port}?from=ledger@example.org&to=ada@example.org"
        answer = send(address, MESSAGE)
    finally:
        server.stop()
    assert answer.sent is not refuses
    assert len(box.mails) == (0 if refuses else 1)
    if refuses:
        assert not answer.uncertain
        assert "ada@example.org" not in str(answer.error)
    else:
        assert "a limit" in box.mails[0]


def test_a_stand_in_of_telegram_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins.telegram import NotifyTelegram

    token = "123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI"
    with posted({"ok": True, "result": {"message_id": 1}}) as (url, told):
        monkeypatch.setattr(NotifyTelegram, "notify_url", f"{url}/bot")
        assert send(f"tgram://{token}/42", MESSAGE).sent
    (one,) = told
    assert one.path == f"/bot{token}/sendMessage"
    assert "80 % of it" in one.body["text"]
    refused = send(f"tgram://{token}/42", MESSAGE)
    assert (refused.sent, refused.uncertain) == (False, False)
    assert token.partition(":")[2] not in str(refused.error)


def test_what_was_answered_is_told_from_what_was_not() -> None:
    with webhook(200, 403, 0) as hook:
        taken, refused, lost = (send(hook.address, MESSAGE) for _ in range(3))
    gone = send(hook.address, MESSAGE)
    assert taken.sent
    assert (refused.sent, refused.uncertain) == (False, False)
    assert (lost.sent, lost.uncertain) == (False, True)
    assert (gone.sent, gone.uncertain) == (False, False)
    assert {one["Idempotency-Key"] for one in hook.headers} == {"key-1"}
    assert not send("nobody://knows/this", MESSAGE).sent


def test_nothing_of_an_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), webhook(500) as hook:
        answer = send(hook.address, MESSAGE)
    assert SECRET not in caplog.text
    assert SECRET not in str(answer)
    text = "POST https://ada:pa%24word@host/T0KEN?key=value1 failed for ada@host, pa$word"
    shown = without_secrets(text, "https://ada:pa%24word@host/T0KEN?key=value1")
    assert not any(secret in shown for secret in ("pa$word", "pa%24word", "T0KEN", "value1"))


def test_several_of_one_rule_are_one_message_as_bad_as_the_worst() -> None:
    worse = MESSAGE._replace(severity=AlertSeverity.CRITICAL)
    whole = together([MESSAGE, worse], "key-2")
    assert whole.title == "2 alerts: WARNING: a limit"
    assert (whole.severity, whole.key) == (AlertSeverity.CRITICAL, "key-2")
    assert together([MESSAGE], "key-2") == MESSAGE


def test_channels_come_from_a_file_that_nobody_else_can_read(tmp_path: Any) -> None:
    file = tmp_path / "channels.toml"
    file.write_text('ops = "json://127.0.0.1/x"\n')
    file.chmod(0o600)
    given = Settings(alert_channels_file=file, alert_channels=SecretStr("boss=mailto://u:p@h"))
    assert channels_of(given) == {"ops": "json://127.0.0.1/x", "boss": "mailto://u:p@h"}
    assert "mailto" not in repr(given)
    file.chmod(0o640)
    with pytest.raises(UnusableChannels, match="chmod 600"):
        channels_of(given)
    file.chmod(0o600)
    for wrong in ("ops = 5", 'ops = "secret-word"', "ops = secret-word"):
        file.write_text(wrong)
        with pytest.raises(UnusableChannels) as error:
            channels_of(Settings(alert_channels_file=file))
        assert "secret-word" not in str(error.value)
