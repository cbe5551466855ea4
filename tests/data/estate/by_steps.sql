CREATE TABLE place (id integer PRIMARY KEY, title text NOT NULL CONSTRAINT place_title_key UNIQUE, zip text, price numeric, size integer);
CREATE TABLE place_times (place_id integer PRIMARY KEY REFERENCES place ON DELETE CASCADE ON UPDATE CASCADE, sold_at timestamptz, due timestamp,
  born text, lag interval);
CREATE TABLE dweller (id integer PRIMARY KEY, note text, a integer, b integer, c integer, d integer, e integer, f integer, g integer, h integer);
CREATE INDEX ON dweller (a); CREATE INDEX ON dweller (b); CREATE INDEX ON dweller (c); CREATE INDEX ON dweller (d);
CREATE INDEX ON dweller (e); CREATE INDEX ON dweller (f); CREATE INDEX ON dweller (g); CREATE INDEX ON dweller (h);
CREATE TABLE people (id integer PRIMARY KEY, nr integer NOT NULL, first text NOT NULL, last text, house integer);
CREATE INDEX ON people (nr); CREATE INDEX ON people (house);
CREATE TABLE pays (id integer PRIMARY KEY REFERENCES people ON DELETE CASCADE ON UPDATE CASCADE, pay numeric);
