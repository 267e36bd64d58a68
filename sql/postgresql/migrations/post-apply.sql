-- This package's own index, function and views, no part of NexusLIMS's history: their names start
-- with nxs_. They are made after the last migration, and anew by the next `migrate` whenever this
-- file has changed; so every statement must do no harm where its object is there already.

-- As on SQLite, serves the search for sessions to build.
CREATE INDEX IF NOT EXISTS nxs_session_log_to_build
ON session_log (session_identifier, instrument, event_type)
WHERE record_status = 'TO_BE_BUILT';

-- The microseconds that HH[:MM[:SS[.ffffff]]], with or without its colons, stands for; NULL where it
-- is none. No regular expressions: to take a text apart by one is some fifty times slower.
CREATE OR REPLACE FUNCTION nxs_clock(stored text)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
DECLARE
    whole constant text := split_part(translate(stored, ',', '.'), '.', 1);
    digits constant text := rpad(replace(whole, ':', ''), 6, '0');
    fraction constant text := substr(stored, length(whole) + 2);
BEGIN
    IF
        translate(whole, '123456789', '000000000')
        NOT IN ('00', '00:00', '00:00:00', '0000', '000000')
        OR substr(digits, 3) >= '60'
        OR substr(digits, 5) >= '60'
        OR (
            stored <> whole
            AND (length(whole) < 6 OR fraction = '' OR ltrim(fraction, '0123456789') <> '')
        )
    THEN
        RETURN NULL;
    END IF;
    RETURN (
        left(digits, 2)::int * 3600 + substr(digits, 3, 2)::int * 60 + substr(digits, 5)::int
    ) * 1000000::bigint + rpad(fraction, 6, '0')::int;
END
$$;

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
    shape constant text := translate(left(stored, 11), '123456789', '000000000');
    year constant text := left(stored, 4);
    month text;
    day text;
    week text;
    rest text;  -- from the separator on
    tail text;  -- the offset
    clock bigint := 0;
    shift bigint;
    date date;
    micros bigint;
    first timestamptz;
    second timestamptz;
BEGIN
    IF shape LIKE '0000-00-00%' THEN
        month := substr(stored, 6, 2); day := substr(stored, 9, 2); rest := substr(stored, 11);
    ELSIF shape LIKE '00000000%' THEN
        month := substr(stored, 5, 2); day := substr(stored, 7, 2); rest := substr(stored, 9);
    ELSIF shape LIKE '0000-W00-0%' AND shape NOT LIKE '%-00' THEN
        week := substr(stored, 7, 2); day := substr(stored, 10, 1); rest := substr(stored, 11);
    ELSIF shape LIKE '0000-W00%' THEN
        week := substr(stored, 7, 2); day := '1'; rest := substr(stored, 9);
    ELSIF shape LIKE '0000W000%' AND shape NOT LIKE '0000W0000%' THEN
        week := substr(stored, 6, 2); day := substr(stored, 8, 1); rest := substr(stored, 9);
    ELSIF shape LIKE '0000W00%' THEN
        week := substr(stored, 6, 2); day := '1'; rest := substr(stored, 8);
    END IF;
    IF rest <> '' THEN
        rest := substr(rest, 2);
        tail := ltrim(rest, '0123456789:.,');
        clock := nxs_clock(left(rest, length(rest) - length(tail)));
    END IF;
    IF rest IS NULL OR year = '0000' OR clock IS NULL OR clock >= 86400000000 THEN
        RETURN NULL;
    ELSIF week IS NULL THEN
        IF month NOT BETWEEN '01' AND '12' THEN
            RETURN NULL;
        END IF;
        date := make_date(year::int, month::int, 1) + day::int - 1;
        IF extract(MONTH FROM date) <> month::int THEN
            RETURN NULL;
        END IF;
    ELSE
        date := make_date(year::int, 1, 4);
        date := date - extract(ISODOW FROM date)::int + (week::int - 1) * 7 + day::int;
        IF
            day NOT BETWEEN '1' AND '7' OR extract(ISOYEAR FROM date) <> year::int
            OR date > '9999-12-31'
        THEN
            RETURN NULL;
        END IF;
    END IF;
    micros := (date - '1970-01-01'::date) * 86400000000 + clock;
    IF tail = 'Z' THEN
        RETURN micros;
    ELSIF tail <> '' THEN
        shift := nxs_clock(substr(tail, 2));
        RETURN CASE
            WHEN shift >= 86400000000 THEN NULL
            WHEN tail LIKE '+%' THEN micros - shift
            WHEN tail LIKE '-%' THEN micros + shift
        END;
    END IF;
    BEGIN
        second := (
            date::timestamp + clock / 1000000 * interval '1 second'
            + clock % 1000000 * interval '1 microsecond'
        ) AT TIME ZONE zone;
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
    micros := extract(EPOCH FROM first) * 1000000;
    IF start IS NOT NULL AND micros < nxs_instant(start, zone) THEN
        micros := extract(EPOCH FROM second) * 1000000;
    END IF;
    RETURN micros;
END
$$;
