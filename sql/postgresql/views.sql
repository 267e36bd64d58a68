-- What differs in views.sql on PostgreSQL.

-- name: make_event_view()!
-- As there. PostgreSQL itself reads times of this century in the usual form, where it cannot but
-- agree: no 29th of February, up to 14:59 of offset. nxs_instant, which gets all others, is some
-- twenty times slower; one pattern of all conditions takes three times as long as they do. Whatever
-- LIKE leaves open is a digit there: a character that is none would be next to a mark, or one place
-- further, or in the midst of a fraction.
CREATE TEMP VIEW IF NOT EXISTS nxs_event AS
SELECT
    log.session_identifier, log.instrument, log.timestamp, log.event_type, log.record_status,
    log."user", log.id_session_log,
    (SELECT timezone FROM instruments WHERE instrument_pid = log.instrument) AS timezone,
    CASE
        WHEN
            log.timestamp LIKE ANY (ARRAY[
                '20__-__-__T__:__:__+__:__', '20__-__-__T__:__:__-__:__',
                '20__-__-__T__:__:__.______+__:__', '20__-__-__T__:__:__.______-__:__'
            ])
            AND log.timestamp !~ '[^0-9].?[^0-9]|[.].{2,3}[^0-9]'
            AND substr(log.timestamp, 6, 2) BETWEEN '01' AND '12'
            AND (
                substr(log.timestamp, 9, 2) BETWEEN '01' AND '28'
                OR (
                    substr(log.timestamp, 9, 2) IN ('29', '30')
                    AND substr(log.timestamp, 6, 2) <> '02'
                )
                OR substr(log.timestamp, 6, 5)
                IN ('01-31', '03-31', '05-31', '07-31', '08-31', '10-31', '12-31')
            )
            AND substr(log.timestamp, 12) < '24'
            AND substr(log.timestamp, 15) < '6'
            AND substr(log.timestamp, 18) < '6'
            AND right(log.timestamp, 5) < '15'
            AND right(log.timestamp, 2) < '60'
            THEN CAST(extract(EPOCH FROM CAST(log.timestamp AS timestamptz)) * 1000000 AS bigint)
        ELSE
            nxs_instant(
                log.timestamp,
                (SELECT timezone FROM instruments WHERE instrument_pid = log.instrument),
                CASE
                    WHEN log.event_type = 'END'
                        THEN (
                            SELECT start_log.timestamp
                            FROM session_log AS start_log
                            WHERE
                                start_log.session_identifier = log.session_identifier
                                AND start_log.instrument = log.instrument
                                AND start_log.event_type = 'START'
                            ORDER BY start_log.id_session_log DESC
                            LIMIT 1
                        )
                END
            )
    END AS instant
FROM session_log AS log;
