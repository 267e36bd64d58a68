"""The diagram in the README is the one of the tables.

Where it is not, `python tests/test_readme_schema.py` puts it right.
"""

from __future__ import annotations

import re
from pathlib import Path

from nexuslims_store import Store, schema

README = Path(__file__).resolve().parent.parent / "README.md"
BETWEEN = re.compile(r"(?<=<!-- schema diagram -->\n).*(?=<!-- end of schema diagram -->)", re.S)


def diagram() -> str:
    with Store(":memory:") as store:
        return f"\n```mermaid\n{schema.mermaid(store.connection)}```\n\n"


def test_the_diagram_in_the_readme_is_up_to_date() -> None:
    (found,) = BETWEEN.findall(README.read_text(encoding="utf-8"))
    assert found == diagram(), "run: python tests/test_readme_schema.py"


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    README.write_text(BETWEEN.sub(lambda _: diagram(), text), encoding="utf-8")
