CREATE TYPE place AS (street varchar(12), no integer, lines text[]);
CREATE TABLE things (
    id     serial PRIMARY KEY,
    code   text NOT NULL,
    kind   text NOT NULL DEFAULT 'old',
    live   boolean DEFAULT true,
    tags   text[] DEFAULT '{}',
    counts integer[] DEFAULT '{7,8}',
    at     place,
    data   jsonb DEFAULT '{}',
    size   integer,
    mark   character(3) DEFAULT 'abc',
    seen   timestamp(0) with time zone,
    costs  numeric(6,2)[],
    bits   bit(3),
    note   text
);
-- One of expressions, one of some rows, one of both, one of a column whose values are mapped.
CREATE UNIQUE INDEX things_code ON things (lower(code));
CREATE UNIQUE INDEX things_live ON things (code text_pattern_ops) WHERE live AND kind = 'new';
CREATE UNIQUE INDEX things_size ON things (size);
CREATE UNIQUE INDEX things_lost ON things ((data ->> 'k')) WHERE note IS NOT NULL;
CREATE UNIQUE INDEX things_kinds ON things (upper(kind)) WHERE id < 0;
CREATE UNIQUE INDEX things_mark ON things (mark, id);
INSERT INTO things (code, kind, tags, counts, at, data)
SELECT 'C' || n, CASE WHEN n % 2 = 0 THEN 'new' ELSE 'old' END, ARRAY['a' || n, 'b'], ARRAY[n, 2, 3],
       ROW('Street ' || n, n, ARRAY['x', 'y'])::place, jsonb_build_object('k', n)
  FROM generate_series(1, 20) AS n;
