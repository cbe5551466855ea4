CREATE TABLE person (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL CONSTRAINT one_email UNIQUE,
  name text);
CREATE TABLE badge (person_id integer PRIMARY KEY REFERENCES person ON DELETE CASCADE, region text, number integer,
  visits integer NOT NULL);
