"""Whether a text is an address of a Postgres, told before any message could quote a part of it."""

import re
from typing import Final

_HOSTS: Final = re.compile(r"[A-Za-z0-9._:,\[\]/-]*")
_PORTS: Final = re.compile(r"[0-9,]*")


def is_address(text: str) -> bool:
    """Tell whether libpq can read the address, and nothing but a host stands where the host is."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - `feedback --help` needs no database
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        parts = conninfo_to_dict(text)
    except ProgrammingError:
        return False
    hosts, ports = str(parts.get("host") or ""), str(parts.get("port") or "")
    return bool(_HOSTS.fullmatch(hosts) and _PORTS.fullmatch(ports))
