CREATE DOMAIN zip AS varchar(5) CONSTRAINT zip_digits CHECK (VALUE ~ '^[0-9]+$');
CREATE TABLE parcels (id integer PRIMARY KEY, small smallint, code varchar(8) CONSTRAINT parcels_code UNIQUE,
  pad char(4), price numeric(8,2), zip zip, plain zip, ratio real, flags bit(3), sent timestamp,
  due timestamptz(0), day date, born date, note text);
INSERT INTO parcels VALUES
  (1, 32767, 'first', 'ab', 12.50, '12345', '1', 0.1, B'101', '2024-07-01 12:00:00.123456', '2024-07-01 12:00:00+02',
    '2024-07-01', '1970-02-03', 'one'),
  (-2147483648, -32768, '12345678', 'abcd', 999999.99, '00000', '99999', 1e-40, B'000', '1999-03-28 02:30:00',
    '1999-03-28 02:30:00Z', '0099-12-31', '2000-02-29', NULL),
  (2147483647, NULL, NULL, NULL, 'NaN', NULL, NULL, 'Infinity', NULL, 'infinity', '-infinity', 'infinity', NULL, NULL);
