-- Statements of the report, beside those of the tables that it uses as they are.

-- name: list_attempts_by_destination(range_start, range_end)
-- How many uploads arrived and how many failed at each destination, between two instants. A scan:
-- times cannot be found by an index on their text.
SELECT
    destination_name,
    count(*) FILTER (WHERE success = 1) AS arrived,
    count(*) FILTER (WHERE success <> 1) AS failed
FROM upload_log
WHERE nxs_instant(CAST(timestamp AS BLOB), 'UTC') BETWEEN :range_start AND :range_end
GROUP BY destination_name
ORDER BY destination_name;
