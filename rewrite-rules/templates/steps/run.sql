{#-
The operator's steps, each a statement of its own. What a step returns is kept in a record, out of which later steps
read it as a relation of its name. What `lastval()` tells afterwards is what it told before (`last.rs`).
-#}
{%- macro variables(steps) %}
  {%- for step in steps %}
  {%- if let Some(kept) = step.kept %}
  {{ kept.variable }} record;
  {%- endif %}
  {%- endfor %}
  cf_asks boolean := pg_catalog.current_setting('crossfade.lastval', true) IS DISTINCT FROM 'off';
  cf_last bigint;
  cf_now_last bigint;
{%- endmacro -%}

{#- Nothing has been drawn, or from a sequence of which the role may not know. -#}
{%- macro last_drawn(variable) %}
  IF cf_asks THEN
    BEGIN
      {{ variable }} := pg_catalog.lastval();
    EXCEPTION WHEN object_not_in_prerequisite_state OR insufficient_privilege THEN
      {{ variable }} := NULL;
    END;
  END IF;
{%- endmacro -%}

{%- macro run(steps, keep_last) %}
  {{- last_drawn("cf_last") }}
  {%- for step in steps %}
  {%- if let Some(locks) = step.locks %}
  PERFORM 1 FROM (WITH {{ step.relations }} {{ locks }}) AS cf_locked;
  {%- endif %}
  {%- match step.kept %}
  {%- when None %}
  WITH {{ step.relations }}
  {{ step.sql }};
  {%- when Some(kept) %}
  WITH {{ step.relations }}, cf_step AS ({{ step.sql }})
  SELECT cf_step.*, count(*) OVER () AS cf_rows INTO {{ kept.variable }} FROM cf_step;
  {%- if let Some(said) = kept.too_many %}
  IF {{ kept.variable }}.cf_rows > 1 THEN
    RAISE EXCEPTION {{ said }}, {{ kept.variable }}.cf_rows USING ERRCODE = '21000';
  END IF;
  {%- endif %}
  {%- endmatch %}
  {%- endfor %}
  {{- last_drawn("cf_now_last") }}
  IF cf_now_last IS DISTINCT FROM cf_last THEN PERFORM {{ keep_last }}; END IF;
{%- endmacro -%}
