{#-
FOR UPDATE: the rows as they are under their locks. Whether they still are what the statement asks for it looks itself.
-#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_olds {{ f.row }}[], cf_mirror boolean) RETURNS SETOF {{ f.row }}
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_old {{ f.row }};
  cf_now {{ f.row }};
BEGIN
  FOREACH cf_old IN ARRAY coalesce(cf_olds, '{}') LOOP
    cf_now := {{ f.lens.call(Call::LockOne, "cf_old, cf_mirror") }};
    CONTINUE WHEN cf_now IS NULL;
    RETURN NEXT cf_now;
  END LOOP;
END
$crossfade$
