"""How many lines stand where: `python -m tests.house`, from the checkout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def print_folders(title: str, top: Path, pattern: str) -> None:
    """Print the lines of each folder below `top`, the largest first, and of all of them."""
    counted: Counter[str] = Counter()
    files: Counter[str] = Counter()
    longest = (0, "")
    for path in top.rglob(pattern):
        folder = path.parent.relative_to(ROOT).as_posix()
        counted[folder] += lines(path)
        files[folder] += 1
        longest = max(longest, (lines(path), path.relative_to(ROOT).as_posix()))
    length, name = longest
    print(f"{title}: {counted.total()} lines, {files.total()} files; longest: {name}, {length}")
    for folder, number in counted.most_common():
        print(f"{number:8} lines {files[folder]:4} files  {folder}")


if __name__ == "__main__":
    print_folders("package", ROOT / "nexuslims_store", "*.py")
    print_folders("SQL", ROOT / "sql", "*.sql")
    print_folders("tests", ROOT / "tests", "*.py")
