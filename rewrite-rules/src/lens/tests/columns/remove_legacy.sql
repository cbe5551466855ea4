CREATE OR REPLACE FUNCTION crossfade."remove_legacy_iso_agents_00000000"(cf_images "public"."iso_agents"[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image "public"."iso_agents";
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  IF NOT crossfade."is_stale_iso_agents_00000000"(false) THEN
    DELETE FROM "public"."iso_agents" AS cf_t USING unnest(cf_images) AS cf_n WHERE cf_t."id" = cf_n."id";
    RETURN true;
  END IF;
  DECLARE
    cf_looks boolean := crossfade."look_legacy_iso_agents_00000000"(true, NULL);
  BEGIN
    DELETE FROM "public"."iso_agents" AS cf_t USING unnest(cf_images) AS cf_n WHERE cf_t."id" = cf_n."id";
    IF cf_looks THEN PERFORM crossfade."look_legacy_iso_agents_00000000"(false, NULL); END IF;
    RETURN true;
  EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
    NULL;
  END;
  IF NOT crossfade."is_stale_iso_agents_00000000"(true) THEN
    DELETE FROM "public"."iso_agents" AS cf_t USING unnest(cf_images) AS cf_n WHERE cf_t."id" = cf_n."id";
    RETURN true;
  END IF;
  FOREACH cf_image IN ARRAY cf_images LOOP
    DECLARE
      cf_looks boolean := crossfade."look_legacy_iso_agents_00000000"(true, NULL);
    BEGIN
      DELETE FROM "public"."iso_agents" AS cf_t USING unnest(ARRAY[cf_image]) AS cf_n WHERE cf_t."id" = cf_n."id";
      IF cf_looks THEN PERFORM crossfade."look_legacy_iso_agents_00000000"(false, NULL); END IF;
    EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
      PERFORM crossfade."record_iso_agents_00000000"(cf_image, SQLERRM, SQLSTATE);
    END;
  END LOOP;
  RETURN true;
END
$crossfade$;
