"""How connections begin: settings that hold before the first statement, in the URL itself, so that
whatever opens it has them.

    confined      names without a schema are looked up in pg_catalog, then in public, where only the
                  owner of the log makes anything (schema_rights.py), then among temporary tables
    catalog_only  in pg_catalog alone: for what asks a database of which that is not known yet
    acting_as     confined, and working as a role
    settled       the URL itself if it is one of these, else confined
"""

from urllib.parse import quote

_CONFINED = "search_path=public,pg_temp"  # pg_catalog, which is not named, comes first
_CATALOG_ONLY = "search_path=pg_catalog,pg_temp"


def confined(database_url: str) -> str:
    """The URL for everything that uses the ledger's tables."""
    return _beginning_with(database_url, _CONFINED)


def catalog_only(database_url: str) -> str:
    """The URL for what says of each name where it is."""
    return _beginning_with(database_url, _CATALOG_ONLY)


def acting_as(database_url: str, role: str) -> str:
    """The URL with connections that begin as `role`."""
    return _beginning_with(confined(database_url), f"role={role}")


def settled(database_url: str) -> str:
    """The URL with a place where names are looked up."""
    known = (quote(f"-c {place}", safe="") for place in (_CONFINED, _CATALOG_ONLY))
    return database_url if any(place in database_url for place in known) else confined(database_url)


def _beginning_with(database_url: str, setting: str) -> str:
    # Not by urlsplit: put together again, a URL without a host would lose its slashes.
    place, _, query = database_url.partition("?")
    option = quote(f"-c {setting}", safe="")
    words = [word for word in query.split("&") if word]
    given = [word for word in words if word.startswith("options=")]
    kept = [word for word in words if word not in given]
    # Of several, libpq takes the last; the others would be lost. Of a setting, too, the last holds.
    if given and given[-1].endswith(option):
        options = given[-1]
    else:
        options = f"{given[-1]}%20{option}" if given else f"options={option}"
    return f"{place}?{'&'.join([*kept, options])}"
