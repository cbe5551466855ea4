{#-
The table of references that are still to be looked at in their transaction, created unless it is there. No transaction
leaves a row in it.
-#}
{{ f.image_ddl() -}}
CREATE TABLE IF NOT EXISTS {{ f.keys() }} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number integer NOT NULL, key jsonb NOT NULL, image {{ f.row }} NOT NULL, waits boolean NOT NULL, gone boolean NOT NULL, recorded boolean NOT NULL);
CREATE INDEX IF NOT EXISTS {{ f.lens.bare_name("by_key") }} ON {{ f.keys() }} (key);
