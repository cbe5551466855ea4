{#
What is done to legacy in `unified_read`, where a stale row of it may be in the way (`lens/excused.rs` says why). Used as

    {%- call excuse::whole(lens, "") %}
    all of it;
    {%- endcall %}
    {%- call excuse::one(lens) %}
    that of cf_image;
    {%- endcall %}
#}

{# Done where legacy is in step, or where nothing is in the way; what is behind this is for each by itself. `unless`: a
   condition and OR, for what is not excused. Where legacy is in step after all, the work is done once more, to fail as
   it would have without us: what deferred keys say is not asked then, since what is missing may come before the
   transaction ends. #}
{% macro whole(lens, unless) %}
  IF {{ unless }}NOT {{ lens.is_stale(false) }} THEN
    {{- caller() }}
    RETURN true;
  END IF;
  DECLARE
    cf_looks boolean := {{ lens.look_legacy("true, NULL") }};
  BEGIN
    {{- caller() }}
    IF cf_looks THEN PERFORM {{ lens.look_legacy("false, NULL") }}; END IF;
    RETURN true;
  EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
    NULL;
  END;
  IF NOT {{ lens.is_stale(true) }} THEN
    {{- caller() }}
    RETURN true;
  END IF;
{%- endmacro %}

{# Work for `cf_image`, whose key enters the ledger if legacy is in its way; with that of the row as it was, if its key
   changes. #}
{% macro one(lens, and_old = false) %}
    DECLARE
      cf_looks boolean := {{ lens.look_legacy("true, NULL") }};
    BEGIN
      {{- caller() }}
      IF cf_looks THEN PERFORM {{ lens.look_legacy("false, NULL") }}; END IF;
    EXCEPTION WHEN unique_violation OR exclusion_violation OR foreign_key_violation THEN
      PERFORM {{ lens.record("SQLERRM", "SQLSTATE") }};
      {%- if and_old %}
      PERFORM {{ lens.record_of("cf_old", "SQLERRM", "SQLSTATE") }};
      {%- endif %}
    END;
{%- endmacro %}
