UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING id;
UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING visits;
UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING n.nothing;
UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING nothing;
UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING o.note;
UPDATE members m SET name = 'x' FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING 1 / (n.id - 1);
UPDATE members m SET name = repeat(n.note, 9) FROM notes n WHERE n.member = m.id AND m.id < 3 RETURNING n.note;
