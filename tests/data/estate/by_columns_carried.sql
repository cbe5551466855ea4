INSERT INTO place SELECT id, name, zip, price, size, sold AT TIME ZONE 'UTC', due AT TIME ZONE 'Asia/Tokyo', to_char(born, 'YYYY-MM-DD'), lag,
  'house' FROM houses;
INSERT INTO dweller SELECT id, note, a, b, c, d, e, f, g, h FROM tenants;
INSERT INTO people (id, nr, first, last, pay, yearly, house) SELECT id, nr, first, last, pay, yearly, house FROM staff;
