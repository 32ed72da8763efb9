-- The counts of a report over many devices: whole numbers only, so that every engine gives the same. SQLite, DuckDB, Spark
-- and ClickHouse run this text as it is; the SHA-256 of fold.sql and it, one after the other, stands in the report.
--
-- It asks: cell (what fold.sql gives of encounter, all files of passages and events, and of encounter_again, those whose
-- device-day came in more than one, see docs/fleet.md for the columns), cover, report_params (one row: day_from, day_to),
-- again (device_id, local_day: the device-days that came in more than one file) and unasked (device_id, local_day, camera: the
-- cameras that followed no masks on that day).
WITH of_quarter AS (
  SELECT c.device_id, c.camera, c.local_day, c.local_hour, c.quarter, c.ok_cnt, c.inc_cnt, c.none_cnt, c.unc_cnt,
         c.out_ok_cnt, c.out_inc_cnt, c.out_none_cnt, c.out_unc_cnt, c.vinc_cnt, c.vnone_cnt, c.held_cnt, c.vout_cnt,
         c.att_cnt, c.drw_cnt, c.clock_cnt
  FROM cell c CROSS JOIN report_params p
  WHERE c.local_day >= p.day_from AND c.local_day <= p.day_to AND c.row_cnt > c.void_cnt
    AND (c.latest = 1
         OR NOT EXISTS (SELECT 1 FROM again a WHERE a.device_id = c.device_id AND a.local_day = c.local_day))),
of_device_quarter AS (
  SELECT device_id, local_day, quarter, SUM(ok_cnt) AS y, SUM(ok_cnt + inc_cnt + none_cnt) AS n
  FROM of_quarter GROUP BY device_id, local_day, quarter),
cover_ranked AS (
  SELECT c.device_id, c.camera, c.entrance, c.local_day, c.local_hour, c.open_s, c.watched_s, c.paused_s,
         ROW_NUMBER() OVER (PARTITION BY c.device_id, c.local_day, c.camera, c.local_hour
                            ORDER BY c.seq DESC, c.watched_s DESC, c.entrance) AS rn
  FROM cover c CROSS JOIN report_params p WHERE c.local_day >= p.day_from AND c.local_day <= p.day_to),
unasked_cover AS (
  SELECT c.device_id, c.camera, c.local_day, c.local_hour, c.open_s, c.watched_s
  FROM cover_ranked c INNER JOIN unasked u ON u.device_id = c.device_id AND u.local_day = c.local_day AND u.camera = c.camera
  WHERE c.rn = 1)
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
UNION ALL
SELECT 'unasked', device_id, camera, '', local_day, 0,
       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, SUM(open_s), SUM(watched_s), 0
FROM unasked_cover GROUP BY device_id, camera, local_day
UNION ALL
SELECT 'unasked hour', '', '', '', '', local_hour,
       0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, SUM(open_s), SUM(watched_s), 0
FROM unasked_cover GROUP BY local_hour
ORDER BY record, device_id, camera, local_day, local_hour
