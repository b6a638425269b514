"""The names of stores: one file per station, told from its identity and back."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote, unquote

SUFFIX = ".sqlite3"


def file_name(identity: str) -> str:
    """The file of a station: unequal identities have unequal names, safe in any directory."""
    name = quote(identity, safe=" ").replace("~", "%7E")
    if name.startswith((".", " ")):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if len(name) > 180:
        name = f"{name[:140]}~{blake2b(identity.encode(), digest_size=16).hexdigest()}"
    return name + SUFFIX


def identity_of(path: Path) -> str:
    """The identity in a store's file name; of a very long one only the beginning."""
    return unquote(path.name.removesuffix(SUFFIX))
