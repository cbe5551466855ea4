{#-
One row as it is under its locks; NULL if it is gone, as for any UPDATE that waited for it.

A row of which another transaction has changed what `read` joins it by, while this one waited, was not locked: PostgreSQL
looks at the row that it waited for again, beside what the others were when the statement began. So that is done until
what is read was locked; each time around somebody else has committed.
-#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_old {{ f.row }}, cf_mirror boolean) RETURNS {{ f.row }}
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_now {{ f.row }};
  cf_held boolean;
BEGIN
  LOOP
    IF cf_mirror THEN {{ f.lock_legacy("cf_old") }}; END IF;
    {%- match f.inner_lock("cf_old") %}
    {%- when Some(lock) %}
    {{ lock }};
    cf_held := FOUND;
    {%- when None %}
    cf_held := true;
    {%- endmatch %}
    {%- for lock in f.outer_locks("cf_old") %}
    {{ lock }};
    {%- endfor %}
    {{ f.read_of("cf_old") }} INTO cf_now;
    IF NOT FOUND THEN RETURN NULL; END IF;
    EXIT WHEN cf_held;
  END LOOP;
  RETURN cf_now;
END
$crossfade$
