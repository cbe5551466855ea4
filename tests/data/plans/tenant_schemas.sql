-- Many rows on both sides, as a backfill would have left them. Triggers and foreign keys are let rest.
SET session_replication_role = replica;
-- One tenant is large, and one is not.
SET search_path = acme_corp;
INSERT INTO employees_department (id, created_at, updated_at, is_deleted, is_active, name, code, description, cost_center)
SELECT md5('d' || n)::uuid, '2026-01-01Z', '2026-01-01Z', false, true, 'Department ' || n, 'D' || n, '', '' FROM generate_series(1, {rows}) AS n;
INSERT INTO employees_employee (id, created_at, updated_at, is_deleted, is_active, metadata, user_id, employee_id, gender, marital_status,
  blood_group, nationality, department_id, employment_type, employment_status, date_of_joining, notice_period_days, exit_reason,
  work_mode, pan_number, aadhaar_number, passport_number, uan_number, pf_number, esi_number, bio, linkedin_url)
SELECT md5('e' || n)::uuid, '2026-01-01Z', '2026-01-01Z', false, true, '{}', md5('u' || n)::uuid, 'M' || n, '', '', '', 'Indian',
  md5('d' || n)::uuid, 'full_time', 'active', '2025-01-01', 30, '', 'office', '', '', '', '', '', '', '', ''
FROM generate_series(1, {rows}) AS n;
INSERT INTO attendance_attendancerecord (id, created_at, updated_at, is_deleted, is_active, employee_id, date, status, total_hours,
  overtime_hours, late_minutes, early_out_minutes, is_flagged, device_id, is_regularized, regularization_reason)
SELECT md5('r' || n)::uuid, '2026-01-01Z', '2026-01-01Z', false, true, md5('e' || 1 + n % 500)::uuid, '2026-01-01'::date + n / 500,
  'present', 8, 0, 0, 0, false, '', false, '' FROM generate_series(1, {rows}) AS n;
RESET search_path;
DO $$ BEGIN EXECUTE (SELECT format('INSERT INTO public.employees_department (organization_id, %1$s) SELECT %2$L, %1$s FROM acme_corp.employees_department',
  string_agg(quote_ident(attname), ', ' ORDER BY attnum), '00000000-0000-4000-8000-0000000000ac')
  FROM pg_attribute WHERE attrelid = 'acme_corp.employees_department'::regclass AND attnum > 0 AND NOT attisdropped); END $$;
DO $$ BEGIN EXECUTE (SELECT format('INSERT INTO public.employees_employee (organization_id, %1$s) SELECT %2$L, %1$s FROM acme_corp.employees_employee',
  string_agg(quote_ident(attname), ', ' ORDER BY attnum), '00000000-0000-4000-8000-0000000000ac')
  FROM pg_attribute WHERE attrelid = 'acme_corp.employees_employee'::regclass AND attnum > 0 AND NOT attisdropped); END $$;
DO $$ BEGIN EXECUTE (SELECT format('INSERT INTO public.attendance_attendancerecord (organization_id, %1$s) SELECT %2$L, %1$s FROM acme_corp.attendance_attendancerecord',
  string_agg(quote_ident(attname), ', ' ORDER BY attnum), '00000000-0000-4000-8000-0000000000ac')
  FROM pg_attribute WHERE attrelid = 'acme_corp.attendance_attendancerecord'::regclass AND attnum > 0 AND NOT attisdropped); END $$;
RESET session_replication_role;
