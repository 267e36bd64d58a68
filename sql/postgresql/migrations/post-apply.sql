-- This package's own index, function and views, no part of NexusLIMS's history: their names start
-- with nxs_. They are made after the last migration, and anew by the next `migrate` whenever this
-- file has changed; so every statement must do no harm where its object is there already.

-- As on SQLite, serves the search for sessions to build.
CREATE INDEX IF NOT EXISTS nxs_session_log_to_build
ON session_log (session_identifier, instrument, event_type)
WHERE record_status = 'TO_BE_BUILT';

-- The instant of a stored time, in microseconds since 1970-01-01 UTC; NULL where it cannot be read.
-- It reads the forms that datetime.fromisoformat() of Python documents, and takes a time without an
-- offset as this package does everywhere (see sql/views.sql). It does the arithmetic itself, as
-- PostgreSQL reads times that are none (24:00), refuses some (offsets beyond 15:59), raises where a
-- text is no time, and takes the second of the two where an hour is repeated.
CREATE OR REPLACE FUNCTION nxs_instant(stored text, zone text, start text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    part text[];
    epoch constant date := '1970-01-01';
    day date;
    micros bigint;  -- of the local time
    shift bigint;
    began bigint;
    first timestamptz;
    second timestamptz;
BEGIN
    -- 1 year, 2 dash, 3 week, 4 its day, 5 month, 6 day, 7 hour, 8 colon, 9 minute, 10 second,
    -- 11 fraction, 12 offset: 13 sign, 14 hour, 15 colon, 16 minute, 17 second, 18 fraction
    part := regexp_match(
        stored,
        '^([0-9]{4})(-?)(?:W([0-9]{2})(?:\2([1-7]))?|([0-9]{2})\2([0-9]{2}))'
        '(?:.([0-9]{2})(?:(:?)([0-9]{2})(?:\8([0-9]{2})(?:[.,]([0-9]+))?)?)?'
        '(Z|([+-])([0-9]{2})(?:(:?)([0-9]{2})(?:\15([0-9]{2})(?:[.,]([0-9]+))?)?)?)?)?$'
    );
    IF part IS NULL OR part[1] = '0000' OR coalesce(part[5], '01') NOT BETWEEN '01' AND '12'
    THEN
        RETURN NULL;
    END IF;
    IF part[3] IS NULL THEN
        day := make_date(part[1]::int, part[5]::int, 1) + part[6]::int - 1;
        IF extract(month FROM day) <> part[5]::int THEN
            RETURN NULL;
        END IF;
    ELSE
        day := date_trunc('week', make_date(part[1]::int, 1, 4)::timestamp)::date
            + (part[3]::int - 1) * 7 + coalesce(part[4], '1')::int - 1;
        IF extract(isoyear FROM day) <> part[1]::int OR day > '9999-12-31' THEN
            RETURN NULL;
        END IF;
    END IF;
    IF part[7] >= '24' OR part[9] >= '60' OR part[10] >= '60' THEN
        RETURN NULL;
    END IF;
    micros := (
        (day - epoch) * 86400::bigint + coalesce(part[7], '0')::int * 3600
        + coalesce(part[9], '0')::int * 60 + coalesce(part[10], '0')::int
    ) * 1000000 + rpad(left(coalesce(part[11], ''), 6), 6, '0')::int;
    IF part[12] = 'Z' THEN
        RETURN micros;
    ELSIF part[12] IS NOT NULL THEN
        shift := (
            part[14]::int * 3600 + coalesce(part[16], '0')::int * 60
            + coalesce(part[17], '0')::int
        ) * 1000000::bigint + rpad(left(coalesce(part[18], ''), 6), 6, '0')::int;
        RETURN CASE
            WHEN shift < 86400000000 THEN micros - CASE part[13] WHEN '-' THEN -shift ELSE shift END
        END;
    END IF;
    BEGIN
        second := (epoch::timestamp + micros * interval '1 microsecond') AT TIME ZONE zone;
        -- By the offset of the day before, the same local time may be another, earlier one.
        first := second - interval '25 hours';
        first := second - (
            (first AT TIME ZONE zone - first AT TIME ZONE 'UTC')
            - (second AT TIME ZONE zone - second AT TIME ZONE 'UTC')
        );
        IF first > second OR first AT TIME ZONE zone <> second AT TIME ZONE zone THEN
            first := second;
        END IF;
    EXCEPTION WHEN invalid_parameter_value THEN
        RETURN NULL;  -- there is no such zone
    END;
    began := CASE WHEN start IS NOT NULL THEN nxs_instant(start, zone) END;
    micros := extract(epoch FROM first) * 1000000;
    RETURN CASE
        WHEN micros < began THEN extract(epoch FROM second) * 1000000 ELSE micros
    END;
END
$$;
