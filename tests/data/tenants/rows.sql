INSERT INTO employees_department (id, created_at, updated_at, is_deleted, is_active, name, code, description, cost_center) VALUES
  ('d0000000-0000-4000-8000-0000000000a1', '2025-01-01Z', '2025-01-01Z', false, true, 'Sales', 'SALES', 'of acme', ''),
  ('d0000000-0000-4000-8000-0000000000a2', '2025-01-02Z', '2025-01-02Z', true, true, 'Old', 'OLD', 'of acme', '');
INSERT INTO leave_holiday_locations (holiday_id, location_id) SELECT
  ('a0000000-0000-4000-8000-00000000000' || n)::uuid, 'f0000000-0000-4000-8000-000000000001' FROM generate_series(1, 3) AS n;
