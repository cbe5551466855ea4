-- What refers to the migrated table, each row by one of its columns, each column with an action of its own. Nobody moves
-- `errands`, whose foreign keys the operator turns to the side that is there; `pledges` move along to `promises`.
CREATE TABLE errands (id integer PRIMARY KEY, note text, cascading {key}, nulled {key}, defaulted {key} DEFAULT {default},
  kept {key}, late {key});
CREATE TABLE pledges (id integer CONSTRAINT pledges_pkey PRIMARY KEY, note text,
  cascading {key} CONSTRAINT pledges_cascading_fkey REFERENCES {legacy} ON DELETE CASCADE ON UPDATE CASCADE,
  nulled {key} CONSTRAINT pledges_nulled_fkey REFERENCES {legacy} ON DELETE SET NULL ON UPDATE SET NULL,
  defaulted {key} DEFAULT {default} CONSTRAINT pledges_defaulted_fkey REFERENCES {legacy} ON DELETE SET DEFAULT ON UPDATE CASCADE,
  kept {key} CONSTRAINT pledges_kept_fkey REFERENCES {legacy} ON DELETE RESTRICT ON UPDATE RESTRICT,
  late {key} CONSTRAINT pledges_late_fkey REFERENCES {legacy} DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE promises (id integer CONSTRAINT promises_pkey PRIMARY KEY, note text, cascading {key}, nulled {key},
  defaulted {key} DEFAULT {default}, kept {key}, late {key});
CREATE INDEX ON errands (cascading); CREATE INDEX ON errands (nulled); CREATE INDEX ON errands (defaulted);
CREATE INDEX ON errands (kept); CREATE INDEX ON errands (late);
CREATE INDEX ON pledges (cascading); CREATE INDEX ON pledges (nulled); CREATE INDEX ON pledges (defaulted);
CREATE INDEX ON pledges (kept); CREATE INDEX ON pledges (late);
CREATE INDEX ON promises (cascading); CREATE INDEX ON promises (nulled); CREATE INDEX ON promises (defaulted);
CREATE INDEX ON promises (kept); CREATE INDEX ON promises (late);
