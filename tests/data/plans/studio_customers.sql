-- Many rows on both sides, as a backfill would have left them. Triggers and foreign keys are let rest.
SET session_replication_role = replica;
-- Owners, customers, and what refers to them.
INSERT INTO studio_owners (id, name, email, password, "createdAt", "updatedAt")
SELECT 'o' || n, 'Owner ' || n, 'o' || n || '@many', 'h', '2025-01-01', '2025-02-01' FROM generate_series(1, {rows} / 4) AS n;
INSERT INTO customers (id, name, email, password, phone, "createdAt", "updatedAt")
SELECT 'c' || n, 'Customer ' || n, 'c' || n || '@many', 'h', '+49', '2025-01-01', '2025-02-01' FROM generate_series(1, {rows}) AS n;
INSERT INTO accounts (id, "userId", type, provider, "providerAccountId", access_token)
SELECT 'a' || n, 'o' || n, 'oauth', 'google', 'g' || n, repeat('t', 200) FROM generate_series(1, {rows} / 4) AS n;
INSERT INTO sessions (id, "sessionToken", "userId", expires)
SELECT 's' || n, repeat('t', 100) || n, 'o' || n, '2027-01-01' FROM generate_series(1, {rows} / 4) AS n;
INSERT INTO studios (id, name, address, city, phone, email, "createdAt", "updatedAt", "ownerId")
SELECT 't' || n, 'Studio ' || n, 'a', 'City ' || n, '1', 't' || n || '@many', '2025-01-01', '2025-01-01', 'o' || n
FROM generate_series(1, {rows} / 4) AS n;
INSERT INTO bookings (id, "studioId", "customerName", "customerEmail", "customerPhone", "preferredDate", "preferredTime",
  "createdAt", "updatedAt", "customerId")
SELECT 'k' || n, 't' || 1 + n % ({rows} / 4), 'Customer', 'c' || n || '@many', '1', 'Monday', '10:00', '2025-03-01', '2025-03-01', 'c' || n
FROM generate_series(1, {rows}) AS n;
INSERT INTO "_CustomerFavorites" SELECT 'c' || n, 't' || 1 + n % ({rows} / 4) FROM generate_series(1, {rows}) AS n;
INSERT INTO users (id, email, password, name, "primaryRole", "createdAt", "updatedAt")
SELECT id, email, password, name, 'STUDIO_OWNER', "createdAt", "updatedAt" FROM studio_owners WHERE email LIKE '%@many';
INSERT INTO users (id, email, password, name, phone, "primaryRole", "createdAt", "updatedAt")
SELECT id, email, password, name, phone, 'CUSTOMER', "createdAt", "updatedAt" FROM customers WHERE email LIKE '%@many';
INSERT INTO user_role_assignments (id, "userId", role, "grantedBy", "legacyId")
SELECT 'r' || id, id, "primaryRole", 'SYSTEM_MIGRATION', id FROM users WHERE email LIKE '%@many';
INSERT INTO studio_ownership (id, "userId", "studioId", "canTransfer")
SELECT 'w' || id, "ownerId", id, true FROM studios WHERE email LIKE '%@many';
INSERT INTO new_accounts SELECT * FROM accounts WHERE id LIKE 'a%' AND "providerAccountId" ~ '^g[0-9]';
INSERT INTO new_sessions SELECT * FROM sessions WHERE length("sessionToken") > 100;
INSERT INTO new_bookings (id, "studioId", "customerId", "customerName", "customerEmail", "customerPhone", "preferredDate",
  "preferredTime", "createdAt", "updatedAt")
SELECT id, "studioId", "customerId", "customerName", "customerEmail", "customerPhone", "preferredDate", "preferredTime",
  "createdAt", "updatedAt" FROM bookings WHERE "customerEmail" LIKE '%@many';
INSERT INTO booking_customers (booking_id, customer_id) SELECT id, "customerId" FROM bookings WHERE "customerEmail" LIKE '%@many';
INSERT INTO "_UserFavorites" ("A", "B") SELECT "B", "A" FROM "_CustomerFavorites" WHERE "A" ~ '^c[0-9]' AND "B" ~ '^t';
RESET session_replication_role;
