{#- The trigger of a foreign key, and its function: whether the row that refers has one to refer to. -#}
{%- import "steps/references.sql" as references -%}
{%- import "steps/rows.sql" as rows -%}
{{ f.keys_ddl() -}}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}() RETURNS trigger
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }} := NEW.image;
  cf_now {{ f.row }};
  cf_waits boolean;
BEGIN
  DELETE FROM {{ f.keys() }} AS cf_k WHERE cf_k.id = NEW.id RETURNING cf_k.waits INTO cf_waits;
  IF NOT FOUND THEN RETURN NULL; END IF;
  IF NOT cf_waits THEN
    {{ f.read_of("cf_image") }} INTO cf_now;
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
  {{ key.lock_parent("cf_image") }};
  IF FOUND THEN
    IF NOT cf_waits AND {{ key.same("cf_now", "cf_image") }} THEN RETURN NULL; END IF;
    IF NOT NEW.gone AND NOT NEW.recorded THEN
      {{- rows::serialize("'What this row refers to came meanwhile; run the transaction again.'") }}
    END IF;
  END IF;
  IF NEW.recorded THEN
    PERFORM {{ key.record("cf_image") }};
    RETURN NULL;
  END IF;
  IF NEW.gone THEN
    {{- references::still_referred(key.still_referred("cf_image")) }}
  END IF;
  {{- references::raise(key.absent("cf_image")) }}
END
$crossfade$;
DROP TRIGGER IF EXISTS {{ trigger }} ON {{ f.keys() }};
CREATE CONSTRAINT TRIGGER {{ trigger }} AFTER INSERT ON {{ f.keys() }} {{ key.key.deferral.sql() }} FOR EACH ROW
  WHEN (NEW.number = {{ key.number }}) EXECUTE FUNCTION {{ name }}()
