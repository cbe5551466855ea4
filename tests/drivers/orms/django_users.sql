-- What the CRM's tables hold before the migration begins. Their accounts say the same of ada, bab and cat.
INSERT INTO django_content_type (app_label, model) VALUES ('main', 'deal');
INSERT INTO auth_permission (name, content_type_id, codename) VALUES ('Can add deal', 1, 'add_deal'), ('Can close deal', 1, 'close_deal');
INSERT INTO auth_group (name) VALUES ('Sales'), ('Support'), ('Management');
INSERT INTO main_customuser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined)
SELECT 'pbkdf2$' || name, false, name, initcap(name), '', name || '@x.org', false, true, '2024-01-01'
FROM unnest(ARRAY['zoe', 'yan', 'cat', 'bab', 'ada']) AS name;
INSERT INTO main_technician (employee_id, first_name, last_name, phone, email, is_active, emergency_contact, created_at, updated_at)
SELECT 'T' || n, 'Tech', 'No ' || n, '', 't' || n || '@x.org', true, '{}', '2024-02-01', '2024-02-01' FROM generate_series(1, 4) AS n;
INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined,
  department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at)
SELECT password, false, username, first_name, last_name, email, false, true, date_joined,
  'Ops', '', '', '{"k": 1}', 0, '2024-03-01', '2024-03-02' FROM main_customuser WHERE username IN ('ada', 'bab', 'cat') ORDER BY username;
INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined,
  department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at)
SELECT '', false, 'own' || n, 'Own', '', '', false, n <> 2, '2024-04-01', 'Ops', 'Boss', '', '{}', n, '2024-04-01', '2024-04-02'
FROM generate_series(1, 9) AS n;
UPDATE main_enhanceduser SET manager_id = CASE username WHEN 'ada' THEN 5 WHEN 'bab' THEN 1 WHEN 'own1' THEN 4 END WHERE id < 5;
UPDATE main_enhanceduser SET technician_id = 3, hire_date = '2024-05-01' WHERE username = 'own3';
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) SELECT id, 1 + id % 3 FROM main_enhanceduser;
INSERT INTO main_customuser_groups (customuser_id, group_id) VALUES (1, 1), (5, 2);
INSERT INTO main_enhanceduser_user_permissions (enhanceduser_id, permission_id) SELECT id, 1 FROM main_enhanceduser WHERE id < 4;
