INSERT INTO place SELECT id, name, zip, price, size FROM houses;
INSERT INTO place_times SELECT id, sold AT TIME ZONE 'UTC', due AT TIME ZONE 'Asia/Tokyo', to_char(born, 'YYYY-MM-DD'), lag FROM houses;
INSERT INTO dweller SELECT id, note, a, b, c, d, e, f, g, h FROM tenants;
INSERT INTO people SELECT id, nr, first, last, house FROM staff;
INSERT INTO pays SELECT id, pay FROM staff;
