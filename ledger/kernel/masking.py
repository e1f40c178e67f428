"""What may be shown of a text that has URLs in it: their secrets are `***`.

Of a PostgreSQL URL the user stays, which is no secret; of every other one nothing of who it is: a
NATS URL may have a token in place of a user.
"""

import re

_URL = re.compile(
    r"""(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://
        (?: (?P<user>[^\s"'/@:,]*) : [^\s"',]*   # with a password, which may have anything in it
          | (?P<name>[^\s"'/@,]+) )@""",
    re.VERBOSE,
)
_PASSWORD = re.compile(r"(?P<name>\b(?:ssl)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&\"']+)")
"""As a parameter of a URL or a keyword of libpq."""


def masked(text: str) -> str:
    """The text as it may be shown."""
    if "@" in text:
        text = _URL.sub(_without_secret, text)
    return _PASSWORD.sub(r"\g<name>***", text) if "password" in text else text


def _without_secret(url: re.Match[str]) -> str:
    if not url["scheme"].startswith("postgres"):
        return f"{url['scheme']}://***@"
    return f"{url['scheme']}://{url['name'] or url['user'] + ':***'}@"
