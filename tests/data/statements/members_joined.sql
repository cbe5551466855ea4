UPDATE members m SET visits = n.more FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING m.id, n.note, m.visits, n.more - m.visits AS gone;
UPDATE members m SET name = n.note || '{p}' FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING *;
UPDATE members m SET name = n.note FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING n.*, m.*;
UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING n, m, n.note, row_to_json(n), m.name;
UPDATE members m SET name = 'y' FROM notes WHERE member = m.id AND m.id < 3 RETURNING upper(note), name, more + 1;
UPDATE members SET name = 'z' FROM notes WHERE member = members.id AND members.id < 3 RETURNING public.notes.note, notes.more, members.name, public.members.id;

-- Of rows that an outer join does not find, of functions and of queries.
UPDATE members m SET visits = m.visits + 1 FROM notes n LEFT JOIN tags t ON t.member = n.member + 2 WHERE n.member = m.id AND m.id IN (2, 4) RETURNING m.id, m.visits, t.tag, t, n.note;
UPDATE members m SET visits = m.visits + 1 FROM notes JOIN tags USING (member) WHERE member = m.id AND m.id < 3 RETURNING m.id, member, note, tag;
UPDATE members m SET visits = g FROM generate_series(1, 3) AS g WHERE m.id = g RETURNING g, m.visits;
UPDATE members m SET visits = g.n FROM unnest(ARRAY[5, 6], ARRAY['a', 'b']) AS g (n, t) WHERE m.id = g.n RETURNING g.*, m.visits;
UPDATE members m SET visits = l.s FROM (VALUES (1, 'a'), (2, 'b')) AS v (id, t), LATERAL (SELECT v.id + n.more AS s FROM notes n WHERE n.id = v.id) AS l WHERE m.id = v.id RETURNING *;
UPDATE members m SET name = 'same' FROM (VALUES (1, 'a'), (1, 'a')) AS v (id, t) WHERE m.id = v.id RETURNING v.t, m.id;

-- The table itself, as it was.
UPDATE members m SET name = o.name, visits = o.visits FROM members o WHERE o.id = m.id + 1 AND m.id BETWEEN 10 AND 13 RETURNING m.id, o.id AS before, o.name, o.visits, m.name, o;
WITH w AS (UPDATE members m SET name = 'with' FROM notes n WHERE n.member = m.id AND m.id < 6 RETURNING m.id, n.note, name) SELECT * FROM w ORDER BY id DESC;

-- Queries in the list.
UPDATE members m SET visits = 7 FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING m.id, (SELECT count(*) FROM tags t WHERE t.member <= n.member), (SELECT max(o.id) FROM members o WHERE o.id < m.id + n.more), note;
UPDATE members m SET visits = 8 FROM notes n WHERE n.member = m.id AND m.id < 4 RETURNING n, (SELECT tag FROM tags WHERE tags.member = n.id), EXISTS (SELECT FROM tags t WHERE t.member = m.id);
DELETE FROM members m USING notes n WHERE false RETURNING *, (SELECT 1);

-- Values that a query gives, beside what was joined.
UPDATE members m SET (name, visits) = (SELECT t.tag, n.id FROM tags t WHERE t.member = n.member) FROM notes n WHERE n.member = m.id AND m.id < 6 RETURNING m.id, m.name, n.note, m.visits;

-- Rows that go.
BEGIN; DELETE FROM members m USING notes n, tags t WHERE n.member = m.id AND t.member = n.id AND m.id < 4 RETURNING m.email, n.note, tag; SELECT count(*) FROM members; ROLLBACK;
INSERT INTO members (id, email, name) VALUES (20{p}, 'gone{p}@x', 'Gone');
DELETE FROM members USING notes AS n WHERE n.id = 9 AND members.id = 20{p} RETURNING *;

-- Other keys.
INSERT INTO members (id, email, name) VALUES (30{p}, 'key{p}@x', 'Key'), (31{p}, 'kez{p}@x', 'Kez');
UPDATE members m SET id = v.t + n.id, name = n.note FROM (VALUES (30{p}, 400{p}), (31{p}, 410{p})) AS v (f, t), notes n WHERE m.id = v.f AND n.id = 1 RETURNING m.id, v.f AS was, n.note, v.*;
UPDATE members m SET id = m.id + 1000 FROM members o WHERE o.id = m.id AND m.name = 'note 1' AND m.email LIKE 'ke_{p}@x' RETURNING o.id, m.id, o.email;
SELECT id, email, name FROM members WHERE email LIKE 'ke_{p}@x' ORDER BY id;
UPDATE members m SET name = 'none' FROM notes n WHERE n.member = m.id AND m.id = 77 RETURNING *;
SELECT id, email, region, badge, name, visits FROM members ORDER BY email;
