INSERT INTO members (email, region, badge, name) VALUES ('new{p}@x', 'n{p}', 1, 'New') ON CONFLICT (email) DO UPDATE SET name = excluded.name, visits = members.visits + 1 RETURNING email, name, visits;
INSERT INTO members (email, region, badge, name) VALUES ('new{p}@x', 'n{p}', 1, 'Again') ON CONFLICT (email) DO UPDATE SET name = excluded.name, visits = members.visits + 1 RETURNING email, name, visits, badge;
INSERT INTO members AS m (email, visits) VALUES ('new{p}@x', 7), ('other{p}@x', 8), ('m1@x', 9) ON CONFLICT ON CONSTRAINT members_email_key DO UPDATE SET visits = excluded.visits + m.visits WHERE m.email <> 'm1@x' RETURNING email, visits;

-- By two columns, in any order, and with a key that is taken.
INSERT INTO members (id, email, region, badge) VALUES (1, 'm1@x', 'n{p}', 1) ON CONFLICT (badge, region) DO UPDATE SET visits = members.visits + 1, name = excluded.email RETURNING *;
INSERT INTO members (id, email, region, badge) VALUES (1, 'm1@x', 'n{p}', 1) ON CONFLICT ON CONSTRAINT members_badge DO NOTHING RETURNING *;
INSERT INTO members (id, email) VALUES (1, 'm2@x') ON CONFLICT (email) DO NOTHING RETURNING *;
INSERT INTO members (id, email) VALUES (1, 'm2@x'), (2, 'none{p}@x') ON CONFLICT DO NOTHING RETURNING *;
INSERT INTO members (id, email) VALUES (1, 'm2@x'), (20{p}, 'some{p}@x') ON CONFLICT (email) DO NOTHING RETURNING *;

-- NULLs are in conflict with nothing.
INSERT INTO members (id, email, badge) VALUES (30{p}, 'null{p}@x', 3) ON CONFLICT (region, badge) DO UPDATE SET visits = 50 RETURNING email, visits;

-- One that is in conflict with another constraint.
INSERT INTO members (id, email) VALUES (1, 'nobody{p}@x') ON CONFLICT (email) DO UPDATE SET visits = 1;
INSERT INTO members (email, region, badge) VALUES ('nobody{p}@x', 'n{p}', 1) ON CONFLICT (email) DO UPDATE SET visits = 1;
INSERT INTO members (email, region, badge) VALUES ('m2@x', 'x{p}', 1) ON CONFLICT (region, badge) DO NOTHING;
INSERT INTO members (email) VALUES ('new{p}@x') ON CONFLICT (email) DO UPDATE SET email = 'm1@x';
INSERT INTO members (email) VALUES ('new{p}@x') ON CONFLICT (email) DO UPDATE SET (region, badge) = ('r1', 1);

-- A row that is met twice.
INSERT INTO members (email) VALUES ('twice{p}@x'), ('twice{p}@x') ON CONFLICT (email) DO UPDATE SET visits = 2;
INSERT INTO members (email) VALUES ('m3@x'), ('m3@x') ON CONFLICT (email) DO UPDATE SET visits = 2;
INSERT INTO members (email) VALUES ('m3@x'), ('m3@x') ON CONFLICT (email) DO UPDATE SET visits = 2 WHERE members.id < 0 RETURNING *;
INSERT INTO members (email) VALUES ('m3@x'), ('moved{p}@x') ON CONFLICT (email) DO UPDATE SET email = 'moved{p}@x';
INSERT INTO members (email) VALUES ('twice{p}@x'), ('twice{p}@x') ON CONFLICT (email) DO NOTHING RETURNING email;

-- One after the other: the first makes room for the second.
INSERT INTO members (id, email) VALUES (4, 'four{p}@x'), (40{p}, 'm4@x') ON CONFLICT (id) DO UPDATE SET email = excluded.email RETURNING id, email;
UPDATE members SET email = 'five' WHERE id = 40{p};
UPDATE members SET email = 'm4@x' WHERE id = 4;
UPDATE members SET email = 'five{p}@x' WHERE id = 40{p};

