INSERT INTO members (id, email, region, badge) VALUES (50{p}, 'key{p}@x', 'k{p}', 1), (51{p}, 'kez{p}@x', 'k{p}', 2), (52{p}, 'kea{p}@x', 'k{p}', 3);
MERGE INTO members m USING (VALUES (50{p}, 60{p}), (51{p}, 51{p}), (53{p}, 1)) AS s (f, t) ON m.id = s.f WHEN MATCHED THEN UPDATE SET id = s.t, name = 'to ' || s.t WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.f, 'ken{p}@x') RETURNING merge_action(), m.id, s.f, m.name, m.email;
MERGE INTO members m USING (SELECT 60{p} AS id) AS s ON m.id = s.id WHEN NOT MATCHED BY SOURCE AND m.id = 51{p} THEN UPDATE SET (id, visits) = (SELECT m.id + 100, 4) WHEN MATCHED THEN UPDATE SET (id, name) = (s.id + 1000, 'twice') RETURNING merge_action(), m.id, s.id, name, visits;
MERGE INTO members m USING (VALUES (61{p}), (52{p})) AS s (id) ON m.id = s.id WHEN MATCHED AND s.id = 52{p} THEN DELETE WHEN MATCHED THEN UPDATE SET id = m.id + 1000;

-- Keys that others have, and what is no key.
MERGE INTO members m USING (SELECT 160{p} AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 1;
MERGE INTO members m USING (SELECT 160{p} AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = NULL;
MERGE INTO members m USING (SELECT 160{p} AS id) AS s ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 'x';
MERGE INTO members m USING (VALUES (160{p}), (161{p})) AS s (id) ON m.id = s.id WHEN MATCHED THEN UPDATE SET id = 777;
MERGE INTO members m USING (VALUES (1), (2)) AS s (n) ON m.id = 160{p} WHEN MATCHED THEN UPDATE SET id = 700 + s.n;
SELECT id, email, region, badge, name, visits FROM members WHERE email LIKE 'ke_{p}@x' OR id < 3 ORDER BY id;
