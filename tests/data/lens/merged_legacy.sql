CREATE TABLE admins (id serial PRIMARY KEY, email varchar(80) NOT NULL CONSTRAINT admins_email_key UNIQUE,
  name text NOT NULL, level integer NOT NULL DEFAULT 1);
CREATE TABLE members (id serial PRIMARY KEY, email varchar(80) NOT NULL CONSTRAINT members_email_key UNIQUE,
  name text NOT NULL, points integer NOT NULL DEFAULT 0, joined date);
-- Ids of both are the same numbers. Admins 1 to 5 are members 11 to 15, and e-mails differ by case.
INSERT INTO admins (email, name, level) SELECT 'p' || n || '@x', 'Admin ' || n, n FROM generate_series(1, 10) AS n;
INSERT INTO members (email, name, points, joined) SELECT CASE WHEN n > 10 THEN 'p' || n - 10 || '@x' ELSE 'm' || n || '@x' END,
  'Member ' || n, n, CASE WHEN n % 3 > 0 THEN date '2025-01-01' + n END FROM generate_series(1, 15) AS n;
INSERT INTO members (email, name) VALUES ('P6@x', 'Member of another case');