-- What the table does not take, before anything else is looked at.
INSERT INTO members (email, visits) VALUES ('m5@x', 100) ON CONFLICT (email) DO UPDATE SET visits = 1;
INSERT INTO members (email, visits) VALUES (NULL, 1) ON CONFLICT (email) DO NOTHING;
INSERT INTO members (email, visits) VALUES ('m5@x', 100) ON CONFLICT (email) DO NOTHING;
INSERT INTO members (id, email, name) VALUES (50{p}, 'm5@x', 'longer than its twenty characters') ON CONFLICT (email) DO UPDATE SET visits = 1;
INSERT INTO members (id, email) VALUES (50{p}, 'm5@x') ON CONFLICT (email) DO UPDATE SET name = 'longer than its twenty characters';
INSERT INTO members (email) VALUES ('m5@x') ON CONFLICT (email) DO UPDATE SET visits = 1000;
INSERT INTO members (email) VALUES ('m5@x') ON CONFLICT (email) DO UPDATE SET visits = visits + 1;
INSERT INTO members (email) VALUES ('m5@x') ON CONFLICT (email) DO UPDATE SET visits = excluded.name;

-- Queries among the assignments.
INSERT INTO members (email, visits) VALUES ('m11@x', 3), ('query{p}@x', 4) ON CONFLICT (email) DO UPDATE SET (visits, name) = (SELECT count(*) + excluded.visits, 'q' || members.id FROM members AS o WHERE o.id < 4) RETURNING email, visits, name;
INSERT INTO members (email) VALUES ('m11@x') ON CONFLICT (email) DO UPDATE SET name = (SELECT 'of ' || o.email FROM members o WHERE o.id = members.id + 1), (visits) = (SELECT 12) RETURNING name, visits;
INSERT INTO members (email) VALUES ('m11@x') ON CONFLICT (email) DO UPDATE SET (visits, name) = (SELECT o.id, 'x' FROM members o WHERE o.id < 4);
INSERT INTO members (email) VALUES ('m11@x') ON CONFLICT (email) DO UPDATE SET (visits, name) = (SELECT 'x', 'y');
UPDATE members m SET (name, badge) = (SELECT 'after ' || o.id, m.id + 500 FROM members o WHERE o.id = m.id - 1), visits = 13 WHERE m.id IN (12, 13) RETURNING m.id, name, visits, badge;
UPDATE members m SET (name, badge) = (SELECT o.name, o.badge FROM members o WHERE o.id = -m.id) WHERE m.id = 14 RETURNING *;
UPDATE members m SET (name, badge) = (SELECT v.n, m.id), visits = v.i FROM (VALUES (14, 'joined', 3)) AS v (id, n, i) WHERE m.id = v.id RETURNING m.name, m.badge, m.visits;
UPDATE members SET (name, badge) = (SELECT o.name, o.badge FROM members o WHERE o.id < 3) WHERE id = 14;
UPDATE members SET (name, badge) = (SELECT 1.5, 'x') WHERE id = 14;
UPDATE members SET (name, badge) = (SELECT * FROM (VALUES ('a', 1, 2)) AS v) WHERE id = 14;
UPDATE members SET (name, badge) = (SELECT * FROM (VALUES ('a')) AS v) WHERE id = 14;
UPDATE members SET (name, badge) = (SELECT * FROM (VALUES ('star', 714)) AS v) WHERE id = 14 RETURNING name, badge;

-- UNIQUE holds for other writes as well.
INSERT INTO members (email, region, badge) VALUES ('badge{p}@x', 'r1', 1);
UPDATE members SET badge = 1 WHERE id = 7 RETURNING *;
UPDATE members SET badge = badge, region = region WHERE id IN (7, 8);
UPDATE members SET badge = 100 + badge, region = NULL WHERE id IN (9, 10) RETURNING id, badge;
INSERT INTO members (email) SELECT email FROM members WHERE id < 4 ORDER BY id ON CONFLICT (email) DO UPDATE SET visits = members.visits + 10 - members.visits RETURNING id, visits;
WITH new AS (INSERT INTO members (email) VALUES ('m6@x'), ('with{p}@x') ON CONFLICT (email) DO UPDATE SET visits = 66 RETURNING email, visits) SELECT * FROM new ORDER BY 1;
BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO members (email, region, badge) VALUES ('ser{p}@x', 's{p}', 1), ('m7@x', 's{p}', 2) ON CONFLICT (email) DO UPDATE SET badge = excluded.badge, region = excluded.region; COMMIT;
SELECT email, region, badge, name, visits FROM members ORDER BY email;
