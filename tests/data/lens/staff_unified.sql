CREATE TABLE people (id integer PRIMARY KEY, nr integer NOT NULL, first text NOT NULL,
  last varchar(20), pay numeric(6,2), full_name text GENERATED ALWAYS AS (first || coalesce(' ' || last, '')) STORED,
  yearly numeric(9,2), extra text DEFAULT 'none');
