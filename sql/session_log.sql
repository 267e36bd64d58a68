-- Statements on session_log, one row for each event of a session, and on the sessions that its
-- rows make. Which rows of a session count, how their times are read and what a claim is, is said
-- in views.sql.

-- name: insert_event(session_identifier, instrument, timestamp, event_type, record_status, user)
-- An event, if it is not there yet; returns its id, or no row. One statement, so that of any
-- number of harvesters which insert the same event one does. Each attempt to build a record has a
-- row of its own.
INSERT INTO session_log (
    session_identifier, instrument, timestamp, event_type, record_status, "user"
)
SELECT :session_identifier, :instrument, :timestamp, :event_type, :record_status, :user
WHERE
    :event_type = 'RECORD_GENERATION'
    OR NOT EXISTS (
        SELECT 1
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    )
RETURNING id_session_log;

-- name: insert_events(session_identifier, instrument, timestamp, event_type, record_status, user)!
-- The same for many events at once, where sqlite3 gives their number in place of their ids.
INSERT INTO session_log (
    session_identifier, instrument, timestamp, event_type, record_status, "user"
)
SELECT :session_identifier, :instrument, :timestamp, :event_type, :record_status, :user
WHERE
    :event_type = 'RECORD_GENERATION'
    OR NOT EXISTS (
        SELECT 1
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    );

-- name: correct_event(session_identifier, instrument, timestamp, instant, event_type, record_status, user)
-- What a scheduler changed after the event was first harvested: time and user, as long as no
-- record was built; WAITING_FOR_END moves on to TO_BE_BUILT. Returns no row where nothing
-- differs. A time that only looks different ("Z" for "+00:00") is left as it is stored.
UPDATE session_log
SET
    timestamp = CASE WHEN stored.instant IS :instant THEN session_log.timestamp ELSE :timestamp END,
    "user" = :user,
    record_status = CASE
        WHEN :record_status = 'TO_BE_BUILT' THEN 'TO_BE_BUILT' ELSE session_log.record_status
    END
FROM nxs_event AS stored
WHERE
    session_log.id_session_log = (
        SELECT max(id_session_log)
        FROM session_log
        WHERE
            session_identifier = :session_identifier
            AND instrument = :instrument
            AND event_type = :event_type
    )
    AND stored.id_session_log = session_log.id_session_log
    AND session_log.record_status IN ('WAITING_FOR_END', 'TO_BE_BUILT')
    AND (
        session_log."user" IS NOT :user
        OR (session_log.record_status = 'WAITING_FOR_END' AND :record_status = 'TO_BE_BUILT')
        OR stored.instant IS NOT :instant
    )
RETURNING
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log;

-- name: get_event(session_identifier, instrument, event_type)^
-- The newest row of an event, by the index on session_identifier.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM session_log
WHERE
    session_identifier = :session_identifier
    AND instrument = :instrument
    AND event_type = :event_type
ORDER BY id_session_log DESC
LIMIT 1;

-- name: get_session_log(id_session_log)^
-- One row, by the primary key.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM session_log
WHERE id_session_log = :id_session_log;

-- name: list_logs_of_session(session_identifier)
-- All events of a session, in the order of time.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM nxs_event
WHERE session_identifier = :session_identifier
ORDER BY instant NULLS FIRST, id_session_log;

-- name: list_logs_to_be_built()
-- All events to be built, in the order of time. A statement of its own, because the partial
-- index serves only a literal status.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM nxs_event
WHERE record_status = 'TO_BE_BUILT'
ORDER BY instant NULLS FIRST, id_session_log;

-- name: list_logs_by_status(record_status)
-- All events of a status, in the order of time. A scan: NexusLIMS has no index by status, and
-- most rows are of one status.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM nxs_event
WHERE record_status = :record_status
ORDER BY instant NULLS FIRST, id_session_log;

-- name: list_all_logs()
-- All events, in the order of time.
SELECT
    session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
FROM nxs_event
ORDER BY instant NULLS FIRST, id_session_log;

-- name: count_session_logs()$
-- How many events there are.
SELECT count(*)
FROM session_log;

-- name: get_last_id()$
-- The highest id there is: whatever is inserted under the write lock has a higher one.
SELECT coalesce(max(id_session_log), 0)
FROM session_log;

-- name: remove_session_log(id_session_log)!
-- One row, by the primary key.
DELETE FROM session_log
WHERE id_session_log = :id_session_log;

