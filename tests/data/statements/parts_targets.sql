INSERT INTO things AS t (code, tags) VALUES ('c1', '{met}'), ('e{p}', '{first}') ON CONFLICT (lower(code)) DO UPDATE SET tags = excluded.tags, code = t.code || '' RETURNING code, tags;
INSERT INTO things (code) VALUES ('E{p}'), ('C2') ON CONFLICT (lower(code)) DO NOTHING RETURNING code;
INSERT INTO things (code) VALUES ('C2') ON CONFLICT ((lower(code))) WHERE live DO NOTHING RETURNING code;
INSERT INTO things (code) VALUES ('elsewhere') ON CONFLICT (LOWER("code")) DO UPDATE SET note = 'again' RETURNING note;
INSERT INTO things AS t (code, kind, live) VALUES ('C2', 'new', true) ON CONFLICT (code text_pattern_ops) WHERE live AND kind = 'new' DO UPDATE SET note = 'by kind' WHERE t.id = 2 RETURNING id, note, kind;
INSERT INTO things AS t (code, kind, live) VALUES ('C2', 'new', true) ON CONFLICT (code) WHERE kind = 'new' AND (live) AND id > 0 DO NOTHING RETURNING id;
INSERT INTO things (code, size) VALUES ('s{p}', 7000), ('S{p}x', 7000) ON CONFLICT (size) DO UPDATE SET note = 'by size' RETURNING note;
INSERT INTO things (code, size) VALUES ('s{p}y', 7000) ON CONFLICT (size) WHERE kind IN ('new', 'old') DO NOTHING RETURNING note;
INSERT INTO things (code, size) VALUES ('s{p}y', 7000) ON CONFLICT ((size)) WHERE kind IS NOT NULL AND kind <> 'new' DO NOTHING RETURNING note;

-- No index is found, or what is said of it is no good.
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (upper(code)) DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (code) WHERE live DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (code COLLATE "C") DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(nothing)) DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(number)) DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(things.code)) DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (nothing(code)) DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(code)) WHERE nothing DO NOTHING;
INSERT INTO things AS t (code) VALUES ('c1') ON CONFLICT (lower(t.code)) WHERE t.live DO NOTHING;
INSERT INTO public.things (code) VALUES ('c1') ON CONFLICT (lower(public.things.code)) DO NOTHING;
INSERT INTO things (code) VALUES ('c1') ON CONFLICT (lower(code)) WHERE (SELECT true) DO NOTHING;

-- Another one is met.
INSERT INTO things (code, kind) VALUES ('C2', 'new') ON CONFLICT (lower(code)) DO UPDATE SET code = 'C1';
INSERT INTO things (code, kind) VALUES ('C4', 'new') ON CONFLICT (size) DO NOTHING;
SELECT id < 100, code, kind, live, tags, note, size FROM things ORDER BY code COLLATE "C";
