"""Every setting of the HTTP API and the console, beside those that all programs have."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from ledger.operate.settings import Settings, load_as

USUAL_PORT = 8787
"""Of `ledgerctl serve web`, where none is set."""
READY = "/ready"
"""Where the server says whether it does its work."""
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


class WebSettings(Settings):
    """What `serve web` can be told."""

    web_url: str | None = Field(
        default=None,
        validate_default=True,
        pattern=r"^https?://[^/?#\s]+$",
        description="How browsers reach the console, without a path: https://ledger.example. Only "
        "requests for this host are answered, forms are taken from its pages only, cookies are "
        "Secure and HSTS is sent if it begins with https. Unset: http on this machine.",
    )
    web_tls_cert_file: Path | None = Field(
        default=None,
        description="Certificate that the console proves its name with. Unset: it speaks plain "
        "HTTP, to this machine or to a proxy that speaks TLS.",
    )
    web_tls_key_file: Path | None = Field(
        default=None,
        description="The secret key of web_tls_cert_file. Nobody else may be able to read it.",
    )
    web_dir: Path | None = Field(
        default=None,
        description="Directory of the users file and the API tokens (`ledgerctl web`), readable by "
        "its owner only. Unset: `web` in the data directory.",
    )
    web_bus_users_file: Path | None = Field(
        default=None,
        description="The file of the bus's users (`ledgerctl bus user`), so that the console shows "
        "who may send what there. It has public keys only. Unset: not shown, as the file usually "
        "lies where NATS is, and not here.",
    )
    web_environment: str = Field(
        default="",
        max_length=40,
        description="Name of this installation on every page and in its title. PRODUCTION is red, "
        "so that nobody takes it for another.",
    )
    web_pool_size: int = Field(
        default=7,
        ge=1,
        le=8,
        description="Connections to the database for requests, beside one that waits for "
        "positions and one that follows the log: at most 10 together, so that however many look "
        "on, those who trade find room.",
    )
    web_statement_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Longest that a statement of a request may take. A page asks for a page of "
        "rows, which takes milliseconds; what takes longer is asked at the terminal.",
    )
    web_rows_limit: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="Most rows of an answer; 100 where nothing is said. More come with the next "
        "page.",
    )
    web_body_limit_bytes: int = Field(
        default=1_048_576,
        ge=65_536,
        description="Largest body of a request: what the bus takes as a message at most.",
    )
    web_requests_per_second: float = Field(
        default=100.0,
        gt=0,
        description="Requests that a session or token may make in a second, and at once; beyond "
        "it is 429 with Retry-After. A page with all its parts is some twenty.",
    )
    web_streams_limit: int = Field(
        default=200,
        ge=1,
        description="Streams (SSE) that are open at the same time, of events or of a page that "
        "follows the log. They share one reading of it; each costs its buffer.",
    )
    web_stream_buffer_events: int = Field(
        default=1_000,
        ge=10,
        description="Events that wait for a slow reader of a stream before it is dropped; it "
        "resumes with Last-Event-ID. About a kilobyte each.",
    )
    web_stream_heartbeat_seconds: float = Field(
        default=15.0,
        gt=0,
        description="Silence after which a stream says that it is alive: below the minute after "
        "which proxies give up.",
    )
    web_live_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Part of the time of one core that goes at most into making pages again for "
        "who looks on while the log moves. Few see a change within half a second; with many, or on "
        "a busy machine, it is a little later, and those who trade do not pay for it.",
    )
    web_command_wait_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How long the answer to a command waits for its outcome. Nearly all are "
        "decided in a tenth of a second; beyond this it is 202 with a link.",
    )
    web_session_hours: float = Field(
        default=12.0,
        gt=0,
        description="After which a session is over, used or not: a day at the desk.",
    )
    web_session_idle_minutes: float = Field(
        default=60.0,
        gt=0,
        description="Without a request after which a session is over: lunch.",
    )
    web_sign_in_attempts: int = Field(
        default=5,
        ge=1,
        description="Wrong passwords for a name, and from an address five times as many, in "
        "web_sign_in_window_seconds, after which further ones are not looked at.",
    )
    web_sign_in_window_seconds: float = Field(
        default=300.0,
        gt=0,
        description="For how long a wrong password counts: five in five minutes are half a "
        "million a year, nothing against a password that is no word.",
    )
    web_oidc_issuer: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Provider of sign-in by OpenID Connect, as its tokens name it. Unset: "
        "sign-in by password only.",
    )
    web_oidc_client_id: str = Field(
        default="ledger",
        description="Our name at the provider.",
    )
    web_oidc_client_secret_file: Path | None = Field(
        default=None,
        description="File with our secret at the provider. Nobody else may be able to read it. "
        "Unset: a public client, which proves itself by PKCE alone.",
    )
    web_oidc_name_claim: str = Field(
        default="email",
        description="Claim that names the user as in the users file, which gives the role. An "
        "e-mail address counts only if the provider has verified it.",
    )

    @field_validator("web_url")
    @classmethod
    def _reached_by_tls_from_elsewhere(cls, url: str | None, given: ValidationInfo) -> str | None:
        listens_on = given.data.get("web_host")
        if url is None:
            if listens_on not in (*LOOPBACK, None):
                raise ValueError(
                    f"web_host {listens_on} is reached from elsewhere: say how, as "
                    "https://ledger.example"
                )
        elif url.startswith("http://") and host_of(url) not in LOOPBACK:
            raise ValueError(
                "passwords would be read on the way: use https, with web_tls_cert_file or a proxy "
                "before it"
            )
        return url

    @field_validator("web_oidc_issuer")
    @classmethod
    def _asked_by_tls(cls, issuer: str | None) -> str | None:
        if issuer is not None and issuer.startswith("http://") and host_of(issuer) not in LOOPBACK:
            raise ValueError("who you are would be told unencrypted: use https")
        return issuer

    @property
    def port(self) -> int:
        return self.web_port or USUAL_PORT

    @property
    def url(self) -> str:
        """How browsers reach it."""
        if self.web_url is not None:
            return self.web_url
        host = f"[{self.web_host}]" if ":" in self.web_host else self.web_host
        return f"http://{host}:{self.port}"

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """The host of `url`, without its port."""
        return host_of(self.url)

    @property
    def directory(self) -> Path:
        return self.web_dir or self.data_dir / "web"


def host_of(url: str) -> str:
    """The host of a URL, without its port."""
    host = url.partition("://")[2].partition("/")[0]
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def load() -> WebSettings:
    """The settings of the environment and `.env`. Raises InvalidSettings."""
    return load_as(WebSettings)
