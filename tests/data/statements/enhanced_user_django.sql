SELECT {all} FROM "main_enhanceduser" ORDER BY "main_enhanceduser"."id" ASC LIMIT 20;
SELECT COUNT(*) AS "__count" FROM "main_enhanceduser";
SELECT {all} FROM "main_enhanceduser" WHERE ("main_enhanceduser"."department" = 'Ops' AND "main_enhanceduser"."is_active" AND "main_enhanceduser"."manager_id" = 1);
SELECT {all} FROM "main_enhanceduser" WHERE "main_enhanceduser"."id" = 2 LIMIT 21;
SELECT {all} FROM "main_enhanceduser" WHERE "main_enhanceduser"."manager_id" = 1;
SELECT COUNT(*) AS "__count" FROM "main_enhanceduser" WHERE "main_enhanceduser"."manager_id" = 1;
UPDATE "main_enhanceduser" SET "password" = 'pbkdf2$27', "last_login" = NULL, "is_superuser" = false, "username" = 'u27', "first_name" = 'First27', "last_name" = 'Last27', "email" = 'u27@x.org', "is_staff" = false, "is_active" = true, "date_joined" = '2024-01-28'::timestamptz, "manager_id" = 24, "technician_id" = {p}, "employee_id" = NULL, "department" = 'Field {p}', "job_title" = '', "phone" = '', "hire_date" = NULL, "custom_fields" = '{}'::jsonb, "last_login_ip" = NULL, "failed_login_attempts" = 0, "account_locked_until" = NULL, "created_at" = '2026-11-21T01:08:16.004538+00:00'::timestamptz, "updated_at" = '2026-11-21T01:08:16.011223+00:00'::timestamptz WHERE "main_enhanceduser"."id" = 2;
UPDATE "main_enhanceduser" SET "technician_id" = 1{p} WHERE "main_enhanceduser"."id" IN (9, 10) AND "main_enhanceduser"."id" = 9;
SELECT {all} FROM "main_enhanceduser" WHERE "main_enhanceduser"."technician_id" = {p} LIMIT 21;
INSERT INTO "main_enhanceduser" ("password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined", "manager_id", "technician_id", "employee_id", "department", "job_title", "phone", "hire_date", "custom_fields", "last_login_ip", "failed_login_attempts", "account_locked_until", "created_at", "updated_at") VALUES ('', NULL, false, 'n{p}', '', '', '', false, true, '2026-11-21T01:08:16.015011+00:00'::timestamptz, NULL, NULL, NULL, '', '', '', NULL, '{"k": 1}'::jsonb, NULL, 0, NULL, '2026-11-21T01:08:16.015211+00:00'::timestamptz, '2026-11-21T01:08:16.015215+00:00'::timestamptz) RETURNING "main_enhanceduser"."id";
SELECT 1 AS "a" FROM "main_enhanceduser" WHERE "main_enhanceduser"."username" = 'n{p}' LIMIT 1;
SELECT {all} FROM "main_enhanceduser" WHERE "main_enhanceduser"."username" = 'm{p}' LIMIT 21;
BEGIN;
INSERT INTO "main_enhanceduser" ("password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined", "manager_id", "technician_id", "employee_id", "department", "job_title", "phone", "hire_date", "custom_fields", "last_login_ip", "failed_login_attempts", "account_locked_until", "created_at", "updated_at") VALUES ('', NULL, false, 'm{p}', '', '', 'q@x', false, true, '2026-11-21T01:08:16.017710+00:00'::timestamptz, 3, NULL, NULL, '', '', '', NULL, '{}'::jsonb, NULL, 0, NULL, '2026-11-21T01:08:16.017887+00:00'::timestamptz, '2026-11-21T01:08:16.017891+00:00'::timestamptz) RETURNING "main_enhanceduser"."id";
COMMIT;
SELECT {all}, {T2}, "main_technician"."employee_id" FROM "main_enhanceduser" LEFT OUTER JOIN "main_enhanceduser" T2 ON ("main_enhanceduser"."manager_id" = T2."id") LEFT OUTER JOIN "main_technician" ON ("main_enhanceduser"."technician_id" = "main_technician"."id") WHERE "main_enhanceduser"."id" < 25 ORDER BY "main_enhanceduser"."id" ASC;

-- An edit of a user whose account was made for it.
UPDATE "main_enhanceduser" SET "first_name" = 'New {p}', "email" = 'own{p}@x.org', "is_active" = false WHERE "main_enhanceduser"."username" = 'own1';
SELECT {all} FROM "main_enhanceduser" WHERE "main_enhanceduser"."username" = 'own1' LIMIT 21;

