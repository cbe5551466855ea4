-- What psql does beyond sending what it was given: catalogue queries, copies from its own side,
-- statements made from results.
\set VERBOSITY verbose
\d iso_agents
\d+ users
\d client_profiles
\dt public.*
\dT+ user_role
\di public.idx_iso*
\df public.*
\sf update_updated_at_column
\du app
\l template0
\dp iso_agents
\d nowhere
CREATE TEMP TABLE things (id int PRIMARY KEY, name text);
\copy things FROM PROGRAM 'printf "1\tone\n2\ttwo\n"'
\copy (SELECT * FROM things ORDER BY id) TO STDOUT (FORMAT csv)
-- The number in the name of a temporary schema is the server's to choose.
\set VERBOSITY default
\copy things FROM PROGRAM 'printf "1\tagain\n"'
\set VERBOSITY verbose
\copy things TO PROGRAM 'cat'
\copy iso_agents (clerk_user_id, email, full_name) TO PROGRAM 'sort | sed -n 1,3p'
SELECT id, name FROM things \gdesc
SELECT * FROM nowhere \gdesc
SELECT count(*) AS things FROM things \gset
\echo :things
SELECT 'SELECT ' || n FROM generate_series(1, 3) n \gexec
SELECT 1 AS a, 'x' AS b \gx
SELECT n, n % 2 AS odd, n * 10 AS ten FROM generate_series(1, 4) n \crosstabview n odd ten
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT 1/0;
SELECT 'rolled back to a savepoint of psql''s own';
COMMIT;
\set AUTOCOMMIT off
SELECT 'begun by psql';
ROLLBACK;
\set AUTOCOMMIT on
\errverbose
\encoding LATIN1
SELECT 'é' AS latin;
\encoding UTF8
-- It would say the database's name.
\set QUIET on
\c -
SELECT current_user, 'a new session';
