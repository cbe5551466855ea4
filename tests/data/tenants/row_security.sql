-- As the application's own migration has it: the owner is bound by it, and an empty setting is an error.
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['employees_department', 'employees_employee'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY org_isolation_policy ON %I FOR ALL USING (current_setting(''app.current_is_superuser'', true) = ''true''
      OR organization_id = current_setting(''app.current_organization_id'', true)::uuid)', t);
  END LOOP;
END $$;
