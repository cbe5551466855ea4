UPDATE things SET tags[2] = 'p{p}', counts[1] = '5' WHERE id = 1 RETURNING tags, counts;
UPDATE things t SET tags[array_length(t.tags, 1) + 1] = code || tags[1], counts[3:4] = ARRAY[id, {p}] WHERE id IN (1, 2) RETURNING tags, counts;
UPDATE things SET tags[1] = 'x', tags[2] = tags[1], counts[:2] = '{9,9}', live = tags[1] = 'a3' WHERE id = 3 RETURNING *;
UPDATE things SET at.street = 'New {p}', at.no = (at).no + 1, at.lines[2] = 'l' WHERE id < 4 RETURNING id, at;
UPDATE things SET "at"."lines"[(at).no - id + 2] = NULL WHERE id = 2 RETURNING at;
UPDATE things SET (tags[1], at.no) = ('row', 7), (counts[id - 3], size) = (SELECT c.id + 100, 400 + {p} FROM things c WHERE c.id = things.id + 1) WHERE id = 4 RETURNING tags, at, counts, size;
UPDATE things SET counts[CASE WHEN id = 5 THEN 1 ELSE 2 END] = o.n FROM (VALUES (5, 50), (6, 60)) AS o(id, n) WHERE things.id = o.id RETURNING things.id, counts, n;
UPDATE things SET counts[(SELECT min(id) FROM things)] = (SELECT count(*) FROM things c WHERE c.kind = things.kind AND c.id < 10) WHERE id = 7 RETURNING counts;
UPDATE things SET data['k'] = '"{p}"', data['deep']['er'] = to_jsonb(code) WHERE id = 8 RETURNING data;
UPDATE things SET at = ROW('Row', 1, NULL)::place, note = ('par'), size = ('80{p}') WHERE id = 9 RETURNING at, note, size;
UPDATE things SET at.street = 'longer than twelve' WHERE id = 9;
WITH w AS (UPDATE things SET tags[3] = 'w' WHERE id = 10 RETURNING tags) SELECT * FROM w;

-- Of a row that is new.
INSERT INTO things (code, tags[2], at.no, tags[1]) VALUES ('N{p}', 'b', '4', 'a') RETURNING code, tags, at, counts, mark, kind;
INSERT INTO things (code, counts[1], counts[2:3], at.street, at.lines[1]) VALUES ('M{p}', '1', '{2,3}', 's', 'l'), ('O{p}', 4, ARRAY[5, 6], lower('T'), NULL) RETURNING code, counts, at;
INSERT INTO things (code, counts[2], tags[{p} + 1]) SELECT 'S{p}' || c.id, '3', c.tags[1] FROM things c WHERE id IN (1, 2) ORDER BY id RETURNING code, counts, tags;
INSERT INTO things (data['x'], code) VALUES ('1', 'J{p}') RETURNING data;
INSERT INTO things AS t (id, code, tags[1]) VALUES (11, 'x', 'con{p}') ON CONFLICT (id) DO UPDATE SET tags[2] = excluded.tags[1] || t.code, counts[t.id - 10] = '12', at.no = (t.at).no + 1, at.street = (SELECT 'q' || t.id) RETURNING tags, counts, at;
INSERT INTO things AS t (id, code) VALUES (12, 'x') ON CONFLICT (id) DO UPDATE SET (counts[(SELECT 1)], at.no) = (SELECT t.id, 3) RETURNING counts, at;

-- What is an error stays one.
UPDATE things SET code[1] = 'x';
UPDATE things SET code.x = 'x';
UPDATE things SET at.nothing = 1;
UPDATE things SET tags[1] = DEFAULT;
UPDATE things SET at.no = DEFAULT;
UPDATE things SET counts[1] = 'x';
UPDATE things SET counts['x'] = 1;
UPDATE things SET counts[code] = 1;
UPDATE things SET counts[1] = now();
UPDATE things SET counts[nothing] = 1;
UPDATE things SET nothing[1] = 1;
UPDATE things SET tags[1] = 'a', tags = '{}';
INSERT INTO things (code, code) VALUES ('a', 'b');
INSERT INTO things (code, tags[1], tags) VALUES ('a', 'b', '{}');
INSERT INTO things (code, tags[1]) VALUES ('a', DEFAULT);
INSERT INTO things (code, tags[1]) VALUES ('a', 'b', 'c');
INSERT INTO things (code, tags[1], at.no) VALUES ('a', 'b');
INSERT INTO things (code, code[1]) VALUES ('a', 'b');
INSERT INTO things (code, at.no) VALUES ('a', 'b');

-- Types whose name alone would say something else.
UPDATE things SET mark = 'xyz', bits = '101', seen = '2024-05-06 07:08:09.7+05', costs = '{1.234,2}' WHERE id = 13 RETURNING mark, bits, seen, costs;
UPDATE things SET bits = '10' WHERE id = 13;
UPDATE things SET mark = 'too long' WHERE id = 13;
INSERT INTO things (code, mark, bits, seen, costs) SELECT 'T{p}', 'xyz', '101', '2024-05-06 07:08:09+05', '{1.234,2}' RETURNING mark, bits, seen, costs;
SELECT * FROM things ORDER BY id;
