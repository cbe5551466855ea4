{#-
Legacy made what `read` says of keys, of rows that are there only in `cf_set`, if that is given. Rows that `read` has
none for go (`cf_gone`), or what the rule file says of hidden rows is done.
-#}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_keys {{ f.row }}[], cf_set text[], cf_makes boolean, cf_gone boolean, cf_excuse boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }};
  cf_now {{ f.row }};
BEGIN
  IF cf_keys IS NULL THEN RETURN true; END IF;
  FOR cf_image IN SELECT * FROM unnest(cf_keys) AS cf_i ORDER BY {{ f.key_order("cf_i") }} LOOP
    cf_now := {{ f.lens.call(Call::LockOne, "cf_image, true") }};
    IF NOT cf_now IS NULL THEN
      PERFORM {{ f.lens.call(Call::Follow, "cf_now, cf_set, cf_makes, cf_excuse") }};
    ELSIF cf_gone THEN
      PERFORM {{ f.lens.call(Call::Drop, "ARRAY[cf_image], cf_excuse") }};
    ELSIF EXISTS (SELECT 1 FROM {{ f.legacy_row("cf_image") }}) THEN
      {%- match f.lens.hidden_rows() %}
      {%- when WhenHidden::Remove %}
      PERFORM {{ f.lens.call(Call::Drop, "ARRAY[cf_image], cf_excuse") }};
      {%- when WhenHidden::Keep | WhenHidden::Refuse %}
      {{ f.lens.hidden() }};
      {%- endmatch %}
    END IF;
  END LOOP;
  RETURN true;
END
$crossfade$
