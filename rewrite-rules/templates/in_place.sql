{#-
The trigger that sets both columns, also for what replication writes (ALWAYS). Its name comes late in the alphabet, in
the order of which triggers run: it sees what the others have made of the row.

A backfill changes nothing but the columns that move: what other triggers do on its UPDATE (`updated_at = now()`)
clients would see.
-#}
DO $crossfade$ BEGIN
  IF EXISTS (
    SELECT FROM unnest(ARRAY[{{ unified_names }}]) AS c (name)
    WHERE NOT EXISTS (
      SELECT FROM pg_attribute
      WHERE attrelid = {{ literal }}::regclass AND attname = c.name AND NOT attisdropped))
  THEN
    RAISE EXCEPTION USING MESSAGE = {{ absent }};
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION {{ name }}() RETURNS trigger
LANGUAGE plpgsql AS $crossfade$
DECLARE
  cf_old {{ table }};
BEGIN
  IF TG_OP = 'INSERT' THEN
    {%- for m in moving %}
    IF NEW.{{ m.unified }} IS NULL THEN NEW.{{ m.unified }} := {{ m.to_unified }};
    ELSE NEW.{{ m.legacy }} := {{ m.to_legacy }};
    END IF;
    {%- endfor %}
    RETURN NEW;
  END IF;
  IF coalesce(current_setting('{{ BACKFILL }}', true), '') <> '' THEN
    IF has_table_privilege('crossfade.proof', 'SELECT') THEN
      PERFORM 1 FROM crossfade.proof AS p WHERE p.proof = current_setting('{{ BACKFILL }}', true);
      IF FOUND THEN
        cf_old := OLD;
        {%- for m in moving %}
        cf_old.{{ m.legacy }} := NEW.{{ m.legacy }};
        cf_old.{{ m.unified }} := NEW.{{ m.unified }};
        {%- endfor %}
        RETURN cf_old;
      END IF;
    END IF;
  END IF;
  {%- for m in moving %}
  IF NEW.{{ m.legacy }} IS DISTINCT FROM OLD.{{ m.legacy }} THEN NEW.{{ m.unified }} := {{ m.to_unified }};
  ELSIF NEW.{{ m.unified }} IS DISTINCT FROM OLD.{{ m.unified }} THEN NEW.{{ m.legacy }} := {{ m.to_legacy }};
  ELSIF NEW.{{ m.unified }} IS NULL THEN NEW.{{ m.unified }} := {{ m.to_unified }};
  END IF;
  {%- endfor %}
  RETURN NEW;
END
$crossfade$;
DROP TRIGGER IF EXISTS {{ TRIGGER }} ON {{ table }};
CREATE TRIGGER {{ TRIGGER }} BEFORE INSERT OR UPDATE ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ name }}();
DO $crossfade$ BEGIN
  ALTER TABLE {{ table }} ENABLE ALWAYS TRIGGER {{ TRIGGER }};
EXCEPTION WHEN insufficient_privilege THEN NULL; -- its owner may: `check` says so
END $crossfade$
