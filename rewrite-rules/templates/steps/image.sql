{#-
The table whose rows images are, created unless it is there. It never has a row: statements "insert" into it to have
types judged.
-#}
DO $crossfade$ BEGIN
  IF to_regclass({{ literal }}) IS NULL THEN
    {{ create }};
    GRANT SELECT, INSERT ON {{ table }} TO PUBLIC;
  END IF;
END $crossfade$;
