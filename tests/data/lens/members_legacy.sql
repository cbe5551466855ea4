CREATE TABLE members (id integer PRIMARY KEY, email varchar(40) NOT NULL CONSTRAINT members_email_key UNIQUE,
  region text, badge integer, name varchar(20), visits integer NOT NULL DEFAULT 0 CONSTRAINT few_visits CHECK (visits < 100),
  CONSTRAINT members_badge UNIQUE (region, badge));
CREATE SEQUENCE members_id_seq START 1000;
ALTER TABLE members ALTER id SET DEFAULT nextval('members_id_seq');
INSERT INTO members (id, email, region, badge, name)
  SELECT n, 'm' || n || '@x', CASE WHEN n % 3 > 0 THEN 'r' || n % 3 END, n, 'Member ' || n FROM generate_series(1, 30) AS n;
