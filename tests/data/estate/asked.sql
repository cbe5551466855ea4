-- What random statements over tables that refer to each other have found: {p} is the phase's own number. Each group
-- leaves no transaction open, and knows its own rows.

-- rows that refer to rows of their own table follow their keys
INSERT INTO tenants (id, c, h) VALUES (9{p}1, NULL, 9{p}1), (9{p}2, NULL, 9{p}1), (9{p}3, NULL, 9{p}2);
UPDATE tenants SET id = id + 10000, note = 'moved' WHERE id BETWEEN 9{p}1 AND 9{p}3 RETURNING id, h;
SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id;
UPDATE tenants SET id = 3{p}000 WHERE id = 109{p}1;
SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id;
-- One that is set to refer to nothing, and one that is set to refer to itself by its new key.
UPDATE tenants SET id = 4{p}000, h = NULL WHERE id = 3{p}000;
UPDATE tenants SET id = 5{p}000, h = 5{p}000 WHERE id = 4{p}000;
UPDATE tenants SET id = 6{p}000, h = 5{p}000 WHERE id = 5{p}000;
UPDATE tenants SET id = 7{p}000, h = 777 WHERE id = 6{p}000;
UPDATE tenants SET id = 109{p}4 WHERE h = 109{p}2;
BEGIN;
SET CONSTRAINTS tenants_h_fkey DEFERRED;
UPDATE tenants SET id = 7{p}000, h = 7{p}001 WHERE id = 6{p}000;
UPDATE tenants SET id = 7{p}001 WHERE id = 7{p}000;
COMMIT;
SELECT id, note, h FROM tenants WHERE id > 900 ORDER BY id;
DELETE FROM tenants WHERE id = 7{p}001;
SELECT count(*) FROM tenants WHERE id > 900;

-- what refers to a row is told by its legacy names
UPDATE houses SET id = 9{p} WHERE id = 41;
UPDATE houses SET id = 8{p} WHERE id = 51;
DELETE FROM houses WHERE id = 52;
BEGIN;
DELETE FROM houses WHERE id = 62;
COMMIT;
BEGIN;
SET CONSTRAINTS tenants_a_fkey DEFERRED;
ROLLBACK;

-- a row as a whole depends on its key
-- The other table has a column of that name.
SELECT to_jsonb(h.*) AS j, count(*) FROM houses AS h LEFT JOIN tenants AS t ON t.a = h.id GROUP BY h.id ORDER BY h.id;
SELECT row_to_json(x) AS j, count(*) FROM houses AS x LEFT JOIN tenants AS t ON t.a = x.id GROUP BY x.id ORDER BY x.id;

-- roles are told of tables and need no right to what nothing is done to
SET ROLE landlord;
INSERT INTO houses (id, name) VALUES (60{p}, 'role {p}') RETURNING id;
UPDATE houses SET id = 70{p}, size = 3 WHERE id = 60{p} RETURNING size;
INSERT INTO houses (id, name) VALUES (70{p}, 'role {p}') ON CONFLICT (id) DO UPDATE SET size = 4 RETURNING size;
DELETE FROM houses WHERE id = 70{p};
SELECT count(*) FROM tenants;
UPDATE tenants SET note = 'x';
SET ROLE onlooker;
SELECT count(*) FROM houses;
INSERT INTO houses (id, name) VALUES (60{p}, 'role {p}');
INSERT INTO staff (first) VALUES ('x');
UPDATE houses SET id = 200 WHERE id = 5;
UPDATE tenants SET note = 'x' WHERE id = 11;
DELETE FROM staff WHERE nr = 101;
SELECT id FROM staff WHERE nr = 101 FOR UPDATE;
RESET ROLE;

