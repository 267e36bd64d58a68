"""Sessions by what people call them: the end of an identifier that is unique."""

from __future__ import annotations

from nexuslims_store.errors import StoreError
from nexuslims_store.repository.stored import identifiers_ending
from nexuslims_store.store import Store

__all__ = ["find_sessions", "names_to_look_for", "session_called"]

_NAMED = 5


def session_called(store: Store, name: str) -> str:
    """Return the identifier of the session that has or alone ends with a name.

    Raises
    ------
    StoreError
        There is no such session, or there are several.
    """
    found = _found(store, name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise StoreError(
            f"there is no session {name!r}; `nexuslims-store sessions list` shows those there are"
        )
    raise _ambiguous(name, found)


def _found(store: Store, name: str) -> list[str]:
    if store.sessions.overview(name):
        return [name]
    return identifiers_ending(store._database, name, _NAMED + 1) if name else []


def _ambiguous(name: str, found: list[str]) -> StoreError:
    named = "\n".join(f"  {identifier}" for identifier in found[:_NAMED])
    more = "\n  and others" if len(found) > _NAMED else ""
    return StoreError(f"several sessions end with {name!r}; give more of one:\n{named}{more}")


def names_to_look_for(store: Store, names: list[str]) -> set[str]:
    """Return the identifiers that names stand for; one that no session has stays as it is."""
    identifiers = set()
    for name in names:
        found = _found(store, name)
        if len(found) > 1:
            raise _ambiguous(name, found)
        identifiers.add(found[0] if found else name)
    return identifiers


def find_sessions(store: Store, names: list[str]) -> list[str]:
    """Return the identifiers that names stand for, each once."""
    return list(dict.fromkeys(session_called(store, name) for name in names))
