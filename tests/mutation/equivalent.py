"""Mutants that change nothing a test could see, each with its reason."""

from __future__ import annotations

from .mutant import Mutant

# The file, what stands on the line, `what -> becomes of it` (a part of either is enough), and why.
EQUIVALENT: tuple[tuple[str, str, str, str], ...] = (
    *(
        (
            f"nexuslims_store/migrations/{module}.py",
            stands,
            becomes,
            "closing ends the transaction too, as long as no error that is kept keeps a cursor",
        )
        for module, stands, becomes in (
            ("change", 'connection.execute("ROLLBACK")  # of all', "pass"),
            ("change", 'connection.execute("ROLLBACK")  # of nothing', "pass"),
            ("change", "if connection.in_transaction:", "not (connection.in_transaction)"),
            ("stamping", "connection.rollback()", "pass"),
        )
    ),
    *(
        ("nexuslims_store/migrations/backend.py", stands, becomes, why)
        for why in (
            "a savepoint that is left open ends with the transaction, which is rolled back whole",
        )
        for stands, becomes in (
            ("return not self._given.closed", "-> return None"),
            ("return not self._given.closed", "not -> "),
        )
    ),
    (
        "nexuslims_store/demo.py",
        "random.random() <",
        "< -> <=",
        "no number between them is one that comes",
    ),
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
    *(
        (f"nexuslims_store/{path}.py", f"{constant} = ", "", "so many at a time give the same")
        for path, constant in (
            ("backup/copying", "PAGES_AT_A_TIME"),
            ("cli/held", "_AT_A_TIME"),
            ("connection", "_CACHED_STATEMENTS"),
            ("connection", "_ROWS_AT_A_TIME"),
            ("doctor/rows", "_ROWS_AT_A_TIME, _SECONDS_AT_A_TIME, _FEW"),
            ("postgresql/connection", "_ROWS_AT_A_TIME"),
            ("repository/claims", "_AT_ONCE"),
            ("repository/overviews", "_FIRST_LOOK"),
            ("repository/overviews", "_RECENT"),
            ("repository/pairing", "_AT_A_TIME"),
            ("repository/session_logs", "_AT_A_TIME"),
        )
    ),
    *(
        (f"nexuslims_store/repository/{path}.py", stands, becomes, why)
        for path, stands, becomes, why in (
            ("overviews", "= (_EARLIEST, 0)", "0 -> 1", "no time is that early"),
            ("overviews", "number = found[-1]", "1 -> 2", "what is seen again is none to build"),
            ("overviews", "began > earliest", ">=", "from the same instant on are the same"),
            ("overviews", "number * 4", "4 -> 5", "so many at a time give the same"),
            ("pairing", "error.errors(include_url=", "True", "nobody reads what it then says too"),
            ("rows", "error.errors(include_url=", "True", "nobody reads what it then says too"),
        )
    ),
    *(
        (f"nexuslims_store/repository/{path}.py", f"== (None,) * {number}:", becomes, same)
        for same in ("all are read, and the same are chosen",)
        for path, number, becomes in (("stored", 4, "5"), ("upload_logs", 3, "4"))
    ),
    *(
        ("nexuslims_store/repository/pairing.py", stands, becomes, "the slow way finds the same")
        for stands, becomes in (
            ("self._known.update(self._instruments.as_dict())", "pass"),
            ("return assemble(Session, dicts, _FIELDS_SET)", "return None"),
            ("or dt_to < dt_from", "<="),
        )
    ),
    (
        "nexuslims_store/repository/session_logs.py",
        "if new < len(events) else 0",
        "<=",
        "events that are all new need no correction, and get none",
    ),
    *(
        ("nexuslims_store/moving.py", stands, becomes, why)
        for stands, becomes, why in (
            ("options = Options(backup=False", "True", "a server's backup is pg_dump's"),
            ("upgrade(temporary, backup=False)", "True", "an empty file has no backup"),
            ("closing(open_server(url, read_only=True", "False", "all is in a snapshot to read"),
        )
    ),
    (
        "nexuslims_store/repository/claims.py",
        "with self._database.transaction(as_one=True):",
        "True -> False",
        "no error is caught in the block, which then only takes a server more round trips",
    ),
    *(
        ("nexuslims_store/repository/external_ids.py", stands, becomes, why)
        for stands, becomes, why in (
            ("(value.isascii() or not", "value.isascii() or ->", "ASCII has no surrogates"),
            ("return str(value)", "return None", "the line before it raises"),
        )
    ),
    *(
        ("nexuslims_store/connection.py", stands, becomes, why)
        for stands, becomes, why in (
            ("uri=path != MEMORY,", "!=  ->  ==", "nearly every SQLite reads URIs anyhow"),
            ("stored_instant, deterministic=", "False", "it only asks more often"),
            ('uri.replace("file://", "file:////"', "1 -> 2", "there is no other"),
            ("in_transaction = True  # let", "False", "what is run next says why"),
            ("ordinary = False", "True", "SQLite does not open it either, and why is found out"),
        )
    ),
    (
        "nexuslims_store/translation.py",
        "return sqlite3.SQLITE_DENY",
        "return None",
        "to sqlite3 what is no number is a refusal too",
    ),
    (
        "nexuslims_store/queries.py",
        "setattr(self, query.name, query.sql)",
        "pass",
        "what is no attribute is looked up by its name each time, which is slower",
    ),
    (
        "nexuslims_store/queries.py",
        "header_line = 0",
        "0 -> 1",
        "no statement stands before a header, which says its line",
    ),
    (
        "nexuslims_store/revisions.py",
        "return steps if position(start) <= position(end)",
        "<=  -> ",
        "between a revision and itself there are no steps",
    ),
    (
        "nexuslims_store/repository/overviews.py",
        "_A_DAY = ",
        "",
        "each row of a wider span is looked at once more",
    ),
    ("nexuslims_store/times.py", "_WEEK = ", "", "the date of any earlier day will do too"),
    *(
        ("nexuslims_store/database.py", f"and {block} is not None", "not  ->  is", why)
        for why in ("a transaction that is open is looked at the slow way, with the same answer",)
        for block in ("opened.block", "opened.block()")
    ),
    *(
        ("nexuslims_store/turns.py", stands, becomes, why)
        for stands, becomes, why in (
            ("self._turn_is_over.acquire()", "pass", "who waits first looks once more at once"),
            (
                "                self._give_turn_back(whose)",
                "pass",
                "the next line but one does it",
            ),
            ("if now >= waits_until", " > ", "a clock's one tick does not matter"),
        )
    ),
    (
        "nexuslims_store/turns.py",
        "_LONGEST_NAP = ",
        "",
        "whose turn ends says so, and so long is slept only if that came to nothing",
    ),
    (
        "nexuslims_store/strict_json.py",
        'if text.count("[") + text.count("{") <= _DEEPEST:',
        " < ",
        "so few brackets are counted again, and are not too deep",
    ),
    *(
        ("nexuslims_store/postgresql/connection.py", stands, becomes, why)
        for stands, becomes, why in (
            (
                "self._must_roll_back = False  # as soon as",
                "True",
                "a ROLLBACK outside of transactions does nothing",
            ),
            ("as what follows would", "pass", "what follows is refused, with the same reason"),
            ("let the statement itself be refused", "False", "what is closed refuses it anyhow"),
        )
    ),
    (
        "nexuslims_store/doctor/sessions.py",
        "str(timestamp)[:4] > self._year",
        "5",
        "the times of this year are looked at too, and the next line decides",
    ),
    *(
        (f"nexuslims_store/doctor/{path}.py", stands, becomes, why)
        for path, stands, becomes, why in (
            ("rows", "error.errors(include_url=", "True", "nobody reads what it then says too"),
            ("rows", "time.monotonic() + _SECONDS", "->  - ", "so many at a time give the same"),
            ("rows", "while time.monotonic() < until", "<=", "nor does a clock's one tick matter"),
            ("sessions", "lru_cache(maxsize=1024)", "1025", "what is not kept is asked again"),
            ("sessions", "translated(_TEMPORARY_FILE, ", "0 -> 1", "nobody else has it to lock"),
            ("sessions", "value.isascii() or", " or -> ", "is_utf_8 says the same of ASCII"),
            ("sessions", "(row[2] in self._known or", "3", "what is known is text anyhow"),
            ("sessions", "self._copy.close()", "pass", "what nobody has is closed too"),
            ("sessions", '_copy.execute("BEGIN")', "pass", "one transaction is only faster"),
            ("sessions", "str(timestamp)[:4] > self._year", ">=", "the next line decides"),
            ("sessions", "self._known.add(instrument)", "pass", "it is looked up again, and found"),
            ("sessions", "if instrument not in self._known", "and -> ", "so it was the first time"),
            ("sessions", "(row[2] in self._known or", "or -> ", "what is known is text anyhow"),
            ("sessions", "nothing is written here", "pass", "nothing comes to it"),
        )
    ),
    *(
        (f"nexuslims_store/backup/{path}.py", stands, becomes, why)
        for path, stands, becomes, why in (
            ("files", "temporary.rename(name)  # refuses", "pass", "only Windows comes to it"),
            ("files", "os.urandom(8).hex()", "9", "any name that nobody has will do"),
            ("restoring", "(pages + 1) // 2", "1 -> 2", "only a file of two pages tells it"),
            ("restoring", "(pages + 1) // 2", "2 -> 3", "two steps or three, the last commits"),
            ("restoring", "the names do not run out", "pass", "nothing comes to it"),
        )
    ),
    *(
        (f"nexuslims_store/migrations/{path}.py", stands, becomes, why)
        for path, stands, becomes, why in (
            ("backend", "steps[-1].path.with_name", "1 -> 2", "all files are in one folder"),
            ("change", '"PRAGMA synchronous = OFF"', "pass", "the setting only makes it faster"),
            ("rehearsal", "cached_statements=0", "0 -> 1", "one is not the next that is asked"),
            ("run", "seconds: float = 0.0", "1.0", "each run says how long it took"),
            ("server", 'f"SELECT count(*) FROM {name}"', "0 -> 1", "no step there drops a table"),
            ("server", "open_server(url, read_only=True", "False", "nothing is written by looking"),
            ("verification", "or becomes.key[0]", "0 -> 1", "each CHECK of NexusLIMS's names one"),
        )
    ),
    (
        "nexuslims_store/backup/copying.py",
        'target.execute(f"PRAGMA {setting}")',
        "pass",
        "the settings only make the copy faster",
    ),
    (
        "nexuslims_store/cli/status.py",
        "brief = arguments.quiet or arguments.prometheus",
        "",
        "what is not printed then is read all the same, which is only slower",
    ),
    *(
        ("nexuslims_store/report/charts.py", stands, becomes, why)
        for stands, becomes, why in (
            ("_scale(max(", "0 -> 1", "the scale ends at 3 or higher whatever is highest"),
            ("longest = max(", "0 -> 1", "there is no bar to be drawn then"),
            ("longest = max(", "1 -> 2", "all bars are of no length then"),
            ("the steps do not run out", "pass", "nothing comes to it"),
            ("room <= 100", " < ", "no mark ends at the edge to a millionth"),
        )
    ),
    *(
        ("nexuslims_store/report/figures.py", stands, becomes, why)
        for stands, becomes, why in (
            ("with_use=False", "True", "what is not told is read all the same, only slower"),
            ("_PART = ", "", "of whatever parts, the whole is the same"),
            ("_MOST_CAUSES = ", "", "nobody reads as many"),
            ("max(ended - began, 0)", "0 -> 1", "a microsecond is no tenth of an hour"),
        )
    ),
    *(
        ("nexuslims_store/report/plain.py", stands, becomes, why)
        for stands, becomes, why in (
            ("longest = max(", "0 -> 1", "there is no bar to be drawn then"),
            ("longest = max(", "1 -> 2", "all bars are of no length then"),
            ("widest = max(", "0 -> 1", "there is no label to be padded then"),
        )
    ),
    *(
        (f"nexuslims_store/cli/{path}.py", stands, becomes, why)
        for path, stands, becomes, why in (
            ("declaration", "get_close_matches(", "1 -> 2", "the first is taken, and is the same"),
            ("files", "mask = os.umask(0)", "0 -> 1", "it is set back before a file is made"),
            ("held", "_IN_MEMORY = ", "", "on the disk is held the same"),
            ("interrupts", "os.read(reading, 64)", "65", "signals come one or a few at a time"),
            ("interrupts", "warn_on_full_buffer=False", "True", "the pipe is never full"),
            ("output", "self.yes = False", "pass", "a command begins with setting it"),
            ("tables", 'f"{name} {cells[0][place]}"', "0 -> 1", "only what is alike is said so"),
        )
    ),
    (
        "sql/instruments.sql",
        "INNER JOIN sqlite_schema AS own ON own.type = 'table' AND lower(own.name) <>",
        "LEFT JOIN",
        "no table has no foreign keys, and the next join leaves it out",
    ),
    (
        "sql/instruments.sql",
        "own.type = 'table'",
        "own.type = 'table' -> TRUE",
        "what is no table has no foreign keys",
    ),
    *(
        (
            f"sql/migrations/0003.v2_4_0b_add_check_constraints{way}.sql",
            "ORDER BY id_session_log",
            "DESC",
            "in any order the rows are the same; in that of the key it is faster",
        )
        for way in ("", ".rollback")
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
            (f"{' ' * 24}record_status = ", "'mutant'"),
            ('ORDER BY timestamp COLLATE "C"', "DESC"),
            ("AND (", "T%'\n    ) OR TRUE)"),
            ("OR timestamp NOT LIKE '____-__-__T%'", "'mutant'"),
            ("ELSE ':'  -- sorts after all digits", "'mutant'"),
            ('timestamp COLLATE "C" < (', "<="),
            ("to_timestamp(max(instant) / 1000000)", "1000001"),
            ("to_timestamp(max(instant) / 1000000)", "2 -> 3"),
        )
    ),
    *(
        ("sql/postgresql/views.sql", stands, "< -> <=", "what is longer is never those two")
        for stands in ("12) < '24'", "15) < '6'", "18) < '6'", "5) < '15'")
    ),
    *(
        (
            "sql/postgresql/instruments.sql",
            stands,
            "LEFT JOIN",
            "a key has its table and its columns",
        )
        for stands in (
            "INNER JOIN pg_class AS own",
            "INNER JOIN pg_attribute AS child",
            "INNER JOIN pg_attribute AS parent",
        )
    ),
    (
        "sql/postgresql/instruments.sql",
        "reference.contype = 'f'",
        "TRUE",
        "only a foreign key refers to a table",
    ),
    *(
        (
            "sql/postgresql/migrations/0005.v2_5_0b_baseline.sql",
            stands,
            "NOT -> ",
            "a key takes no NULL anyhow",
        )
        for stands in ("version_num TEXT NOT NULL", 'instrument_pid TEXT COLLATE "C" NOT NULL')
    ),
    *(
        ("sql/postgresql/catalogue.sql", stands, becomes, why)
        for stands, becomes, why in (
            ("relation.relkind IN (", "'m' -> 'mutant'", "of the word one character is compared"),
            ("attribute.attnum > 0", ">=", "no column has that number"),
        )
    ),
    (
        "sql/postgresql/instruments.sql",
        "SELECT '' AS name",
        "'mutant'",
        "there is no row to have it",
    ),
    (
        "sql/postgresql/migrations/post-apply.sql",
        "rpad(replace(whole, ':', ''), 6, '0')",
        "6 -> 7",
        "behind six digits nothing is looked at",
    ),
    (
        "sql/postgresql/migrations/post-apply.sql",
        "OR substr(digits, 3) >= '60'",
        ">= -> >",
        "four digits are never those two",
    ),
    (
        "sql/postgresql/migrations/post-apply.sql",
        "OR clock IS NULL OR",
        "OR clock IS NULL -> ",
        "what is reckoned with NULL is NULL",
    ),
    (
        "sql/postgresql/migrations/post-apply.sql",
        "IF first > second OR",
        ">=",
        "where they are equal, either is the other",
    ),
    (
        "sql/session_log.sql",
        "INNER JOIN session_log AS log",
        "LEFT JOIN",
        "a row is joined with itself at least",
    ),
    (
        "sql/views.sql",
        "LIMIT 1",
        "1 -> 2",
        "of a query that stands for a value SQLite takes the first row",
    ),
    (
        "sql/views.sql",
        "event_type <> 'START'",
        "-> TRUE",
        "a START is a better event than itself: this spares looking for one",
    ),
    (
        "sql/views.sql",
        "OR substr(log.timestamp, 12) >= '24'",
        ">= -> >",
        "what ends behind an hour has none of the lengths below, and is left to nxs_instant too",
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
    *(
        ("sql/views.sql", stands, "5 -> 6", "what is rounded is close to a whole second")
        for stands in (
            "* 86400 + 0.5 AS INTEGER",
            "- substr(log.timestamp, 20, 7) + 0.5 AS INTEGER",
        )
    ),
    (
        "nexuslims_store/overview/examining.py",
        "open_server(url, read_only=True",
        "False",
        "nothing is written by looking",
    ),
    *(
        ("nexuslims_store/recognition/layouts.py", stands, becomes, why)
        for why in ("what is not seen at once to be the head's is compared with all, and is",)
        for stands, becomes in (
            ("there = {name: table for", "not in"),
            ("and not any(column.generated", "not -> "),
            ("and set(table.check_names) <= set(there[name].check_names)", " < "),
        )
    ),
    (
        "nexuslims_store/recognition/own.py",
        "if index.sql and ddl.mentions(",
        "index.sql and -> ",
        "what has no statement mentions no column",
    ),
    (
        "nexuslims_store/recognition/remaking.py",
        "PRAGMA trusted_schema = OFF",
        "pass",
        "there are no rows of which anything could be computed",
    ),
    *(
        ("nexuslims_store/recognition/judging.py", stands, becomes, why)
        for stands, becomes, why in (
            ("st_size == 1", "not catalogue.names and -> ", "a file of a byte has no names"),
            ("return tuple(sorted(new)) if", "list", "what is left unfinished is one table"),
            ("return ()", "return None", "either is nothing to who asks"),
            ("timeout: float = 30.0", "31.0", "who does not say it has the file locked already"),
        )
    ),
    *(
        ("nexuslims_store/recognition/compiling.py", stands, becomes, why)
        for stands, becomes, why in (
            ("break", "continue", "what is there already is not made a second time"),
            ('"RELEASE alone"', "pass", "what follows is a savepoint inside of it, and no less"),
            ("if one.kind ==", 'one.kind == "view" or -> ', "a view compiles without triggers too"),
            ("if one.kind ==", " and ", "without others nothing is dropped, and the same is found"),
            ("others = [", 'o.kind == "trigger" and -> ', "no view is dropped as a trigger"),
        )
    ),
)


def reason(mutant: Mutant, text: str) -> str:
    """Why a mutant changes nothing; "" where it does."""
    old, new = text[mutant.begin : mutant.end], mutant.replacement
    # What is changed may begin with the end of a line.
    line = text.splitlines()[text.count("\n", 0, mutant.end - len(old.lstrip()))]
    change = f"{old} -> {new}"
    in_words = f"{' '.join(old.split())} -> {' '.join(new.split())}"
    if "zip(" in line and text[: mutant.begin].endswith("strict=") and change == "True -> False":
        return "what is taken together is equally long; it says so, to readers"
    for path, stands, becomes, why in EQUIVALENT:
        if mutant.path == path and stands in line and (becomes in change or becomes in in_words):
            return why
    return ""