-- a role is asked for its rights whether or not there is a row
SET ROLE adder;
DELETE FROM houses WHERE id = -1;
DELETE FROM houses AS h USING (VALUES (-1)) AS v (i) WHERE v.i = h.id RETURNING h.id;
WITH w AS (DELETE FROM houses WHERE name = 'nobody' RETURNING id) SELECT count(*) FROM w;
UPDATE houses SET size = 1 WHERE id = -1;
INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false;
SET ROLE onlooker;
DELETE FROM houses WHERE id = -1;
UPDATE houses SET size = 1 WHERE id = -1;
INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false;
INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false ON CONFLICT (id) DO UPDATE SET size = 1;
RESET ROLE;
-- What may not write at all is told so first.
BEGIN READ ONLY;
UPDATE houses SET size = 1 WHERE id = -1;
ROLLBACK;
BEGIN READ ONLY;
INSERT INTO houses (id, name) SELECT 1, 'x' WHERE false ON CONFLICT (id) DO UPDATE SET size = 1;
ROLLBACK;

-- a table that is referred to is truncated with those that refer to it alone
TRUNCATE houses;
TRUNCATE houses, staff;
TRUNCATE staff, houses;
BEGIN;
TRUNCATE houses, tenants, staff;
SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants), (SELECT count(*) FROM staff);
ROLLBACK;
BEGIN;
TRUNCATE tenants;
SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants), (SELECT count(*) FROM staff);
ROLLBACK;
SET ROLE onlooker;
TRUNCATE houses;
RESET ROLE;
SELECT (SELECT count(*) FROM houses), (SELECT count(*) FROM tenants), (SELECT count(*) FROM staff);

-- what is joined may be called like a column of the table
UPDATE houses SET size = size;
UPDATE tenants SET note = note;
UPDATE tenants SET note = a.name FROM houses AS a WHERE a.id = tenants.a AND a = 11 RETURNING tenants.id, a, a.name;
UPDATE tenants AS t SET note = left(b.name, 5) || t.id FROM houses AS b WHERE b.id = t.b AND t.note IS DISTINCT FROM 'x' RETURNING t.id, b.*;
UPDATE tenants SET (note, c) = (SELECT left(a.name, 6), tenants.c) FROM houses AS a WHERE a.id = tenants.a RETURNING tenants.id, note;
BEGIN;
DELETE FROM tenants AS t USING houses AS e WHERE e.id = t.e AND e.id = 51 RETURNING t.id, e.name;
DELETE FROM tenants USING houses AS a, staff AS b WHERE a.id = tenants.a AND b.nr = 101 RETURNING b.first, a.id;
SELECT id, note FROM tenants ORDER BY id;
ROLLBACK;

-- each row of values is assigned by its own types
INSERT INTO houses (id, name) VALUES (3000 + {p}, 12345{p}), ('310{p}', 'n{p}'), (3200.4 + {p}, 'x{p}'::text) RETURNING id, name;
INSERT INTO houses (id, name, born) VALUES (3300 + {p}, 'b{p}', '2024-02-29'), (3400 + {p}, 'c{p}', '2024-07-01 23:30Z'::timestamptz) RETURNING born;
INSERT INTO houses (id, name) VALUES (3500 + {p}, 'too long a name'), (3600 + {p}, 1);
INSERT INTO houses (id, name) VALUES (3500 + {p}, DEFAULT), (3600 + {p}, 1);
SELECT id, name, born FROM houses WHERE id > 3000 ORDER BY id;

-- a query gives an insert as many columns as it names
INSERT INTO staff (first, last) SELECT * FROM (SELECT 'a', 'b', 'c') AS s;
INSERT INTO staff (first, last) SELECT s.* FROM (SELECT 'a' AS x, 'b' AS y) AS s RETURNING first, last;
INSERT INTO tenants (id, note) TABLE houses;
INSERT INTO tenants (id, note) SELECT id, name FROM houses WHERE false UNION ALL SELECT 1, 'x' WHERE false;
INSERT INTO tenants (id, note) SELECT id, name, size FROM houses UNION ALL SELECT 1, 'x', 2;
INSERT INTO houses SELECT 700 + {p}, 'short {p}';
INSERT INTO houses SELECT h.id + 7000, 'c {p}' FROM houses AS h WHERE h.id = 700 + {p} RETURNING *;
INSERT INTO houses SELECT *, 1 FROM houses;
SELECT count(*) FROM tenants;
