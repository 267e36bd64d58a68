"""CREATE statements in anybody's hand are read, and written anew, token by token."""

from __future__ import annotations

import pytest

from nexuslims_store import ddl

TABLE = '''CREATE TABLE "Session Log" ( -- a comment, with (a bracket
  id INTEGER PRIMARY KEY AUTOINCREMENT, /* one ( more */ [kind] TEXT COLLATE nocase NOT NULL,
  `user` VARCHAR ( 50 ) REFERENCES people (name) ON DELETE SET NULL ON UPDATE CASCADE DEFAULT 'a,b',
  "twice ""quoted""" REAL DEFAULT (1 + (2)) CONSTRAINT positive CHECK (id > 0),
  total GENERATED ALWAYS AS (id * 2) STORED,
  CONSTRAINT pair UNIQUE (kind, "user"),
  CHECK (kind IN ('START', 'END')),
  FOREIGN KEY (kind, id) REFERENCES "Kinds" (name, number) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID'''


def test_tokens_are_told_apart_and_comments_left_out() -> None:
    assert ddl.tokens(TABLE)[:22] == [
        *("CREATE", "TABLE", '"Session Log"', "(", "id", "INTEGER", "PRIMARY", "KEY"),
        *("AUTOINCREMENT", ",", "kind", "TEXT", "COLLATE", "nocase", "NOT", "NULL", ","),
        *('"user"', "VARCHAR", "(", "50", ")"),
    ]
    assert ddl.tokens("a<=b||USER [a]]`b``c` 'it''s' \"order\" --") == [
        *("a", "<=", "b", "||", '"user"', "a", "]", '"b`c"', "'it''s'", '"order"')
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Plain", "plain"),
        ('"A ""b"""', 'a "b"'),
        ("`A``b`", "a`b"),
        ("[A]", "a"),
        ("'A'", "a"),
        ("ÄB", "Äb"),
        ('"', '"'),
        ('""', ""),
    ],
)
def test_a_name_without_its_quotes(written: str, name: str) -> None:
    assert ddl.bare(written) == name


def test_only_some_names_lose_their_quotes() -> None:
    sql = 'SELECT "kind", "other", "user", `KIND`, \'kind\' FROM x'
    assert ddl.unquoted(sql, {"kind", '"user"'}) == (
        'SELECT kind, "other", "user", KIND, \'kind\' FROM x'
    )


def test_the_parts_of_a_table() -> None:
    parts = ddl.items(TABLE)
    assert [part[0] for part in parts] == [
        *("id", "kind", '"user"', '"twice ""quoted"""', "total", "CONSTRAINT", "CHECK", "FOREIGN")
    ]
    assert [len(part) for part in parts] == [5, 6, 19, 18, 10, 8, 10, 17]
    assert parts[4] == [*("total", "GENERATED", "ALWAYS", "AS", "(", "id", "*", "2", ")", "STORED")]
    assert ddl.items("CREATE TABLE a AS SELECT 1") == []
    assert ddl.items("CREATE TABLE a (b, c") == [["b"], ["c"]]


def test_the_rules_of_a_table() -> None:
    assert ddl.checks(TABLE) == {"id > 0": "positive", "kind IN ('START', 'END')": None}
    assert ddl.checks('CREATE TABLE a (check CHECK (b), CONSTRAINT "x y" CHECK (c))') == {
        "b": None,
        "c": "x y",
    }
    assert ddl.checks("CHECK (b)") == {"b": None}
    assert ddl.constraint_names(TABLE) == ["positive", "pair"]
    assert ddl.collations(TABLE) == {
        "id": "BINARY",
        "kind": "NOCASE",
        "user": "BINARY",
        "total": "BINARY",
        'twice "quoted"': "BINARY",
    }
    assert ddl.collations('CREATE TABLE a (b COLLATE "rtrim", collate)') == {
        "b": "RTRIM",
        "collate": "BINARY",
    }
    assert ddl.options(TABLE) == ["STRICT", "WITHOUT ROWID"]
    assert ddl.options("CREATE TABLE a (b);") == ddl.options("CREATE TABLE a AS SELECT 1") == []


def cut(sql: str, *columns: str) -> tuple[str, list[tuple[tuple[str, ...], str, tuple[str, ...]]]]:
    """Return a statement without references of some columns, and what was asked."""
    asked: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = []

    def is_wanted(own: tuple[str, ...], table: str, to: tuple[str, ...]) -> bool:
        asked.append((own, table, to))
        return bool(set(own) & set(columns))

    return ddl.without_references(sql, is_wanted), asked


MANY = """CREATE TABLE t (
  a INT CONSTRAINT x REFERENCES p MATCH FULL ON UPDATE NO ACTION NOT DEFERRABLE CHECK (a),
  b CONSTRAINT y NOT NULL REFERENCES q(c) DEFERRABLE INITIALLY IMMEDIATE ON DELETE RESTRICT UNIQUE,
  CONSTRAINT z FOREIGN KEY (a, b) REFERENCES "R", c REFERENCES s)"""


