"""Signing in by a provider: who it says somebody is, and the users file what they may."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from ledger.operate.settings import InvalidSettings, load_as
from ledger.web.person import Role
from ledger.web.settings import WebSettings
from ledger.web.users import web_user
from tests.web.provider import Provider, provided
from tests.web.serving import Served, served

NAME = "olga@example.com"
KNOWN = {"email": NAME, "email_verified": True}


@pytest.fixture(scope="module")
def signing_in(
    everything_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Provider]]:
    directory = tmp_path_factory.mktemp("oidc")
    with (
        provided() as provider,
        served(everything_url, directory, web_oidc_issuer=provider.issuer) as server,
    ):
        server.web.users.put(web_user(NAME, Role.OPERATOR))
        yield server, provider


def signed_in(server: Served, claims: dict[str, Any], provider: Provider) -> httpx2.Response:
    """The last answer of the way there and back."""
    provider.claims = claims
    client = server.client()
    there = client.get("/sign-in/oidc", params={"next": "/orders"})
    assert there.status_code == 303, there.text
    assert there.headers["location"].startswith(provider.issuer)
    back = client.get(there.headers["location"])
    answer = client.get(back.headers["location"])
    answer.extensions["session"] = client.cookies.get("ledger")
    return answer


def test_who_the_provider_knows_and_the_file_has_is_in(
    signing_in: tuple[Served, Provider],
) -> None:
    server, provider = signing_in
    answer = signed_in(server, KNOWN, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders")
    person = server.web.sessions.person(answer.extensions["session"])
    assert person is not None
    assert (person.name, person.role) == (NAME, Role.OPERATOR)


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "stranger@example.com", "email_verified": True},
        {"email": NAME},
        {"email": NAME, "email_verified": "true"},
        {"email_verified": True},
        {**KNOWN, "iss": "http://127.0.0.1:1"},
        {**KNOWN, "aud": "another"},
        {**KNOWN, "azp": "another"},
        {**KNOWN, "nonce": "another"},
        {**KNOWN, "exp": 1},
        {**KNOWN, "iat": 4_000_000_000},
    ],
)
def test_whoever_the_token_does_not_prove_is_not_in(
    signing_in: tuple[Served, Provider], claims: dict[str, Any]
) -> None:
    server, provider = signing_in
    answer = signed_in(server, claims, provider)
    assert answer.status_code == 401
    assert answer.extensions["session"] is None


def test_a_token_that_another_signed_proves_nothing(signing_in: tuple[Served, Provider]) -> None:
    server, provider = signing_in
    provider.signs_with = ECKey.generate_key("P-256", {"kid": "one"})
    try:
        assert signed_in(server, KNOWN, provider).status_code == 401
    finally:
        provider.signs_with = provider.key


def test_a_sign_in_is_finished_by_the_browser_that_began_it(
    signing_in: tuple[Served, Provider],
) -> None:
    server, provider = signing_in
    provider.claims = KNOWN
    attacker, victim = server.client(), server.client()
    there = attacker.get("/sign-in/oidc")
    back = attacker.get(there.headers["location"])
    assert victim.get(back.headers["location"]).status_code == 401
    victim.get("/sign-in/oidc")  # has begun one of its own
    assert victim.get(back.headers["location"]).status_code == 401
    assert attacker.get(back.headers["location"]).status_code == 303
    again = attacker.get(back.headers["location"])
    assert again.status_code == 401  # a code is used once


def test_a_provider_is_asked_by_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEDGER_WEB_OIDC_ISSUER", "http://sign-in.example")
    with pytest.raises(InvalidSettings, match="use https"):
        load_as(WebSettings)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"LEDGER_WEB_HOST": "0.0.0.0"}, "reached from elsewhere"),
        ({"LEDGER_WEB_URL": "http://ledger.example"}, "use https"),
    ],
)
def test_nobody_is_served_unencrypted_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=why):
        load_as(WebSettings)
    monkeypatch.setenv("LEDGER_WEB_URL", "https://ledger.example")
    assert load_as(WebSettings).secure
