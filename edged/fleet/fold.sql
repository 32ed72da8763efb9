-- The rows of encounter put together by device, camera and quarter of an hour, so that every engine reads its files once.
-- Each row is of one class, and counts in one column. `latest` 0 is what the files hold; `latest` 1 is what counts of the
-- device-days that came in several files, whose rows may be there in several versions: the one with the highest seq.
WITH ranked AS (
  SELECT e.device_id, e.camera, e.local_day, e.local_hour, e.quarter, e.kind, e.outcome, e.in_open, e.suppressed, e.clock_ok,
         e.end_reason,
         ROW_NUMBER() OVER (PARTITION BY e.device_id, e.local_day, e.event_id
                            ORDER BY e.seq DESC, e.started_ms DESC, e.outcome, e.camera) AS rn
  FROM encounter_again e INNER JOIN again a ON a.device_id = e.device_id AND a.local_day = e.local_day),
held AS (
  SELECT device_id, camera, local_day, local_hour, quarter, kind, outcome, in_open, suppressed, clock_ok, end_reason, 0 AS latest
  FROM encounter
  UNION ALL
  SELECT device_id, camera, local_day, local_hour, quarter, kind, outcome, in_open, suppressed, clock_ok, end_reason, 1
  FROM ranked WHERE rn = 1),
classed AS (
  SELECT device_id, camera, local_day, local_hour, quarter, suppressed, clock_ok, latest,
         CASE WHEN local_hour BETWEEN 0 AND 23 AND quarter BETWEEN 0 AND 107 AND in_open IN (0, 1) AND suppressed IN (0, 1)
                   AND clock_ok IN (0, 1) AND camera <> '' AND kind <> '' AND outcome <> '' AND end_reason >= '' THEN
           CASE WHEN outcome = 'void' THEN 1
                WHEN kind = 'passage' THEN
                  CASE outcome WHEN 'correct' THEN 10 WHEN 'incorrect' THEN 12 WHEN 'none' THEN 14 WHEN 'uncertain' THEN 16
                               ELSE 2 END + CASE WHEN in_open = 1 THEN 1 ELSE 0 END
                WHEN end_reason = 'static' THEN 2
                WHEN kind = 'mask' AND in_open = 0 THEN 20
                WHEN kind = 'mask' THEN CASE outcome WHEN 'incorrect' THEN 21 WHEN 'none' THEN 22 ELSE 23 END
                WHEN kind = 'inattention' AND in_open = 1 THEN 24
                WHEN kind = 'drowsiness' AND in_open = 1 THEN 25
                ELSE 2 END
           ELSE 0 END AS class
  FROM held)
SELECT device_id, camera, local_day, local_hour, quarter, latest,
       COUNT(*) AS row_cnt, COUNT(CASE WHEN class = 0 THEN 1 END) AS strange_cnt, COUNT(CASE WHEN class = 1 THEN 1 END) AS void_cnt,
       COUNT(CASE WHEN class = 11 THEN 1 END) AS ok_cnt, COUNT(CASE WHEN class = 13 THEN 1 END) AS inc_cnt,
       COUNT(CASE WHEN class = 15 THEN 1 END) AS none_cnt, COUNT(CASE WHEN class = 17 THEN 1 END) AS unc_cnt,
       COUNT(CASE WHEN class = 10 THEN 1 END) AS out_ok_cnt, COUNT(CASE WHEN class = 12 THEN 1 END) AS out_inc_cnt,
       COUNT(CASE WHEN class = 14 THEN 1 END) AS out_none_cnt, COUNT(CASE WHEN class = 16 THEN 1 END) AS out_unc_cnt,
       COUNT(CASE WHEN class = 21 THEN 1 END) AS vinc_cnt, COUNT(CASE WHEN class = 22 THEN 1 END) AS vnone_cnt,
       COUNT(CASE WHEN class IN (21, 22, 23) AND suppressed = 1 THEN 1 END) AS held_cnt,
       COUNT(CASE WHEN class = 20 THEN 1 END) AS vout_cnt,
       COUNT(CASE WHEN class = 24 THEN 1 END) AS att_cnt, COUNT(CASE WHEN class = 25 THEN 1 END) AS drw_cnt,
       COUNT(CASE WHEN clock_ok = 0 AND class <> 1 THEN 1 END) AS clock_cnt
FROM classed GROUP BY device_id, camera, local_day, local_hour, quarter, latest
