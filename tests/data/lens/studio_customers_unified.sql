CREATE TYPE "UserRole" AS ENUM ('SUPER_ADMIN', 'STUDIO_OWNER', 'CUSTOMER', 'GUEST');
CREATE TABLE users (id text NOT NULL CONSTRAINT users_pkey PRIMARY KEY, email text NOT NULL CONSTRAINT users_email_key UNIQUE,
  "emailVerified" timestamp(3), password text, name text, phone text, image text, "primaryRole" "UserRole" NOT NULL DEFAULT 'CUSTOMER',
  "isActive" boolean NOT NULL DEFAULT true, "isSuspended" boolean NOT NULL DEFAULT false,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3) NOT NULL);
CREATE INDEX users_email_idx ON users (email);
CREATE TABLE user_role_assignments (id text NOT NULL CONSTRAINT user_role_assignments_pkey PRIMARY KEY,
  "userId" text NOT NULL CONSTRAINT "user_role_assignments_userId_fkey" REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
  role "UserRole" NOT NULL,
  "studioId" text CONSTRAINT "user_role_assignments_studioId_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "grantedBy" text, "grantedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "expiresAt" timestamp(3),
  CONSTRAINT "user_role_assignments_userId_role_studioId_key" UNIQUE ("userId", role, "studioId"));
CREATE INDEX "user_role_assignments_studioId_idx" ON user_role_assignments ("studioId");
CREATE TABLE studio_ownership (id text NOT NULL CONSTRAINT studio_ownership_pkey PRIMARY KEY,
  "userId" text NOT NULL CONSTRAINT "studio_ownership_userId_fkey" REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "studioId" text NOT NULL CONSTRAINT "studio_ownership_studioId_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "isPrimary" boolean NOT NULL DEFAULT false, "canTransfer" boolean NOT NULL DEFAULT false, "invitedBy" text,
  "invitedAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "acceptedAt" timestamp(3),
  CONSTRAINT "studio_ownership_userId_studioId_key" UNIQUE ("userId", "studioId"));
CREATE TABLE new_accounts (id text NOT NULL CONSTRAINT new_accounts_pkey PRIMARY KEY,
  "userId" text NOT NULL CONSTRAINT "new_accounts_userId_fkey" REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
  type text NOT NULL, provider text NOT NULL, "providerAccountId" text NOT NULL, refresh_token text, access_token text,
  expires_at integer, token_type text, scope text, id_token text, session_state text,
  CONSTRAINT "new_accounts_provider_providerAccountId_key" UNIQUE (provider, "providerAccountId"));
CREATE TABLE new_sessions (id text NOT NULL CONSTRAINT new_sessions_pkey PRIMARY KEY,
  "sessionToken" text NOT NULL CONSTRAINT "new_sessions_sessionToken_key" UNIQUE,
  "userId" text NOT NULL CONSTRAINT "new_sessions_userId_fkey" REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
  expires timestamp(3) NOT NULL);
CREATE TABLE new_bookings (id text NOT NULL CONSTRAINT new_bookings_pkey PRIMARY KEY,
  "studioId" text NOT NULL CONSTRAINT "new_bookings_studioId_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "serviceId" text CONSTRAINT "new_bookings_serviceId_fkey" REFERENCES services (id) ON DELETE SET NULL ON UPDATE CASCADE,
  "customerId" text NOT NULL CONSTRAINT "new_bookings_customerId_fkey" REFERENCES users (id) ON DELETE SET NULL ON UPDATE CASCADE,
  "customerName" text NOT NULL, "customerEmail" text NOT NULL, "customerPhone" text, "preferredDate" text NOT NULL,
  "preferredTime" text NOT NULL, message text, status "BookingStatus" NOT NULL DEFAULT 'PENDING',
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" timestamp(3) NOT NULL,
  "explicitHealthConsent" boolean DEFAULT false, "healthConsentGivenAt" timestamp(3), "healthConsentText" text,
  "healthConsentWithdrawnAt" timestamp(3), "confirmedBy" text, "confirmedAt" timestamp(3), "cancelledBy" text,
  "cancelledAt" timestamp(3));
CREATE INDEX "new_bookings_customerId_idx" ON new_bookings ("customerId");
CREATE INDEX "new_bookings_studioId_idx" ON new_bookings ("studioId");
CREATE TABLE "_UserFavorites" (
  "A" text NOT NULL CONSTRAINT "_UserFavorites_A_fkey" REFERENCES studios (id) ON DELETE CASCADE ON UPDATE CASCADE,
  "B" text NOT NULL CONSTRAINT "_UserFavorites_B_fkey" REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
  CONSTRAINT "_UserFavorites_AB_pkey" PRIMARY KEY ("A", "B"));
CREATE INDEX "_UserFavorites_B_index" ON "_UserFavorites" ("B");
CREATE TABLE audit_logs (id text NOT NULL CONSTRAINT audit_logs_pkey PRIMARY KEY,
  "userId" text CONSTRAINT "audit_logs_userId_fkey" REFERENCES users (id) ON DELETE SET NULL ON UPDATE CASCADE,
  action text NOT NULL, resource text NOT NULL, "resourceId" text NOT NULL, metadata jsonb, "ipAddress" text, "userAgent" text,
  "createdAt" timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX "audit_logs_userId_idx" ON audit_logs ("userId");
