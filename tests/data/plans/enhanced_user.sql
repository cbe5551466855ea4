-- Every second one has an account.
INSERT INTO main_customuser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT 'pbkdf2$' || n, false, 'many' || n, 'First', 'Last', 'many' || n || '@x.org', false, true, '2024-01-01'
FROM generate_series(1, {rows} / 2) AS n;
INSERT INTO main_enhanceduser (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined,
  employee_id, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at)
SELECT 1000 + n, '', false, 'many' || n, 'First', 'Last', 'many' || n || '@x.org', false, true, '2024-01-01',
  'N' || n, 'Ops', '', '', '{"k": 1}', 0, '2024-03-01', '2024-03-02' FROM generate_series(1, {rows}) AS n;
UPDATE main_enhanceduser SET manager_id = 1001 + id % 500 WHERE id > 1000;
SELECT setval('main_enhanceduser_id_seq', 1001 + {rows});
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) SELECT 1000 + n, 1 + n % 3 FROM generate_series(1, {rows}) AS n;
INSERT INTO main_enhanceduser_user_permissions (enhanceduser_id, permission_id)
SELECT 1000 + n, 1 + n % 2 FROM generate_series(1, {rows}) AS n;
