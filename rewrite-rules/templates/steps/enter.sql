{#-
The row that an image is in conflict with, locked and as it is now; or the image, inserted (`written/functions/upsert.rs`).
`cf_arbiter` is the constraint that ON CONFLICT goes by, `cf_names` what errors call it on either side; `cf_done` the keys
that the statement has written, if it must know them.
-#}
{%- import "steps/references.sql" as references -%}
{%- import "steps/rows.sql" as rows -%}
{{ f.image_ddl() -}}
CREATE OR REPLACE FUNCTION {{ name }}(cf_given {{ f.row }}, cf_arbiter text, cf_names text[], cf_done text[], cf_mirror boolean, OUT cf_there boolean, OUT cf_row {{ f.row }})
LANGUAGE plpgsql VOLATILE AS $crossfade$
#variable_conflict use_column
DECLARE
  cf_image {{ f.row }} := cf_given;
  cf_found {{ f.row }};
  cf_constraint text;
  cf_tries integer := 0;
  {{- rows::fitting(f) }}
BEGIN
  {{- rows::fits(f, "cf_image") }}
  PERFORM {{ f.lens.call(Call::Accept, "cf_image") }};
  LOOP
    {{- rows::look(f, "cf_row") }}
    IF cf_row IS NULL THEN
      BEGIN
        cf_row := {{ f.lens.call(Call::InsertOne, "cf_image, cf_mirror") }};
        {{- references::refer(f, "NULL", "ARRAY[cf_row]", false) }}
        cf_there := false;
        RETURN;
      EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS cf_constraint = CONSTRAINT_NAME;
        IF cf_constraint <> ALL (cf_names) OR cf_tries >= {{ tries_max }} THEN
          {#- Who waited for another constraint's row finds that it has the arbiter's values as well. #}
          {{- rows::look(f, "cf_row") }}
          IF cf_row IS NULL THEN RAISE; END IF;
        END IF;
        IF current_setting('transaction_isolation') <> 'read committed' THEN
          {{- rows::serialize("'A row with these values came after this transaction''s snapshot; run it again.'") }}
        END IF;
        cf_tries := cf_tries + 1;
      END;
      CONTINUE;
    END IF;
    cf_found := cf_row;
    CONTINUE WHEN {{ f.lens.call(Call::LockOne, "cf_found, cf_mirror") }} IS NULL;
    {{- rows::look(f, "cf_row") }}
    CONTINUE WHEN cf_row IS NULL OR {{ f.key_row("cf_row") }} IS DISTINCT FROM {{ f.key_row("cf_found") }};
    IF {{ f.key_row("cf_row") }}::text = ANY (cf_done) THEN
      RAISE EXCEPTION USING ERRCODE = '21000',
        MESSAGE = 'ON CONFLICT DO UPDATE command cannot affect row a second time',
        HINT = 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.';
    END IF;
    cf_there := true;
    RETURN;
  END LOOP;
END
$crossfade$