@pytest.mark.parametrize(
    ("column", "former", "new"),
    [
        (
            "a",
            "INT CONSTRAINT x REFERENCES p MATCH FULL ON UPDATE NO ACTION NOT DEFERRABLE CHECK",
            "INT  CHECK",
        ),
        (
            "b",
            "NULL REFERENCES q(c) DEFERRABLE INITIALLY IMMEDIATE ON DELETE RESTRICT UNIQUE",
            "NULL  UNIQUE",
        ),
        ("c", "c REFERENCES s)", "c )"),
        ("none", "", ""),
    ],
)
def test_a_reference_is_taken_out_and_nothing_else(column: str, former: str, new: str) -> None:
    text, asked = cut(MANY, column)
    own_key = ',\n  CONSTRAINT z FOREIGN KEY (a, b) REFERENCES "R"'
    assert text == MANY.replace(former, new).replace(own_key if column in "ab" else "-", "")
    assert asked == [
        (("a",), "p", ()),
        (("b",), "q", ("c",)),
        (("a", "b"), "r", ()),
        (("c",), "s", ()),
    ]


def test_references_of_a_whole_table_are_taken_out() -> None:
    text, asked = cut(TABLE, "user", "id")
    assert text == TABLE.replace(
        "REFERENCES people (name) ON DELETE SET NULL ON UPDATE CASCADE", ""
    ).replace(
        """,
  FOREIGN KEY (kind, id) REFERENCES "Kinds" (name, number) DEFERRABLE INITIALLY DEFERRED""",
        "",
    )
    assert asked == [
        (("user",), "people", ("name",)),
        (("kind", "id"), "kinds", ("name", "number")),
    ]


def test_a_column_is_defined_as_it_is_written() -> None:
    found = ddl.definitions(TABLE)
    assert list(found) == ["id", "kind", "user", 'twice "quoted"', "total"]
    assert found["kind"] == "[kind] TEXT COLLATE nocase NOT NULL"
    assert found["user"].startswith("`user` VARCHAR ( 50 ) REFERENCES people (name) ON DELETE")
    assert found["total"] == "total GENERATED ALWAYS AS (id * 2) VIRTUAL"
    assert ddl.definitions(
        "CREATE TABLE a (b STORED, c AS (1), d AS (2) stored NULL, UNIQUE (b))"
    ) == {
        "b": "b STORED",
        "c": "c AS (1)",
        "d": "d AS (2) VIRTUAL NULL",
    }


def test_columns_of_another_table_come_along_with_their_rules() -> None:
    there = """CREATE TABLE a (
        own INTEGER PRIMARY KEY DESC AUTOINCREMENT NOT NULL, two TEXT,
        "Three" INT PRIMARY KEY NOT NULL, x,
        UNIQUE (two, x), CHECK (two > 1), CHECK (x = 'own'), PRIMARY KEY (Three))"""
    assert ddl.with_columns(
        "CREATE TABLE a (x INT, y, CHECK (x))", there, ["own", "two", "three"]
    ) == (
        "CREATE TABLE a (x INT, y, own INTEGER UNIQUE  NOT NULL, two TEXT, "
        '"Three" INT UNIQUE NOT NULL, '
        "CHECK (x), UNIQUE (two, x), CHECK (two > 1), UNIQUE (Three))"
    )
    assert ddl.with_columns(
        "CREATE TABLE a (x -- last\n)", "CREATE TABLE a (b, CHECK (b))", ["b"]
    ) == ("CREATE TABLE a (x, b, CHECK (b) -- last\n)")


@pytest.mark.parametrize(
    ("words", "mentioned"),
    [("own", True), ("t ( OWN", True), ("own ( b )", False), ("'own'", False), ("other", False)],
)
def test_a_column_is_mentioned_after_the_first_bracket(words: str, mentioned: bool) -> None:
    assert ddl.mentions(words.split(), ["own", "'own'"]) is mentioned
    assert not ddl.mentions(["select"], ["select"])


def test_a_statement_in_a_line() -> None:
    sql = "\nCREATE  INDEX a -- x\n ON b\n(c) /* y */\n"
    assert ddl.in_a_line(sql) == "CREATE INDEX a ON b (c)"


@pytest.mark.parametrize(
    ("sql", "new", "plain"),
    [
        (
            "CREATE UNIQUE INDEX /* i */ a ON b(c)",
            'CREATE UNIQUE INDEX /* i */ "n" ON b(c)',
            'CREATE  INDEX /* i */ "n" ON b(c)',
        ),
        ("CREATE INDEX a ON b(c)", 'CREATE INDEX "n" ON b(c)', 'CREATE INDEX "n" ON b(c)'),
        ("create view a AS SELECT 1", 'create view "n" AS SELECT 1', 'create view "n" AS SELECT 1'),
    ],
)
def test_an_index_or_view_gets_another_name(sql: str, new: str, plain: str) -> None:
    assert ddl.renamed(sql, '"n"', plainly=False) == new
    assert ddl.renamed(sql, '"n"', plainly=True) == plain


def test_a_statement_is_laid_out_as_this_package_does_it() -> None:
    assert ddl.normalised(TABLE).splitlines()[:4] == [
        'CREATE TABLE "Session Log" (',
        "    id INTEGER PRIMARY KEY AUTOINCREMENT,",
        "    kind TEXT COLLATE nocase NOT NULL,",
        '    "user" VARCHAR(50) REFERENCES people (name) ON DELETE SET NULL ON UPDATE CASCADE '
        "DEFAULT 'a,b',",
    ]
    assert ddl.normalised("create  index A on B.C (c,d)") == "create index A on B.C (c, d);"
    assert ddl.normalised("create table a as select 1") == "create table a as select 1;"
    assert ddl.join(["a", "b", "c", "(", "5", ")", ";"], column=True) == "a b c (5);"
    assert ddl.join(["a", "c", "(", "5", ")"]) == "a c (5)"
