-- The counts of a report over many devices: whole numbers only, so that every engine gives the same. SQLite, DuckDB, Spark
-- and ClickHouse run this text as it is; the SHA-256 of fold.sql and it, one after the other, stands in the report.
--
-- It asks: cell (what fold.sql gives of all files of passages and events), encounter_again (the rows of those files whose
-- device-day came in more than one, see docs/fleet.md for the columns), cover, report_params (one row: day_from, day_to) and
-- again (device_id, local_day: the device-days that came in more than one file, whose rows may be there in several versions).
-- Of a row that is there several times the one with the highest seq counts.
WITH single AS (
  SELECT c.device_id, c.camera, c.local_day, c.local_hour, c.quarter, c.kind, c.outcome, c.in_open, c.suppressed, c.clock_ok,
         c.end_reason, c.row_cnt
  FROM cell c CROSS JOIN report_params p
  WHERE c.local_day >= p.day_from AND c.local_day <= p.day_to
    AND NOT EXISTS (SELECT 1 FROM again a WHERE a.device_id = c.device_id AND a.local_day = c.local_day)),
ranked AS (
  SELECT e.device_id, e.camera, e.local_day, e.local_hour, e.quarter, e.kind, e.outcome, e.in_open, e.suppressed, e.clock_ok,
         e.end_reason,
         ROW_NUMBER() OVER (PARTITION BY e.device_id, e.local_day, e.event_id
                            ORDER BY e.seq DESC, e.started_ms DESC, e.outcome, e.camera) AS rn
  FROM encounter_again e CROSS JOIN report_params p
       INNER JOIN again a ON a.device_id = e.device_id AND a.local_day = e.local_day
  WHERE e.local_day >= p.day_from AND e.local_day <= p.day_to),
latest AS (
  SELECT device_id, camera, local_day, local_hour, quarter, kind, outcome, in_open, suppressed, clock_ok, end_reason, row_cnt
  FROM single WHERE outcome <> 'void'
  UNION ALL
  SELECT device_id, camera, local_day, local_hour, quarter, kind, outcome, in_open, suppressed, clock_ok, end_reason, 1
  FROM ranked WHERE rn = 1 AND outcome <> 'void'),
of_quarter AS (
  SELECT device_id, camera, local_day, local_hour, quarter,
         SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'correct' THEN row_cnt ELSE 0 END) AS ok_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'incorrect' THEN row_cnt ELSE 0 END) AS inc_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'none' THEN row_cnt ELSE 0 END) AS none_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 1 AND outcome = 'uncertain' THEN row_cnt ELSE 0 END) AS unc_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 0 AND outcome = 'correct' THEN row_cnt ELSE 0 END) AS out_ok_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 0 AND outcome = 'incorrect' THEN row_cnt ELSE 0 END) AS out_inc_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 0 AND outcome = 'none' THEN row_cnt ELSE 0 END) AS out_none_cnt,
         SUM(CASE WHEN kind = 'passage' AND in_open = 0 AND outcome = 'uncertain' THEN row_cnt ELSE 0 END) AS out_unc_cnt,
         SUM(CASE WHEN kind = 'mask' AND in_open = 1 AND outcome = 'incorrect' AND end_reason <> 'static' THEN row_cnt ELSE 0 END)
           AS vinc_cnt,
         SUM(CASE WHEN kind = 'mask' AND in_open = 1 AND outcome = 'none' AND end_reason <> 'static' THEN row_cnt ELSE 0 END)
           AS vnone_cnt,
         SUM(CASE WHEN kind = 'mask' AND in_open = 1 AND suppressed = 1 AND end_reason <> 'static' THEN row_cnt ELSE 0 END)
           AS held_cnt,
         SUM(CASE WHEN kind = 'mask' AND in_open = 0 AND end_reason <> 'static' THEN row_cnt ELSE 0 END) AS vout_cnt,
         SUM(CASE WHEN kind = 'inattention' AND in_open = 1 AND end_reason <> 'static' THEN row_cnt ELSE 0 END) AS att_cnt,
         SUM(CASE WHEN kind = 'drowsiness' AND in_open = 1 AND end_reason <> 'static' THEN row_cnt ELSE 0 END) AS drw_cnt,
         SUM(CASE WHEN clock_ok = 0 THEN row_cnt ELSE 0 END) AS clock_cnt
  FROM latest GROUP BY device_id, camera, local_day, local_hour, quarter),
