-- Many rows on both sides, as a backfill would have left them. Triggers and foreign keys are let rest.
SET session_replication_role = replica;
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
-- The other half have got one.
INSERT INTO main_customuser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT '!', false, 'many' || n, 'First', 'Last', 'many' || n || '@x.org', false, true, '2024-01-01'
FROM generate_series({rows} / 2 + 1, {rows}) AS n;
INSERT INTO enhanced_user_ids (legacy_id, own, manager_id, user_id)
SELECT e.id, c.password = '!', e.manager_id, c.id FROM main_enhanceduser e JOIN main_customuser c USING (username) WHERE e.id > 1000;
UPDATE main_customuser c SET employee_id = e.employee_id, department = e.department, job_title = '', phone = '',
  custom_fields = e.custom_fields, failed_login_attempts = 0, created_at = e.created_at, updated_at = e.updated_at, manager_id = m.user_id
FROM main_enhanceduser e JOIN enhanced_user_ids k ON k.legacy_id = e.id JOIN enhanced_user_ids m ON m.legacy_id = e.manager_id
WHERE c.id = k.user_id;
INSERT INTO main_customuser_groups (customuser_id, group_id)
SELECT k.user_id, g.group_id FROM main_enhanceduser_groups g JOIN enhanced_user_ids k ON k.legacy_id = g.enhanceduser_id;
INSERT INTO enhanced_group_ids (legacy_id, own, row_id) SELECT g.id, true, u.id FROM main_enhanceduser_groups g
JOIN enhanced_user_ids k ON k.legacy_id = g.enhanceduser_id
JOIN main_customuser_groups u ON (u.customuser_id, u.group_id) = (k.user_id, g.group_id);
INSERT INTO main_customuser_user_permissions (customuser_id, permission_id)
SELECT k.user_id, g.permission_id FROM main_enhanceduser_user_permissions g JOIN enhanced_user_ids k ON k.legacy_id = g.enhanceduser_id;
INSERT INTO enhanced_permission_ids (legacy_id, own, row_id) SELECT g.id, true, u.id FROM main_enhanceduser_user_permissions g
JOIN enhanced_user_ids k ON k.legacy_id = g.enhanceduser_id
JOIN main_customuser_user_permissions u ON (u.customuser_id, u.permission_id) = (k.user_id, g.permission_id);
RESET session_replication_role;