-- name: list_pairs_to_build()
-- The START and the END of each session that are to be built, side by side, in the order of time;
-- NULLs where only one of the two is. One look at what waits finds the newest of each, of which then
-- is asked whether it counts: to pair the rows themselves takes a fifth longer. This package's index
-- has them in the order of the groups. Where a file has none, unlikely() has SQLite scan the table and
-- sort what waits; else it would walk the whole index on session_identifier.
SELECT
    waiting.session_identifier, waiting.instrument, start_log.id_session_log AS start_id,
    end_log.id_session_log AS end_id, start_log.timestamp AS start_timestamp,
    end_log.timestamp AS end_timestamp, coalesce(start_log."user", end_log."user") AS "user"
FROM (
    SELECT
        session_identifier, instrument,
        max(id_session_log) FILTER (WHERE event_type = 'START') AS start_id,
        max(id_session_log) FILTER (WHERE event_type = 'END') AS end_id
    FROM session_log
    WHERE unlikely(record_status = 'TO_BE_BUILT')
    GROUP BY session_identifier, instrument
) AS waiting
LEFT JOIN nxs_counted AS start_log ON start_log.id_session_log = waiting.start_id
LEFT JOIN nxs_counted AS end_log ON end_log.id_session_log = waiting.end_id
WHERE start_log.id_session_log IS NOT NULL OR end_log.id_session_log IS NOT NULL
ORDER BY start_log.instant NULLS FIRST, start_log.id_session_log;

-- name: list_oldest_starts(after_instant, after_id, number)
-- The first STARTs to be built, by time, after one that was looked at already. Whether a session
-- can be built or claimed is asked one by one (get_pair_to_build): nearly always of one or two.
-- The LIMIT, of all there can be, has each time read once and not for each place that names it.
SELECT instant, id_session_log, session_identifier, instrument
FROM (
    SELECT instant, id_session_log, session_identifier, instrument
    FROM nxs_event
    WHERE record_status = 'TO_BE_BUILT' AND event_type = 'START'
    LIMIT 9223372036854775807
) AS waiting
WHERE (instant, id_session_log) > (:after_instant, :after_id)
ORDER BY instant, id_session_log
LIMIT :number;

-- name: get_pair_to_build(start_id, lease_start, lease_end)^
-- The session to be built whose START is this row; no row where that one does not count, or START
-- and END are not both to be built, or a builder has it (as is_claimed says).
SELECT
    session_identifier, instrument, start_id, end_id, start_timestamp, end_timestamp, "user"
FROM nxs_session
WHERE
    start_id = :start_id
    AND record_status = 'TO_BE_BUILT'
    AND end_status = 'TO_BE_BUILT'
    AND NOT EXISTS (
        SELECT 1
        FROM nxs_event AS claim
        WHERE
            claim.session_identifier = nxs_session.session_identifier
            AND claim.instrument = nxs_session.instrument
            AND claim.event_type = 'RECORD_GENERATION'
            AND claim.record_status = 'WAITING_FOR_END'
            AND claim.instant > :lease_start
            AND claim.instant <= :lease_end
    );

-- name: is_claimed(start_id, lease_start, lease_end)$
-- Whether a builder has the session of a START: whether any claim is dated after lease_start and
-- up to lease_end (instants). One that is dated later is of a clock that is wrong, and counts as
-- one that ran out.
SELECT EXISTS (
    SELECT 1
    FROM session_log AS start_log
    INNER JOIN nxs_event AS claim
        ON
            claim.session_identifier = start_log.session_identifier
            AND claim.instrument = start_log.instrument
    WHERE
        start_log.id_session_log = :start_id
        AND claim.event_type = 'RECORD_GENERATION'
        AND claim.record_status = 'WAITING_FOR_END'
        AND claim.instant > :lease_start
        AND claim.instant <= :lease_end
);

-- name: list_pairs_of_session(session_identifier)
-- The session of an identifier; several where instruments share it, the newest first.
SELECT
    session_identifier, instrument, start_id, end_id, start_timestamp, end_timestamp, "user"
FROM nxs_session
WHERE session_identifier = :session_identifier
ORDER BY start_id DESC;

-- name: list_pairs_between(earliest, latest)
-- The whole sessions, of any status, that began between two instants, in the order of time. A
-- scan: times of different offsets cannot be found by an index on their text.
SELECT
    session_identifier, instrument, start_id, end_id, start_timestamp, end_timestamp, "user",
    record_status, timezone, start_instant
FROM nxs_session
WHERE start_instant >= :earliest AND start_instant < :latest AND end_id IS NOT NULL
ORDER BY start_instant NULLS FIRST, start_id;

-- name: list_whole_sessions(session_identifier)
-- The whole sessions of an identifier, one for each instrument: STARTs with an END.
SELECT start_id, record_status
FROM nxs_session
WHERE session_identifier = :session_identifier AND end_id IS NOT NULL
ORDER BY start_id;