of_device_quarter AS (
  SELECT device_id, local_day, quarter, SUM(ok_cnt) AS y, SUM(ok_cnt + inc_cnt + none_cnt) AS n
  FROM of_quarter GROUP BY device_id, local_day, quarter),
cover_ranked AS (
  SELECT c.device_id, c.camera, c.entrance, c.local_day, c.local_hour, c.open_s, c.watched_s, c.paused_s,
         ROW_NUMBER() OVER (PARTITION BY c.device_id, c.local_day, c.camera, c.local_hour
                            ORDER BY c.seq DESC, c.watched_s DESC, c.entrance) AS rn
  FROM cover c CROSS JOIN report_params p WHERE c.local_day >= p.day_from AND c.local_day <= p.day_to)
SELECT 'camera' AS record, device_id, camera, '' AS entrance, '' AS local_day, 0 AS local_hour,
       SUM(ok_cnt) AS ok_sum, SUM(inc_cnt) AS inc_sum, SUM(none_cnt) AS none_sum, SUM(unc_cnt) AS unc_sum,
       SUM(out_ok_cnt) AS out_ok_sum, SUM(out_inc_cnt) AS out_inc_sum, SUM(out_none_cnt) AS out_none_sum, SUM(out_unc_cnt) AS out_unc_sum,
       SUM(vinc_cnt) AS vinc_sum, SUM(vnone_cnt) AS vnone_sum, SUM(held_cnt) AS held_sum, SUM(vout_cnt) AS vout_sum,
       SUM(att_cnt) AS att_sum, SUM(drw_cnt) AS drw_sum, SUM(clock_cnt) AS clock_sum,
       SUM(CASE WHEN ok_cnt + inc_cnt + none_cnt > 0 THEN 1 ELSE 0 END) AS block_sum,
       SUM(ok_cnt * ok_cnt) AS yy_sum, SUM(ok_cnt * (ok_cnt + inc_cnt + none_cnt)) AS yn_sum,
       SUM((ok_cnt + inc_cnt + none_cnt) * (ok_cnt + inc_cnt + none_cnt)) AS nn_sum,
       0 AS open_sum, 0 AS watched_sum, 0 AS paused_sum
FROM of_quarter GROUP BY device_id, camera
UNION ALL
SELECT 'device', device_id, '', '', local_day, 0,
       SUM(ok_cnt), SUM(inc_cnt), SUM(none_cnt), SUM(unc_cnt),
       SUM(out_ok_cnt), SUM(out_inc_cnt), SUM(out_none_cnt), SUM(out_unc_cnt), SUM(vinc_cnt), SUM(vnone_cnt), SUM(held_cnt),
       SUM(vout_cnt), SUM(att_cnt), SUM(drw_cnt), SUM(clock_cnt), 0, 0, 0, 0, 0, 0, 0
FROM of_quarter GROUP BY device_id, local_day
UNION ALL
SELECT 'block', device_id, '', '', local_day, 0,
       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, SUM(CASE WHEN n > 0 THEN 1 ELSE 0 END), SUM(y * y), SUM(y * n), SUM(n * n), 0, 0, 0
FROM of_device_quarter GROUP BY device_id, local_day
UNION ALL
SELECT 'hour', '', '', '', '', local_hour,
       SUM(ok_cnt), SUM(inc_cnt), SUM(none_cnt), SUM(unc_cnt),
       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM of_quarter GROUP BY local_hour
UNION ALL
SELECT 'cover', device_id, camera, MAX(entrance), local_day, 0,
       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, SUM(open_s), SUM(watched_s), SUM(paused_s)
FROM cover_ranked WHERE rn = 1 GROUP BY device_id, camera, local_day
UNION ALL
SELECT 'cover hour', '', '', '', '', local_hour,
       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, SUM(open_s), SUM(watched_s), SUM(paused_s)
FROM cover_ranked WHERE rn = 1 GROUP BY local_hour
ORDER BY record, device_id, camera, local_day, local_hour
