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
