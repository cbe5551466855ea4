CREATE TABLE items (
    origin  text NOT NULL DEFAULT 'elsewhere',
    id      integer,
    address place,
    number  text NOT NULL,
    kind    text NOT NULL,
    is_live boolean,
    labels  text[],
    counts  integer[],
    data    jsonb,
    size    bigint,
    mark    character(3),
    seen    timestamp(0) with time zone,
    costs   numeric(6,2)[],
    bits    bit(3),
    note    character varying(10),
    CONSTRAINT items_pkey PRIMARY KEY (id)
);
-- Those of the rows that came from things, and one of all rows.
CREATE UNIQUE INDEX items_number ON items (lower(number)) WHERE origin = 'things';
CREATE UNIQUE INDEX items_live ON items (number text_pattern_ops) WHERE is_live AND kind = '1';
CREATE UNIQUE INDEX items_size ON items (size) WHERE origin = 'things';
INSERT INTO items (id, number, kind, is_live) VALUES (1000, 'c1', '0', true), (1001, 'elsewhere', '0', true);
