"""What the README draws of the tables is what they are: as a table, and as Mermaid's diagram.

Where it is not, `python tests/test_readme_schema.py` puts it right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from nexuslims_store import Store, schema

README = Path(__file__).resolve().parent.parent / "README.md"
BETWEEN = re.compile(r"(?<=<!-- schema diagram -->\n).*(?=<!-- end of schema diagram -->)", re.S)
BLOCK = re.compile(r"^    (\w+) \{\n(.*?)^    \}", re.M | re.S)
RELATION = re.compile(r'^    (\w+) \S+ (\w+) : "(.*)"', re.M)


def in_words(mermaid: str) -> Iterator[str]:
    """The diagram as a table, for readers of pages where Mermaid is not drawn."""
    yield "| table | columns (**key**, *unique*, may be NULL?) | joined with |"
    yield "|---|---|---|"
    joined: dict[str, list[str]] = {}
    for one, other, by in RELATION.findall(mermaid):
        joined.setdefault(other, []).append(f"`{one}` by `{by}`")
        joined.setdefault(one, []).append(f"`{other}` by `{by}`")
    for table, block in BLOCK.findall(mermaid):
        columns = []
        for line in block.splitlines():
            _, name, *more = line.split()
            mark = "**" if "PK" in more else "*" if "UK" in more else ""
            columns.append(f"{mark}{name}{mark}" + ("?" if '"may be NULL"' in line else ""))
        yield f"| `{table}` | {', '.join(columns)} | {'; '.join(joined[table])} |"


def diagram() -> str:
    with Store(":memory:") as store:
        mermaid = schema.mermaid(store.connection)
    table = "\n".join(in_words(mermaid))
    drawn = "<details><summary>The same with types, as a diagram</summary>"
    return f"\n{table}\n\n{drawn}\n\n```mermaid\n{mermaid}```\n\n</details>\n\n"


def test_the_tables_in_the_readme_are_up_to_date() -> None:
    (found,) = BETWEEN.findall(README.read_text(encoding="utf-8"))
    assert found == diagram(), "run: python tests/test_readme_schema.py"


def test_every_table_and_column_stands_in_the_table() -> None:
    (text,) = BETWEEN.findall(README.read_text(encoding="utf-8"))
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    assert len(rows) == 4
    with Store(":memory:") as store:
        for row in rows:
            _, table, columns, *_ = (cell.strip(" `") for cell in row.split("|"))
            there = store.connection.execute(f"SELECT name FROM pragma_table_info('{table}')")
            assert re.sub(r"[*? ]", "", columns).split(",") == [name for (name,) in there]


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(BETWEEN.sub(lambda _: diagram(), text), encoding="utf-8")