-- Upserts by what is unique beside the key.
INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at) VALUES ('', false, 'own1', '', '', '', false, true, now(), 'Ups {p}', '', '', '{}', 0, now(), now()) ON CONFLICT (username) DO UPDATE SET department = excluded.department, failed_login_attempts = main_enhanceduser.failed_login_attempts + 1 RETURNING id, username, department, failed_login_attempts;
INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at, technician_id) VALUES ('', false, 'up{p}', '', '', '', false, true, '2026-01-01', 'Ups', '', '', '{}', 0, '2026-01-01', '2026-01-01', {p}) ON CONFLICT (technician_id) DO UPDATE SET phone = '7{p}' RETURNING id, phone, technician_id;
INSERT INTO main_enhanceduser (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at) VALUES ('', false, 'up{p}', '', '', '', false, true, '2026-01-01', 'Ups', '', '', '{}', 0, '2026-01-01', '2026-01-01') ON CONFLICT (username) DO UPDATE SET phone = '7{p}' RETURNING id, username, phone;
INSERT INTO "main_enhanceduser_groups" ("enhanceduser_id", "group_id") VALUES (2, 1), (2, 3) ON CONFLICT (group_id, enhanceduser_id) DO UPDATE SET group_id = excluded.group_id RETURNING *;
INSERT INTO "main_enhanceduser_groups" ("enhanceduser_id", "group_id") VALUES (2, 1) ON CONFLICT (enhanceduser_id, group_id) DO NOTHING RETURNING *;

-- Groups and permissions.
SELECT "auth_group"."id", "auth_group"."name" FROM "auth_group" INNER JOIN "main_enhanceduser_groups" ON ("auth_group"."id" = "main_enhanceduser_groups"."group_id") WHERE "main_enhanceduser_groups"."enhanceduser_id" = 2;
INSERT INTO "main_enhanceduser_groups" ("enhanceduser_id", "group_id") SELECT id, 2 FROM main_enhanceduser WHERE username IN ('n{p}', 'm{p}') ORDER BY id RETURNING id, enhanceduser_id;
INSERT INTO "main_enhanceduser_groups" ("enhanceduser_id", "group_id") VALUES (2, 1), (2, 3) ON CONFLICT DO NOTHING;
UPDATE "main_enhanceduser_groups" SET group_id = 3 WHERE enhanceduser_id = (SELECT id FROM main_enhanceduser WHERE username = 'n{p}');
INSERT INTO "main_enhanceduser_user_permissions" ("enhanceduser_id", "permission_id") SELECT id, 2 FROM main_enhanceduser WHERE username = 'n{p}' RETURNING permission_id;
SELECT u.username, p.name FROM main_enhanceduser u JOIN main_enhanceduser_user_permissions l ON l.enhanceduser_id = u.id JOIN auth_permission p ON p.id = l.permission_id ORDER BY 1, 2;
SELECT {all} FROM "main_enhanceduser" WHERE ("main_enhanceduser"."custom_fields" -> 'k') = '1'::jsonb AND "main_enhanceduser"."id" < 25;

-- What the legacy table would not have taken.
UPDATE main_enhanceduser SET failed_login_attempts = failed_login_attempts - 100 WHERE id = 5;
UPDATE main_enhanceduser SET custom_fields = NULL WHERE id = 5;
UPDATE main_enhanceduser SET hire_date = created_at, last_login_ip = department WHERE id = 5;
UPDATE main_enhanceduser SET phone = 'longer than its twenty characters' WHERE id = 5;
INSERT INTO main_enhanceduser_groups (enhanceduser_id, group_id) VALUES (2, 1);
INSERT INTO main_enhanceduser_user_permissions (enhanceduser_id, permission_id) VALUES (3, 1);

-- A manager goes, with all that hangs on her.
BEGIN;
DELETE FROM "main_enhanceduser_groups" WHERE "main_enhanceduser_groups"."enhanceduser_id" IN (1{p});
DELETE FROM "main_enhanceduser_user_permissions" WHERE "main_enhanceduser_user_permissions"."enhanceduser_id" IN (1{p});
UPDATE "main_enhanceduser" SET "manager_id" = NULL WHERE "main_enhanceduser"."manager_id" IN (1{p});
DELETE FROM "main_enhanceduser" WHERE "main_enhanceduser"."id" IN (1{p});
COMMIT;

-- Errors are the legacy table's.
INSERT INTO main_enhanceduser (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined, department, job_title, phone, custom_fields, failed_login_attempts, created_at, updated_at) VALUES (9000, '', false, repeat('x', 151), '', '', '', false, true, now(), '', '', '', '{}', 0, now(), now());
UPDATE main_enhanceduser SET technician_id = {p} WHERE id = 3;
UPDATE main_enhanceduser SET phone = repeat('9', 21) WHERE id = 3;
SELECT technician_id, phone FROM main_enhanceduser WHERE id = 3;
SELECT "main_technician"."id", "main_technician"."user_id" FROM "main_technician" WHERE "main_technician"."id" = 1 LIMIT 21;
