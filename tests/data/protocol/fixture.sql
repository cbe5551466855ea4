-- What the scripts beside this file need in their database.
CREATE TABLE fixture (id int PRIMARY KEY, name text NOT NULL, at timestamptz);
INSERT INTO fixture SELECT n, 'name ' || n, '2020-01-01' FROM generate_series(1, 20) n;
CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE copied (a int, b text);
CREATE VIEW looked_at AS SELECT 1 AS a;
CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'at %', n USING DETAIL = 'more', HINT = 'none'; RETURN n; END $$;
CREATE PROCEDURE commits() LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO copied VALUES (0, 'x'); COMMIT; DELETE FROM copied; COMMIT; END $$;
