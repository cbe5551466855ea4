CREATE TABLE place (id bigint PRIMARY KEY, title text NOT NULL CONSTRAINT place_title_key UNIQUE, zip text, price numeric
    CONSTRAINT place_price_check CHECK (price < 90000), size integer, sold_at timestamptz, due timestamp, born text, lag interval,
  kind text NOT NULL DEFAULT 'barn');
CREATE TABLE dweller (id bigint PRIMARY KEY, note text,
  a bigint CONSTRAINT dweller_a_fkey REFERENCES place ON DELETE CASCADE ON UPDATE CASCADE,
  b bigint CONSTRAINT dweller_b_fkey REFERENCES place ON DELETE SET NULL ON UPDATE SET NULL,
  c bigint DEFAULT 1 CONSTRAINT dweller_c_fkey REFERENCES place ON DELETE SET DEFAULT ON UPDATE SET DEFAULT,
  d bigint CONSTRAINT dweller_d_fkey REFERENCES place ON DELETE RESTRICT ON UPDATE RESTRICT,
  e bigint CONSTRAINT dweller_e_fkey REFERENCES place,
  f bigint CONSTRAINT dweller_f_fkey REFERENCES place DEFERRABLE INITIALLY DEFERRED,
  g bigint CONSTRAINT dweller_g_fkey REFERENCES place ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE,
  h bigint CONSTRAINT dweller_h_fkey REFERENCES dweller ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE);
CREATE TABLE people (id bigint PRIMARY KEY, nr bigint NOT NULL CONSTRAINT people_nr_key UNIQUE, first text NOT NULL, last text, pay numeric,
  full_name text GENERATED ALWAYS AS (first || coalesce(' ' || last, '')) STORED, yearly numeric(9,2), extra text DEFAULT 'none',
  house bigint CONSTRAINT people_house_fkey REFERENCES place ON DELETE SET NULL ON UPDATE CASCADE);
-- What the new application has by itself.
INSERT INTO place (id, title) VALUES (900001, 'barn 1'), (5000000000, 'barn 2');
