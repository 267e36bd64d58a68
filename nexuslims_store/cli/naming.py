"""Sessions by what people call them: the end of an identifier that is unique."""

from __future__ import annotations

from nexuslims_store.cli.output import Output
from nexuslims_store.display import cut, quoted
from nexuslims_store.errors import StoreError
from nexuslims_store.repository.stored import identifiers_ending
from nexuslims_store.store import Store

_NAMED = 5


def session_called(store: Store, name: str) -> str:
    """Return the identifier of the session that has or alone ends with a name.

    Raises
    ------
    StoreError
        There is no such session, or there are several.
    """
    found = _found(store, name)
    if found is None:
        raise StoreError(
            f"there is no session {name!r}; `nexuslims-store sessions list` shows those there are"
        )
    return found


def names_to_look_for(store: Store, names: list[str]) -> set[str]:
    """Return the identifiers that names stand for; one that no session has stays as it is."""
    return {_found(store, name) or name for name in names}


def sessions_to_change(store: Store, names: list[str], output: Output) -> list[str]:
    """Return the identifiers that names stand for, each once, and say what is not to be seen.

    Which identifiers those are, and where instruments share one. As `session_called`, but that an
    end of an identifier must begin where a word of it does: `1` does not mean `id=11` where
    something is changed.
    """
    identifiers = []
    for name in names:
        identifier = session_called(store, name)
        if identifier != name:
            before = identifier[-len(name) - 1]
            if before.isalnum() and name[0].isalnum():
                raise StoreError(
                    f"{name!r} is but a part of the last word of {quoted(identifier)}; to change "
                    "that session, give the whole word"
                )
            output.message(f"{name} is {cut(identifier)}")
        identifiers.append(identifier)
    identifiers = list(dict.fromkeys(identifiers))
    for identifier in identifiers:
        shown = (quoted(session.instrument) for session in store.sessions.overview(identifier))
        pids = list(dict.fromkeys(shown))
        if len(pids) > 1:
            output.message(
                f"{len(pids)} instruments have a session {quoted(identifier)}, and those of all "
                f"are meant: {', '.join(pids)}"
            )
    return identifiers


def _found(store: Store, name: str) -> str | None:
    """Return the identifier that is or ends with a name, None where there is none."""
    if not name or store.sessions.overview(name):
        return name or None
    found = identifiers_ending(store._database, name, _NAMED + 1)
    if len(found) > 1:
        named = "\n".join(f"  {cut(identifier)}" for identifier in found[:_NAMED])
        more = "\n  and others" if len(found) > _NAMED else ""
        raise StoreError(f"several sessions end with {name!r}; give more of one:\n{named}{more}")
    return found[0] if found else None
