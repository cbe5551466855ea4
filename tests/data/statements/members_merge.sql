MERGE INTO members AS m USING (VALUES (1, 'one', 1), (2, 'two', 2), (NULL, 'new{p}@x', 3)) AS v (id, name, n) ON m.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name || '{p}', visits = m.visits + v.n WHEN NOT MATCHED THEN INSERT (email, name, region, badge) VALUES (v.name, 'made', 'mr{p}', v.n);
WITH done AS (MERGE INTO members m USING (VALUES ('m4@x', 1), ('m5@x', 2), ('none{p}@x', 3), ('new{p}@x', 4)) AS v (email, n) ON m.email = v.email WHEN MATCHED AND v.n = 1 THEN DO NOTHING WHEN MATCHED AND v.n = 4 THEN DELETE WHEN MATCHED THEN UPDATE SET (visits, region) = (m.visits + 1, 'merged') WHEN NOT MATCHED THEN INSERT (email, visits) VALUES (v.email, DEFAULT) RETURNING merge_action() AS did, v.n, m.email, m.visits, m.region) SELECT * FROM done ORDER BY n;
MERGE INTO members USING (SELECT 'none{p}@x' AS e) AS s ON email = s.e WHEN MATCHED THEN DELETE RETURNING merge_action(), s.*, members.email, name;
MERGE INTO members USING (SELECT 'none{p}@x' AS e) AS s ON email = s.e WHEN MATCHED THEN DELETE RETURNING merge_action(), s.*, members.email, name;
MERGE INTO members m USING (SELECT 6 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET name = 'all' RETURNING *;
MERGE INTO members m USING (SELECT 'star{p}@x' AS e) AS s ON m.email = s.e WHEN NOT MATCHED THEN INSERT (id, email) VALUES (20{p}, s.e) RETURNING m.*, s.e;
MERGE INTO members m USING members AS s ON m.id = s.id + 1 AND s.id BETWEEN 10 AND 14 WHEN MATCHED THEN UPDATE SET visits = s.id, name = s.email;
MERGE INTO members m USING (SELECT id FROM members WHERE id > 4) AS s ON m.id = s.id WHEN NOT MATCHED BY SOURCE AND m.id < 3 THEN UPDATE SET visits = 5 WHEN NOT MATCHED BY SOURCE AND m.id = 20{p} THEN DELETE WHEN MATCHED AND m.id = 20{p} THEN DELETE;
WITH done AS (MERGE INTO members m USING (SELECT 7 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = 7 WHEN NOT MATCHED BY SOURCE AND m.id IN (8, 9) THEN UPDATE SET visits = 8 WHEN NOT MATCHED BY TARGET THEN DO NOTHING RETURNING merge_action(), s.id AS sid, m.id AS mid, visits) SELECT * FROM done ORDER BY mid;
MERGE INTO members m USING (SELECT 1 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = 2 RETURNING m, s;
UPDATE members SET visits = 3 WHERE id = 1 RETURNING members, id;

-- A row that two rows of the source match; and one that only one of them writes.
MERGE INTO members m USING (VALUES (3, 1), (3, 2)) AS s (id, n) ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = s.n;
MERGE INTO members m USING (VALUES (3, 1), (3, 2)) AS s (id, n) ON m.id = s.id WHEN MATCHED AND s.n = 2 THEN UPDATE SET visits = s.n;

-- What the table does not take.
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = 100;
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET email = 'm10@x';
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET name = 'longer than its twenty characters';
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = m.name;
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET nothing = m.name;
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET visits = nothing;
MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, 'taken{p}@x');
MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email) VALUES (30{p}, 'm1@x');
MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email, visits) VALUES (30{p}, 'x{p}', 'many');
MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (30{p});
MERGE INTO members m USING (SELECT 3 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES;
MERGE INTO members m USING (SELECT 'text' AS t) AS s ON false WHEN NOT MATCHED THEN INSERT (id, email, visits) VALUES (30{p}, 'x{p}', s.t);
MERGE INTO members m USING (SELECT 3 AS id) AS s ON m.id = s.id WHEN MATCHED THEN DELETE WHEN MATCHED THEN DO NOTHING;
BEGIN; MERGE INTO members m USING (VALUES (7)) AS s (id) ON m.id = s.id WHEN MATCHED THEN DELETE; SELECT count(*) FROM members WHERE id = 7; ROLLBACK;

-- Values that queries give; a query runs for the rows of its own action. (PostgreSQL 18 itself ends
-- at two actions with queries.)
MERGE INTO members m USING (VALUES (11, 'a'), (12, 'b'), (13, 'c'), (40, 'd')) AS s (id, t) ON m.id = s.id WHEN MATCHED AND s.t = 'c' THEN UPDATE SET name = NULL, visits = 3 WHEN MATCHED THEN UPDATE SET visits = 4, (badge, name) = (SELECT max(o.id) + 60, s.t || max(o.email) FROM members o WHERE o.id < m.id) WHEN NOT MATCHED THEN DO NOTHING;
MERGE INTO members m USING (VALUES (11, 'a'), (12, 'b'), (13, 'c')) AS s (id, t) ON m.id = s.id WHEN MATCHED AND s.t = 'c' THEN UPDATE SET (name, region) = ('three', 'q{p}') WHEN MATCHED THEN UPDATE SET visits = 4, (badge, name) = (SELECT max(o.id) + 60, s.t || max(o.email) FROM members o WHERE o.id < m.id) RETURNING merge_action(), m.id, m.name, m.badge, m.visits, m.region, s.t;
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN NOT MATCHED BY SOURCE AND m.id = 13 THEN UPDATE SET (name, badge) = (SELECT o.name, m.badge + 1 FROM members o WHERE o.id = m.id - 1) WHEN MATCHED THEN UPDATE SET name = 'one' RETURNING merge_action(), m.id, name, badge;
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name) = (SELECT 'one'), (visits, badge) = (SELECT s.id, NULL WHERE m.id = 12);
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, region) = (SELECT 'none', 'x' WHERE false), visits = 3;
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, badge) = ROW('row', s.id);
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED AND m.id = 5 THEN UPDATE SET (name, visits) = (SELECT email, id FROM members) WHEN MATCHED THEN UPDATE SET visits = 9;
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT email, id FROM members);
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT 1.5, 'x');
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT 'x');
MERGE INTO members m USING (SELECT 12 AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET (name, visits) = (SELECT repeat('long', 10), 1);
EXPLAIN (COSTS OFF) MERGE INTO nobody USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE;
SELECT email, region, badge, name, visits FROM members ORDER BY email;
