{#- The same of deleted rows. -#}
{%- import "columns/removing_legacy.sql" as legacy -%}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ lens.legacy }}[], cf_record boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ lens.legacy }};
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  {{- legacy::removing_legacy(lens) }}
END
$crossfade$
