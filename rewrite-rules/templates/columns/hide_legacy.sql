{#- Legacy rows whose unified rows the new application hides from legacy readers (`lens/hidden.rs`). -#}
{%- import "columns/removing_legacy.sql" as legacy -%}
CREATE OR REPLACE FUNCTION {{ name }}(cf_images {{ lens.legacy }}[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ lens.legacy }};
BEGIN
  IF cf_images IS NULL THEN RETURN true; END IF;
  {%- match lens.hidden_rows() %}
  {%- when WhenHidden::Remove %}
  {{- legacy::removing_legacy(lens) }}
  {%- when WhenHidden::Keep | WhenHidden::Refuse %}
  FOR cf_image IN
    SELECT cf_n.* FROM unnest(cf_images) AS cf_n
    WHERE EXISTS (SELECT 1 FROM {{ lens.legacy }} AS cf_t WHERE {{ lens.same_legacy_key() }})
  LOOP
    {{ lens.hidden() }};
  END LOOP;
  RETURN true;
  {%- endmatch %}
END
$crossfade$
