{#- One of the functions with their owner's rights (`lens/guarded.rs` says what each can do). -#}
CREATE OR REPLACE FUNCTION {{ name }}({{ parameters }}) RETURNS {{ returns }}
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $crossfade$
BEGIN
  {{ statement }};
END
$crossfade$