-- name: list_statuses(start_id)
-- The statuses that the rows of a session are in.
SELECT DISTINCT log.record_status
FROM session_log AS start_log
INNER JOIN session_log AS log
    ON
        log.session_identifier = start_log.session_identifier
        AND log.instrument = start_log.instrument
WHERE start_log.id_session_log = :start_id
ORDER BY log.record_status;

-- name: reset_session(start_id)!
-- Sets all rows of the session of a START to be built again.
UPDATE session_log
SET record_status = 'TO_BE_BUILT'
WHERE
    (session_identifier, instrument) = (
        SELECT start_log.session_identifier, start_log.instrument
        FROM session_log AS start_log
        WHERE start_log.id_session_log = :start_id
    )
    AND record_status <> 'TO_BE_BUILT';

-- name: set_status(session_identifier, record_status)!
-- All rows of a session, whatever their status.
UPDATE session_log
SET record_status = :record_status
WHERE session_identifier = :session_identifier AND record_status <> :record_status;

-- name: set_status_from(session_identifier, record_status, expected)!
-- The rows of a session that are in the expected status: of two programs that try, one does.
UPDATE session_log
SET record_status = :record_status
WHERE
    session_identifier = :session_identifier
    AND record_status = :expected
    AND record_status <> :record_status;

-- name: finish_session(session_identifier, instrument, record_status)!
-- All rows of a session on one instrument, claims included.
UPDATE session_log
SET record_status = :record_status
WHERE
    session_identifier = :session_identifier
    AND instrument = :instrument
    AND record_status <> :record_status;

-- name: get_claim(session_identifier, instrument, claim_id)^
-- The time of a claim that is the newest of a session that is not finished. It tells the claim
-- from one that SQLite gave the id of a deleted row.
SELECT timestamp
FROM nxs_claim
WHERE
    id_session_log = :claim_id
    AND session_identifier = :session_identifier
    AND instrument = :instrument;

-- name: renew_claim(id_session_log, timestamp)!
-- Dates a claim anew.
UPDATE session_log
SET timestamp = :timestamp
WHERE id_session_log = :id_session_log;

-- name: count_sessions_by_status()
-- Sessions by the status of their START.
SELECT record_status, count(*) AS sessions
FROM nxs_counted
WHERE event_type = 'START'
GROUP BY record_status
ORDER BY record_status;

-- name: delete_session(session_identifier)!
-- All events of a session.
DELETE FROM session_log
WHERE session_identifier = :session_identifier;

-- name: list_overviews()
-- All sessions, whole or not, in the order of time. A scan: a session is known only when all its
-- rows were seen.
SELECT
    session_identifier, instrument, start_timestamp, end_timestamp, "user", record_status,
    timezone, began, id
FROM nxs_overview
ORDER BY began NULLS FIRST, id;

-- name: list_overviews_since(earliest, day)
-- Those that began at an instant or later; the day is a date that sorts before all texts of such
-- times (times.day_before). Only of rows that do not sort before it the time is read and the
-- session looked for.
SELECT
    session_identifier, instrument, start_timestamp, end_timestamp, "user", record_status,
    timezone, began, id
FROM nxs_overview
WHERE timestamp >= :day AND began >= :earliest
ORDER BY began, id;

-- name: get_began_of_recent(number)$
-- The instant at which the first began of so many sessions that were stored last, by the key.
SELECT min(instant)
FROM (
    SELECT instant
    FROM nxs_counted
    WHERE event_type = 'START'
    ORDER BY id_session_log DESC
    LIMIT :number
) AS recent;

-- name: list_overviews_of_session(session_identifier)
-- One session, whole or not; several where instruments share the identifier.
SELECT
    session_identifier, instrument, start_timestamp, end_timestamp, "user", record_status,
    timezone, began, id
FROM nxs_overview
WHERE session_identifier = :session_identifier
ORDER BY id;

-- name: list_claims()
-- The newest claim of each session to be built. CROSS JOIN makes SQLite begin with the sessions
-- to be built, which the partial index has.
SELECT
    claim.session_identifier, claim.instrument, claim.id_session_log, claim.timestamp,
    claim.timezone
FROM nxs_session AS session
CROSS JOIN nxs_claim AS claim
WHERE
    claim.session_identifier = session.session_identifier
    AND claim.instrument = session.instrument
    AND session.record_status = 'TO_BE_BUILT'
    AND session.end_status = 'TO_BE_BUILT'
ORDER BY claim.id_session_log;
