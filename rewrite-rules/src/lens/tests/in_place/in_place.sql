DO $crossfade$ BEGIN
  IF EXISTS (
    SELECT FROM unnest(ARRAY['user_id']) AS c (name)
    WHERE NOT EXISTS (
      SELECT FROM pg_attribute
      WHERE attrelid = '"public"."client_profiles"'::regclass AND attname = c.name AND NOT attisdropped))
  THEN
    RAISE EXCEPTION USING MESSAGE = '"public"."client_profiles" lacks a column that another one of it is to move to; add it first';
  END IF;
END $crossfade$;
CREATE OR REPLACE FUNCTION crossfade."in_place_client_profiles_00000000"() RETURNS trigger
LANGUAGE plpgsql AS $crossfade$
DECLARE
  cf_old "public"."client_profiles";
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW."user_id" IS NULL THEN NEW."user_id" := NEW."iso_agent_id";
    ELSE NEW."iso_agent_id" := NEW."user_id";
    END IF;
    RETURN NEW;
  END IF;
  IF coalesce(current_setting('crossfade.in_place', true), '') <> '' THEN
    IF has_table_privilege('crossfade.proof', 'SELECT') THEN
      PERFORM 1 FROM crossfade.proof AS p WHERE p.proof = current_setting('crossfade.in_place', true);
      IF FOUND THEN
        cf_old := OLD;
        cf_old."iso_agent_id" := NEW."iso_agent_id";
        cf_old."user_id" := NEW."user_id";
        RETURN cf_old;
      END IF;
    END IF;
  END IF;
  IF NEW."iso_agent_id" IS DISTINCT FROM OLD."iso_agent_id" THEN NEW."user_id" := NEW."iso_agent_id";
  ELSIF NEW."user_id" IS DISTINCT FROM OLD."user_id" THEN NEW."iso_agent_id" := NEW."user_id";
  ELSIF NEW."user_id" IS NULL THEN NEW."user_id" := NEW."iso_agent_id";
  END IF;
  RETURN NEW;
END
$crossfade$;
DROP TRIGGER IF EXISTS zz_crossfade_in_place ON "public"."client_profiles";
CREATE TRIGGER zz_crossfade_in_place BEFORE INSERT OR UPDATE ON "public"."client_profiles"
  FOR EACH ROW EXECUTE FUNCTION crossfade."in_place_client_profiles_00000000"();
DO $crossfade$ BEGIN
  ALTER TABLE "public"."client_profiles" ENABLE ALWAYS TRIGGER zz_crossfade_in_place;
EXCEPTION WHEN insufficient_privilege THEN NULL; -- its owner may: `check` says so
END $crossfade$;
