"""Signing in by OpenID Connect: the provider says who somebody is, the users file what they may.

    begin    to the provider, with a state, a nonce and a challenge (PKCE) that nobody else has
    finish   back with a code, which we exchange for an ID token; its signature, issuer, audience,
             times and nonce are checked, and the claim that names the user

What belongs to one sign-in lies in a cookie of the browser that began it, so no other browser can
finish it, and any server of ours can.
"""

import base64
import hmac
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ledger.kernel.errors import LedgerError
from ledger.kernel.known_types import known
from ledger.web.settings import WebSettings

PROVIDER_SECONDS = 5.0
"""A provider that does not answer by then is away: whoever signs in waits."""
LIFETIME_SECONDS = 600
"""How long somebody may take to sign in at the provider."""
CLOCK_SECONDS = 60
"""How far the provider's clock may be off."""
SCOPE = "openid email profile"
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
"""What an ID token may be signed with: nothing that is shared, and not nothing."""

_log = structlog.get_logger(__name__)


class OidcRefused(LedgerError):
    """The provider, or what came back from it, does not say who this is."""


class OidcSignIn(msgspec.Struct, frozen=True):
    """A sign-in that was begun; kept by the browser."""

    state: str
    nonce: str
    verifier: str
    next: str

    def as_cookie(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).rstrip(b"=").decode()

    @classmethod
    def from_cookie(cls, text: str) -> "OidcSignIn":
        """Raises OidcRefused."""
        try:
            padded = text + "=" * (-len(text) % 4)
            return msgspec.json.decode(base64.urlsafe_b64decode(padded), type=known(cls))
        except (ValueError, msgspec.DecodeError) as error:
            raise OidcRefused("no sign-in was begun in this browser") from error


@dataclass(frozen=True)
class OidcProvider:
    """The provider of the settings."""

    settings: WebSettings

    @property
    def redirect_uri(self) -> str:
        return f"{self.settings.url}/sign-in/oidc/callback"

    async def begin(self, next_path: str) -> tuple[str, OidcSignIn]:
        """Where to send the browser, and what it keeps. Raises OidcRefused."""
        begun = OidcSignIn(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            next_path,
        )
        async with self._client() as client:
            metadata = await self._metadata(client)
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=begun.state,
                nonce=begun.nonce,
                code_verifier=begun.verifier,
            )
        return str(url), begun

    async def finish(self, begun: OidcSignIn, state: str, code: str) -> str:
        """The name of who signed in. Raises OidcRefused."""
        if not hmac.compare_digest(begun.state.encode(), state.encode()):
            raise OidcRefused("the answer of the provider is of another sign-in")
        try:
            async with self._client() as client:
                metadata = await self._metadata(client)
                told = await client.fetch_token(
                    metadata["token_endpoint"],
                    code=code,
                    code_verifier=begun.verifier,
                    grant_type="authorization_code",
                )
                keys = await _json(client, metadata["jwks_uri"])
            claims = self._claims(told["id_token"], keys, begun.nonce)
        except (httpx2.HTTPError, AuthlibBaseError, JoseError, KeyError, ValueError) as error:
            _log.warning("oidc_refused", error=f"{type(error).__name__}: {error}")
            raise OidcRefused("the provider's answer does not prove who you are") from error
        return self._name(claims)

    def _client(self) -> Any:
        secret = self.settings.web_oidc_client_secret_file
        return AsyncOAuth2Client(
            client_id=self.settings.web_oidc_client_id,
            client_secret=None if secret is None else _secret(secret),
            token_endpoint_auth_method="none" if secret is None else "client_secret_basic",
            scope=SCOPE,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=PROVIDER_SECONDS,
        )

    async def _metadata(self, client: Any) -> dict[str, Any]:
        issuer = str(self.settings.web_oidc_issuer)
        try:
            found = await _json(client, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            places = [found[name] for name in ("authorization_endpoint", "token_endpoint")]
        except (httpx2.HTTPError, KeyError, ValueError) as error:
            raise OidcRefused(f"the provider {issuer} does not answer: try again") from error
        if found.get("issuer") != issuer:
            raise OidcRefused(f"the provider calls itself {found.get('issuer')}, not {issuer}")
        for place in (*places, found.get("jwks_uri", "")):
            if urlsplit(str(place)).scheme != urlsplit(issuer).scheme:
                raise OidcRefused("the provider names places that are not reached as it is itself")
        return found

    def _claims(self, id_token: str, keys: Any, nonce: str) -> dict[str, Any]:
        token = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=ALGORITHMS)
        audience = self.settings.web_oidc_client_id
        jwt.JWTClaimsRegistry(
            leeway=CLOCK_SECONDS,
            iss={"essential": True, "value": str(self.settings.web_oidc_issuer)},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(token.claims)
        if token.claims.get("azp", audience) != audience:
            raise ValueError("the token is for another client")
        return dict(token.claims)

    def _name(self, claims: dict[str, Any]) -> str:
        claim = self.settings.web_oidc_name_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            raise OidcRefused(f"the provider does not tell {claim}")
        if claim == "email" and claims.get("email_verified") is not True:
            raise OidcRefused("the provider has not verified your e-mail address")
        return name


async def _json(client: Any, url: str) -> dict[str, Any]:
    answer = await client.request("GET", url, withhold_token=True)
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise ValueError(f"{url} is no JSON object")
    return found


def _secret(path: Any) -> str:
    from ledger.bus.security import private_file

    return str(private_file(path).read_text(encoding="utf-8").strip())
