CREATE TYPE "BookingStatus" AS ENUM ('PENDING', 'CONFIRMED', 'CANCELLED');
CREATE TABLE studio_owners (id text NOT NULL CONSTRAINT studio_owners_pkey PRIMARY KEY, name text, email text NOT NULL,
  "emailVerified" timestamp(3), password text, image text, "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" timestamp(3) NOT NULL, CONSTRAINT studio_owners_email_key UNIQUE (email));
CREATE TABLE customers (id text NOT NULL CONSTRAINT customers_pkey PRIMARY KEY, name text NOT NULL, email text NOT NULL,
  "emailVerified" timestamp(3), password text, phone text, image text, "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" timestamp(3) NOT NULL, CONSTRAINT customers_email_key UNIQUE (email));
CREATE TABLE accounts (id text NOT NULL CONSTRAINT accounts_pkey PRIMARY KEY,
  "userId" text NOT NULL CONSTRAINT "accounts_userId_fkey" REFERENCES studio_owners (id) ON DELETE CASCADE ON UPDATE CASCADE,
  type text NOT NULL, provider text NOT NULL, "providerAccountId" text NOT NULL, refresh_token text, access_token text,
  expires_at integer, token_type text, scope text, id_token text, session_state text,
  CONSTRAINT "accounts_provider_providerAccountId_key" UNIQUE (provider, "providerAccountId"));
CREATE TABLE sessions (id text NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
  "sessionToken" text NOT NULL CONSTRAINT "sessions_sessionToken_key" UNIQUE,
  "userId" text NOT NULL CONSTRAINT "sessions_userId_fkey" REFERENCES studio_owners (id) ON DELETE CASCADE ON UPDATE CASCADE,
  expires timestamp(3) NOT NULL);
