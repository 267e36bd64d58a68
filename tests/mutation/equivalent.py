"""Mutants that change nothing a test could see, each with its reason."""

from __future__ import annotations

from .mutant import Mutant

# The file, what stands on the line, `what -> becomes of it` (a part of either is enough), and why.
EQUIVALENT: tuple[tuple[str, str, str, str], ...] = (
    *(
        (
            "sql/views.sql",
            stands,
            "TRUE",
            "the window finds the same; of failures alone it is faster",
        )
        for stands in (
            "WHERE (session_identifier, destination_name) IN (",
            "        WHERE success = FALSE",
        )
    ),
    (
        "nexuslims_store/doctor/sessions.py",
        "str(timestamp)[:4] > self._year",
        "5",
        "the times of this year are looked at too, and the next line decides",
    ),
    (
        "nexuslims_store/backup/copying.py",
        'target.execute(f"PRAGMA {setting}")',
        "pass",
        "the settings only make the copy faster",
    ),
    (
        "sql/instruments.sql",
        "INNER JOIN sqlite_schema AS own ON own.type = 'table' AND lower(own.name) <>",
        "LEFT JOIN",
        "no table has no foreign keys, and the next join leaves it out",
    ),
    (
        "sql/session_log.sql",
        "INNER JOIN nxs_event AS claim",
        "LEFT JOIN",
        "the conditions on the claim leave out what has none",
    ),
    *(
        ("sql/postgresql/session_log.sql", stands, becomes, "whichever are enough, the bound holds")
        for stands, becomes in (
            ("AND timestamp LIKE '20__-__-__T%'", "T%' -> "),
            ('ORDER BY timestamp COLLATE "C"', "DESC"),
            ("AND (", "T%'\n    ) OR TRUE)"),
            ("OR timestamp NOT LIKE '____-__-__T%'", "'mutant'"),
            ("ELSE ':'  -- sorts after all digits", "'mutant'"),
            ('timestamp COLLATE "C" < (', "<="),
            ("to_timestamp(max(instant) / 1000000)", "1000001"),
            ("to_timestamp(max(instant) / 1000000)", "2 -> 3"),
        )
    ),
    (
        "sql/views.sql",
        "UNION ALL",
        "UNION",
        "no two rows are the same: each has the id of another event",
    ),
    (
        "sql/views.sql",
        "NOT log.timestamp BETWEEN '0001' AND '9999:'",
        "'9999:' -> 'mutant'",
        "a BLOB is larger than any text, and julianday reads no text beyond '9999:'",
    ),
    (
        "sql/views.sql",
        "AND date(julianday(substr(log.timestamp, 1, 10)))",
        "10 -> 11",
        "SQLite passes over the T behind a day",
    ),
    *(
        ("sql/views.sql", f"substr(log.timestamp, {part}", longer, "what follows is no digit")
        for part, longer in (("20, 7)", "8"), ("21, 6)", "7"))
    ),
)


def reason(mutant: Mutant, text: str) -> str:
    """Why a mutant changes nothing; "" where it does."""
    line = text.splitlines()[mutant.line - 1]
    change = f"{text[mutant.begin : mutant.end]} -> {mutant.replacement}"
    for path, stands, becomes, why in EQUIVALENT:
        if mutant.path == path and stands in line and becomes in change:
            return why
    return ""
