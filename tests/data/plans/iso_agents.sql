-- Many rows on both sides, as a backfill would have left them. Triggers and foreign keys are let rest.
SET session_replication_role = replica;
INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, created_at, updated_at)
SELECT md5('m' || n)::uuid, 'many_' || n, 'many.' || n || '@example.com', 'Agent ' || n, 'iso_agent', '2024-01-01', '2024-02-01'
FROM generate_series(1, {rows}) AS n;
INSERT INTO client_profiles (id, iso_agent_id, company_name, contact_name, email, created_at, updated_at)
SELECT md5('mc' || n)::uuid, md5('m' || n)::uuid, 'Company ' || n, 'Contact ' || n, 'mc' || n || '@example.com', '2024-03-01', '2024-03-02'
FROM generate_series(1, {rows}) AS n;
INSERT INTO requests (id, iso_agent_id, departure_airport, arrival_airport, departure_date, passengers, created_at, updated_at)
SELECT md5('mr' || n)::uuid, md5('m' || n)::uuid, 'CGN', 'LHR', '2099-01-01', 2, '2024-03-01', '2024-03-02'
FROM generate_series(1, {rows}) AS n;
INSERT INTO users (id, clerk_user_id, email, full_name, role, created_at, updated_at)
SELECT id, clerk_user_id, email, full_name, 'sales_rep', created_at, updated_at FROM iso_agents WHERE clerk_user_id LIKE 'many%';
INSERT INTO users (clerk_user_id, email, full_name, role)
SELECT 'more_' || n, 'more.' || n || '@example.com', 'Customer', 'customer' FROM generate_series(1, {rows}) AS n;
UPDATE client_profiles SET user_id = iso_agent_id;
UPDATE requests SET user_id = iso_agent_id WHERE departure_date > now();
RESET session_replication_role;
