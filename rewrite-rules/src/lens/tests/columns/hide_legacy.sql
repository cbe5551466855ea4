CREATE OR REPLACE FUNCTION crossfade."hide_legacy_iso_agents_00000000"(cf_images "public"."iso_agents"[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image "public"."iso_agents";
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  FOR cf_image IN
    SELECT cf_n.* FROM unnest(cf_images) AS cf_n
    WHERE EXISTS (SELECT 1 FROM "public"."iso_agents" AS cf_t WHERE cf_t."id" = cf_n."id")
  LOOP
    PERFORM crossfade."record_iso_agents_00000000"(cf_image, 'kept: its unified row is not for legacy readers any more, or gone', 'CF003');
  END LOOP;
  RETURN true;
END
$crossfade$;
