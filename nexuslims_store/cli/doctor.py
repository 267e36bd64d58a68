"""`doctor`: what is not as it should be, and how to mend it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields

from nexuslims_store import doctor
from nexuslims_store.cli.declaration import Command
from nexuslims_store.cli.options import JSON, database_name, database_path
from nexuslims_store.cli.output import Listing, Output
from nexuslims_store.display import number

_NOTHING, _FOUND = 0, 1

_FINDINGS = Listing([field.name for field in fields(doctor.Finding)])

# So many of a kind are printed, the rest are counted.
_SHOWN = 20


def _run(arguments: argparse.Namespace, output: Output) -> int:
    path = database_path(arguments)
    counts: Counter[doctor.Severity] = Counter()
    of_computer: Counter[doctor.Severity] = Counter()

    def found() -> Iterator[doctor.Finding]:
        for finding in doctor.iter_findings(
            path, timeout=arguments.timeout, progress=output.percent
        ):
            of_whom = of_computer if finding.code == "no-zone-data" else counts
            of_whom[finding.severity] += 1
            yield finding

    if output.form == "json":
        output.records(_FINDINGS, map(asdict, found()))
    else:
        _print(found(), output)
        if of_computer:
            output.line(f"this computer: {_summary(of_computer)}")
        output.line(f"{database_name(path)}: {_summary(counts)}")
    counts += of_computer
    return _FOUND if counts["error"] or counts["warning"] else _NOTHING


def _print(findings: Iterable[doctor.Finding], output: Output) -> None:
    kinds: Counter[tuple[str, str | None]] = Counter()
    for finding in findings:
        kind = (finding.code, finding.table)
        kinds[kind] += 1
        if kinds[kind] <= _SHOWN:
            output.line(f"{finding.severity}: {finding.message}")
            if finding.remedy:
                output.line(f"    {finding.remedy}")
    for (code, table), count in kinds.items():
        if count > _SHOWN:
            where = f" in {table}" if table else ""
            output.line(
                f"and {count - _SHOWN:,} more findings {code}{where}; "
                "`nexuslims-store doctor --json` lists all"
            )


def _summary(counts: Counter[doctor.Severity]) -> str:
    severities: tuple[doctor.Severity, ...] = ("error", "warning", "note")
    found = [number(counts[severity], severity) for severity in severities if counts[severity]]
    return ", ".join(found) or "nothing is wrong"


COMMAND = Command(
    _run,
    JSON,
    description="Examines the file, its tables and every row, at whatever revision it is, and "
    "changes nothing. While SQLite looks at all pages, writers wait (not in WAL mode); while the "
    "rows are read, they do not. Each finding comes with the command that mends it. Exit status: "
    "0 nothing is wrong (notes do no harm), 1 something is, 2 it could not be examined.",
    examples=(
        "nexuslims-store doctor",
        "nexuslims-store --db copy.db doctor",
        "nexuslims-store doctor --json > findings.json",
    ),
)
