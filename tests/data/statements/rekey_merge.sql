INSERT INTO main_enhanceduser (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at, employee_id) VALUES (5{p}00, '', false, 'rk{p}', '', '', '', false, true, '2026-01-01', 'HR', '', '', '{}', 0, '2026-01-01', '2026-01-01', 'RK{p}');
UPDATE main_enhanceduser SET id = 6{p}00, job_title = 'moved' WHERE username = 'rk{p}' RETURNING id, username, job_title, employee_id;
UPDATE main_enhanceduser SET manager_id = id WHERE id = 6{p}00 RETURNING manager_id;
UPDATE main_enhanceduser SET id = 7{p}00, manager_id = 7{p}00 WHERE id = 6{p}00 RETURNING id, manager_id, created_at;
SELECT id, department, job_title, manager_id, employee_id FROM main_enhanceduser WHERE username = 'rk{p}';

-- Links of users to groups have keys of their own.
INSERT INTO main_enhanceduser_groups (id, enhanceduser_id, group_id) VALUES (5{p}00, 7{p}00, 1), (5{p}01, 7{p}00, 2);
UPDATE main_enhanceduser_groups SET id = id + 1000 WHERE id IN (5{p}00, 5{p}01) RETURNING *;
UPDATE main_enhanceduser_groups SET id = 7{p}00, group_id = 3 WHERE id = 6{p}01 RETURNING *;
UPDATE main_enhanceduser_groups SET id = 7{p}00 WHERE id = 6{p}00;
SELECT g.* FROM main_enhanceduser_groups g WHERE id > 5000 ORDER BY id;
UPDATE main_enhanceduser SET id = CASE id WHEN 41 THEN 42 ELSE 41 END WHERE id IN (41, 42);
UPDATE main_enhanceduser SET id = 43 WHERE id = 7{p}00;
SELECT id, department FROM main_enhanceduser WHERE id > 40 ORDER BY id;
