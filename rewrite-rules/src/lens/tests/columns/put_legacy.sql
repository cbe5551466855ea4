CREATE OR REPLACE FUNCTION crossfade."put_legacy_iso_agents_00000000"(cf_images "public"."iso_agents"[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image "public"."iso_agents";
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  IF NOT crossfade."is_stale_iso_agents_00000000"(false) THEN
    INSERT INTO "public"."iso_agents" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", cf_n."role", cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at" FROM unnest(cf_images) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
    RETURN true;
  END IF;
  DECLARE
    cf_looks boolean := crossfade."look_legacy_iso_agents_00000000"(true, NULL);
  BEGIN
    INSERT INTO "public"."iso_agents" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", cf_n."role", cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at" FROM unnest(cf_images) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
    IF cf_looks THEN PERFORM crossfade."look_legacy_iso_agents_00000000"(false, NULL); END IF;
    RETURN true;
  EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
    NULL;
  END;
  IF NOT crossfade."is_stale_iso_agents_00000000"(true) THEN
    INSERT INTO "public"."iso_agents" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", cf_n."role", cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at" FROM unnest(cf_images) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
    RETURN true;
  END IF;
  FOREACH cf_image IN ARRAY cf_images LOOP
    DECLARE
      cf_looks boolean := crossfade."look_legacy_iso_agents_00000000"(true, NULL);
    BEGIN
      INSERT INTO "public"."iso_agents" AS cf_t ("id", "clerk_user_id", "email", "full_name", "role", "margin_type", "margin_value", "is_active", "metadata", "created_at", "updated_at") OVERRIDING SYSTEM VALUE SELECT cf_n."id", cf_n."clerk_user_id", cf_n."email", cf_n."full_name", cf_n."role", cf_n."margin_type", cf_n."margin_value", cf_n."is_active", cf_n."metadata", cf_n."created_at", cf_n."updated_at" FROM unnest(ARRAY[cf_image]) AS cf_n ON CONFLICT ("id") DO UPDATE SET "clerk_user_id" = excluded."clerk_user_id", "email" = excluded."email", "full_name" = excluded."full_name", "role" = excluded."role", "margin_type" = excluded."margin_type", "margin_value" = excluded."margin_value", "is_active" = excluded."is_active", "metadata" = excluded."metadata", "created_at" = excluded."created_at", "updated_at" = excluded."updated_at";
      IF cf_looks THEN PERFORM crossfade."look_legacy_iso_agents_00000000"(false, NULL); END IF;
    EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
      PERFORM crossfade."record_iso_agents_00000000"(cf_image, SQLERRM, SQLSTATE);
    END;
  END LOOP;
  RETURN true;
END
$crossfade$;
