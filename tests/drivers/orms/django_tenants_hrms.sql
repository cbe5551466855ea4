-- Names of hosts, in which Django lets no underscore be.
INSERT INTO tenants_domain (domain, tenant_id, is_primary)
  SELECT slug || '.hrms.example', id, false FROM tenants_tenant;