CREATE TABLE studios (id text NOT NULL CONSTRAINT studios_pkey PRIMARY KEY, name text NOT NULL, description text,
  address text NOT NULL, city text NOT NULL, "postalCode" text, phone text NOT NULL, email text NOT NULL, "openingHours" jsonb,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3) NOT NULL,
  "ownerId" text CONSTRAINT "studios_ownerId_fkey" REFERENCES studio_owners (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE INDEX studios_city_idx ON studios (city);
CREATE INDEX "studios_ownerId_idx" ON studios ("ownerId");
CREATE TABLE services (id text NOT NULL CONSTRAINT services_pkey PRIMARY KEY,
  "studioId" text NOT NULL CONSTRAINT "services_studioId_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  name text NOT NULL, description text, price double precision NOT NULL, duration integer NOT NULL,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3) NOT NULL);
CREATE TABLE bookings (id text NOT NULL CONSTRAINT bookings_pkey PRIMARY KEY,
  "studioId" text NOT NULL CONSTRAINT "bookings_studioId_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "serviceId" text CONSTRAINT "bookings_serviceId_fkey" REFERENCES services (id) ON DELETE SET NULL ON UPDATE CASCADE,
  "customerName" text NOT NULL, "customerEmail" text NOT NULL, "customerPhone" text NOT NULL, "preferredDate" text NOT NULL,
  "preferredTime" text NOT NULL, message text, status "BookingStatus" NOT NULL DEFAULT 'PENDING',
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3) NOT NULL,
  "customerId" text CONSTRAINT "bookings_customerId_fkey" REFERENCES customers (id) ON DELETE SET NULL ON UPDATE CASCADE,
  "explicitHealthConsent" boolean DEFAULT false, "healthConsentGivenAt" timestamp(3), "healthConsentText" text,
  "healthConsentWithdrawnAt" timestamp(3));
CREATE INDEX "bookings_customerId_idx" ON bookings ("customerId");
CREATE INDEX "bookings_customerEmail_idx" ON bookings ("customerEmail");
CREATE TABLE "_CustomerFavorites" (
  "A" text NOT NULL CONSTRAINT "_CustomerFavorites_A_fkey" REFERENCES customers (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "B" text NOT NULL CONSTRAINT "_CustomerFavorites_B_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT "_CustomerFavorites_AB_pkey" PRIMARY KEY ("A", "B"));
CREATE INDEX "_CustomerFavorites_B_index" ON "_CustomerFavorites" ("B");

-- own1 is cus1, with another password and a phone; own2 came by OAuth; own3 has no name; own4 has no studio. One id is in both
-- tables, of two people; an e-mail differs from another by case alone.
INSERT INTO studio_owners (id, name, email, password, "emailVerified", "createdAt", "updatedAt") VALUES
  ('own1', 'Both as owner', 'both@x', 'owner-hash', '2025-01-02', '2025-01-01', '2025-02-01'),
  ('own2', 'By OAuth', 'oauth@x', NULL, NULL, '2025-01-01', '2025-02-01'),
  ('own3', NULL, 'noname@x', 'h3', NULL, '2025-01-01', '2025-02-01'),
  ('own4', 'No studio', 'nostudio@x', 'h4', NULL, '2025-01-01', '2025-02-01'),
  ('same', 'Same id, owner', 'same-owner@x', 'h5', NULL, '2025-01-01', '2025-02-01');
INSERT INTO customers (id, name, email, password, phone, "createdAt", "updatedAt") VALUES
  ('cus1', 'Both as customer', 'both@x', 'customer-hash', '+49 1', '2024-01-01', '2024-02-01'),
  ('cus2', 'Anna', 'anna@x', 'c2', '', '2024-01-01', '2024-02-01'),
  ('cus3', 'Other case', 'Anna@x', 'c3', NULL, '2024-01-01', '2024-02-01'),
  ('cus4', 'Bert', 'bert@x', 'c4', '+49 4', '2024-01-01', '2024-02-01'),
  ('same', 'Same id, customer', 'same-customer@x', 'c5', NULL, '2024-01-01', '2024-02-01');
INSERT INTO accounts (id, "userId", type, provider, "providerAccountId") VALUES ('acc1', 'own2', 'oauth', 'google', 'g-1');
INSERT INTO sessions (id, "sessionToken", "userId", expires) VALUES ('ses1', 't-1', 'own2', '2027-01-01'), ('ses2', 't-2', 'own1', '2027-01-01');
INSERT INTO studios (id, name, address, city, phone, email, "createdAt", "updatedAt", "ownerId") VALUES
  ('st1', 'One', 'a', 'Cologne', '1', 'one@x', '2025-01-01', '2025-01-01', 'own1'),
  ('st2', 'Two', 'b', 'Bonn', '2', 'two@x', '2025-01-02', '2025-01-01', 'own2'),
  ('st3', 'Nobody''s', 'c', 'Bonn', '3', 'three@x', '2025-01-03', '2025-01-01', NULL),
  ('st4', 'Of the same id', 'd', 'Bonn', '4', 'four@x', '2025-01-04', '2025-01-01', 'same');
INSERT INTO services (id, "studioId", name, price, duration, "updatedAt") VALUES ('sv1', 'st1', 'Thai', 60, 60, '2025-01-01');
-- b2: of one e-mail, entered by another customer; b3: of a customer's e-mail, without a customer; b4, b5: one guest.
INSERT INTO bookings (id, "studioId", "serviceId", "customerName", "customerEmail", "customerPhone", "preferredDate",
  "preferredTime", "createdAt", "updatedAt", "customerId") VALUES
  ('b1', 'st1', 'sv1', 'Anna', 'anna@x', '1', 'Monday', '10:00', '2025-03-01', '2025-03-01', 'cus2'),
  ('b2', 'st1', NULL, 'Friend', 'friend@x', '', 'Monday', '11:00', '2025-03-02', '2025-03-01', 'cus2'),
  ('b3', 'st2', NULL, 'Bert', 'bert@x', '4', 'Monday', '12:00', '2025-03-03', '2025-03-01', NULL),
  ('b4', 'st2', NULL, 'Guest', 'guest@x', '5', 'Monday', '13:00', '2025-03-04', '2025-03-01', NULL),
  ('b5', 'st2', NULL, 'Guest again', 'guest@x', '5', 'Monday', '14:00', '2025-03-05', '2025-03-01', NULL),
  ('b6', 'st1', NULL, 'Both', 'both@x', '6', 'Monday', '15:00', '2025-03-06', '2025-03-01', 'cus1');
INSERT INTO "_CustomerFavorites" VALUES ('cus1', 'st1'), ('cus1', 'st2'), ('cus2', 'st1'), ('same', 'st4');
