-- The rows of encounter put together by all that a report asks of them, so that every engine reads its files once.
SELECT device_id, camera, local_day, local_hour, quarter, kind, outcome, in_open, suppressed, clock_ok, end_reason,
       COUNT(*) AS row_cnt
FROM encounter
GROUP BY device_id, camera, local_day, local_hour, quarter, kind, outcome, in_open, suppressed, clock_ok, end_reason
