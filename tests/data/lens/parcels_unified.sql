CREATE TABLE shipments (id bigint PRIMARY KEY, small numeric, code text CONSTRAINT shipments_code UNIQUE,
  pad varchar(10), price numeric, zip text, plain zip, ratio double precision, flags bit varying, sent_at timestamptz,
  due timestamp, day timestamptz, born text, note text);
