{#-
The function behind a TRUNCATE: every combination of its options spelled out, since a utility statement takes no
parameters.
-#}
CREATE OR REPLACE FUNCTION {{ name }}(cf_restart boolean, cf_cascade boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $crossfade$
BEGIN
  IF cf_restart AND cf_cascade THEN TRUNCATE {{ legacy }} RESTART IDENTITY CASCADE;
  ELSIF cf_restart THEN TRUNCATE {{ legacy }} RESTART IDENTITY;
  ELSIF cf_cascade THEN TRUNCATE {{ legacy }} CASCADE;
  ELSE TRUNCATE {{ legacy }};
  END IF;
  {{ remove_all }};
  RETURN true;
END
$crossfade$
