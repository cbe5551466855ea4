MERGE INTO users u USING (VALUES ('agent.1@example.com', 'One', '+1'), ('u1@example.com', 'U1', '+2')) AS v(e, n, p) ON u.email = v.e WHEN MATCHED THEN UPDATE SET full_name = v.n, phone = p WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, phone, role) VALUES ('k' || e, e, n, p, 'sales_rep') RETURNING merge_action(), u.email, v.*, phone, u.role;
MERGE INTO users u USING (VALUES ('customer@example.com')) AS v(e) ON u.email = v.e WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name, role) VALUES ('kc', e, 'C', 'customer') RETURNING *;
MERGE INTO users u USING (VALUES ('agent.2@example.com'), ('agent.4@example.com')) AS v(e) ON u.email = v.e WHEN MATCHED AND u.email LIKE 'agent.4%' THEN DELETE WHEN MATCHED THEN UPDATE SET full_name = 'changed' WHEN NOT MATCHED BY SOURCE AND u.email = 'agent.3@example.com' THEN UPDATE SET full_name = 'changed' RETURNING merge_action(), v.e, u.email, u.full_name;

-- A row is hidden from old readers, and comes back.
MERGE INTO users u USING (VALUES ('agent.5@example.com', 'customer')) AS v(e, r) ON u.email = v.e WHEN MATCHED THEN UPDATE SET role = v.r::user_role;
MERGE INTO users u USING (VALUES ('agent.5@example.com', 'admin')) AS v(e, r) ON u.email = v.e WHEN MATCHED THEN UPDATE SET role = v.r::user_role RETURNING u.role;
WITH m AS (MERGE INTO users u USING (VALUES ('agent.6@example.com')) AS v(e) ON u.email = v.e WHEN MATCHED THEN UPDATE SET full_name = 'in with' RETURNING merge_action() AS act, u.full_name) SELECT * FROM m;
MERGE INTO users u USING (VALUES ('agent.6@example.com')) AS v(e) ON u.email = v.e WHEN MATCHED THEN UPDATE SET phone = '+3' RETURNING u.phone;
MERGE INTO users u USING (VALUES (1)) AS v(n) ON false WHEN NOT MATCHED THEN INSERT (clerk_user_id, email, full_name) VALUES ('dup', 'agent.6@example.com', 'dup');
SELECT email, role, full_name, phone FROM users ORDER BY email;
