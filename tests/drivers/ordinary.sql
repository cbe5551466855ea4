-- Statements that name no managed table: a proxy must not be noticed. Every output here is the
-- same on every run.
SELECT 1 AS one, NULL AS nothing, 'ä €' AS text, '' AS empty;
SELECT ;
-- Two statements in one message, then one that fails between two that do not.
SELECT 1 AS first \; SELECT 2 AS second;
SELECT 1 AS kept \; SELECT 1/0 \; SELECT 2 AS never;
-- Errors: position, detail, hint, context, a SQLSTATE of one's own.
SELECT * FROM nowhere WHERE x = 1;
SELECT 'abc
def' = 12;
DO $$ BEGIN
    RAISE EXCEPTION USING ERRCODE = 'CF999', MESSAGE = 'mine', DETAIL = 'more', HINT = 'do';
END $$;
\set VERBOSITY verbose
SELECT nothing_here;
\set VERBOSITY default
DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; END $$;

CREATE TEMP TABLE things (id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(8,2));
SELECT id, name, price, id::text || name AS both FROM things \gdesc
INSERT INTO things VALUES (1, 'one', 1.5), (2, 'two', 2), (3, 'three', NULL);
INSERT INTO things VALUES (1, 'again', 1);
INSERT INTO things VALUES (4, 'four', 4) RETURNING *;
UPDATE things SET price = price * 2 WHERE id < 3;
DELETE FROM things WHERE id = 3 RETURNING name;
SELECT * FROM things ORDER BY id;

COPY things FROM STDIN;
10	ten	10
11	eleven	\N
\.
COPY things FROM STDIN (FORMAT csv);
12,"twelve, quoted",12
12,duplicate,12
\.
COPY (SELECT * FROM things ORDER BY id) TO STDOUT (FORMAT csv, HEADER);
COPY things FROM STDIN;
wrong
\.

BEGIN;
INSERT INTO things VALUES (20, 'twenty', 20);
SAVEPOINT s;
INSERT INTO things VALUES (20, 'twice', 20);
SELECT 'refused while failed';
ROLLBACK TO s;
SELECT count(*) FROM things;
ROLLBACK;
SELECT count(*) FROM things;
COMMIT;

PREPARE by_id (int) AS SELECT name FROM things WHERE id = $1;
EXECUTE by_id (2);
DEALLOCATE by_id;
EXECUTE by_id (2);

\set FETCH_COUNT 2
SELECT n, repeat('x', n) FROM generate_series(1, 5) n;
\set FETCH_COUNT 0
SELECT length(string_agg(md5(n::text), '')), md5(string_agg(md5(n::text), ''))
  FROM generate_series(1, 50000) n;
SELECT repeat('0123456789', 20000) AS wide \g /dev/null

SET application_name = 'renamed';
SHOW application_name;
SHOW client_encoding;
SET client_encoding = 'LATIN1';
SELECT octet_length('x'), U&'\00e9' = 'x';
RESET client_encoding;
SELECT current_user, current_database() <> '' AS somewhere;
\echo :ERROR :SQLSTATE :ROW_COUNT
