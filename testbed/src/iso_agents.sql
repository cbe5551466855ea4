-- A broker's agents as an application first had them (iso_agents and the tables that refer to
-- it), and the users table they move to, side by side in one schema.

-- One type serves both tables. Legacy rows are iso_agent, admin or operator; the unified side
-- calls an iso_agent sales_rep, and also has customers.
CREATE TYPE user_role AS ENUM ('sales_rep', 'admin', 'customer', 'operator', 'iso_agent');
CREATE TYPE margin_type AS ENUM ('percentage', 'fixed');
CREATE TYPE request_status AS ENUM (
    'draft', 'pending', 'analyzing', 'fetching_client_data', 'searching_flights',
    'awaiting_quotes', 'analyzing_proposals', 'generating_email', 'sending_proposal',
    'completed', 'failed', 'cancelled');

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END $$;

-- Legacy -----------------------------------------------------------------------------------

CREATE TABLE iso_agents (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    clerk_user_id text NOT NULL UNIQUE,
    email         text NOT NULL UNIQUE,
    full_name     text NOT NULL,
    role          user_role NOT NULL DEFAULT 'iso_agent',
    margin_type   margin_type DEFAULT 'percentage',
    margin_value  numeric(10,2) DEFAULT 0.00,
    is_active     boolean DEFAULT true,
    metadata      jsonb DEFAULT '{}',
    created_at    timestamptz DEFAULT now(),
    updated_at    timestamptz DEFAULT now(),
    CONSTRAINT valid_email
        CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'),
    CONSTRAINT valid_margin_value CHECK (margin_value >= 0)
);
CREATE INDEX idx_iso_agents_clerk_user_id ON iso_agents (clerk_user_id);
CREATE INDEX idx_iso_agents_email ON iso_agents (email);
CREATE INDEX idx_iso_agents_role ON iso_agents (role);
CREATE TRIGGER update_iso_agents_updated_at BEFORE UPDATE ON iso_agents
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE client_profiles (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    iso_agent_id uuid NOT NULL REFERENCES iso_agents ON DELETE CASCADE,
    company_name text NOT NULL,
    contact_name text NOT NULL,
    email        text NOT NULL,
    phone        text,
    preferences  jsonb DEFAULT '{}',
    notes        text,
    is_active    boolean DEFAULT true,
    created_at   timestamptz DEFAULT now(),
    updated_at   timestamptz DEFAULT now(),
    CONSTRAINT valid_client_email
        CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$')
);
CREATE INDEX idx_client_profiles_iso_agent_id ON client_profiles (iso_agent_id);
CREATE INDEX idx_client_profiles_email ON client_profiles (email);
CREATE INDEX idx_client_profiles_company_name ON client_profiles (company_name);
CREATE TRIGGER update_client_profiles_updated_at BEFORE UPDATE ON client_profiles
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE requests (
    id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    iso_agent_id         uuid NOT NULL REFERENCES iso_agents ON DELETE CASCADE,
    client_profile_id    uuid REFERENCES client_profiles ON DELETE SET NULL,
    departure_airport    text NOT NULL,
    arrival_airport      text NOT NULL,
    departure_date       timestamptz NOT NULL,
    return_date          timestamptz,
    passengers           integer NOT NULL CHECK (passengers BETWEEN 1 AND 100),
    aircraft_type        text,
    budget               numeric(12,2) CHECK (budget > 0),
    special_requirements text,
    status               request_status NOT NULL DEFAULT 'draft',
    metadata             jsonb DEFAULT '{}',
    created_at           timestamptz DEFAULT now(),
    updated_at           timestamptz DEFAULT now(),
    -- A check on the clock: an old request can be neither updated nor copied.
    CONSTRAINT valid_dates CHECK (
        departure_date > now() AND (return_date IS NULL OR return_date > departure_date))
);
CREATE INDEX idx_requests_iso_agent_id ON requests (iso_agent_id);
CREATE INDEX idx_requests_client_profile_id ON requests (client_profile_id);
CREATE INDEX idx_requests_status ON requests (status);
CREATE INDEX idx_requests_departure_date ON requests (departure_date);
CREATE INDEX idx_requests_created_at ON requests (created_at DESC);
CREATE TRIGGER update_requests_updated_at BEFORE UPDATE ON requests
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

-- Unified ----------------------------------------------------------------------------------

-- The role comes last, and a row that does not say becomes a customer.
CREATE TABLE users (
    id            uuid DEFAULT gen_random_uuid(),
    clerk_user_id text NOT NULL,
    email         text NOT NULL,
    full_name     text NOT NULL,
    margin_type   margin_type DEFAULT 'percentage',
    margin_value  numeric(10,2) DEFAULT 0.00,
    is_active     boolean DEFAULT true,
    metadata      jsonb DEFAULT '{}',
    created_at    timestamptz DEFAULT now(),
    updated_at    timestamptz DEFAULT now(),
    role          user_role NOT NULL DEFAULT 'customer',
    avatar_url    text,
    phone         varchar(20),
    timezone      varchar(50) DEFAULT 'UTC',
    preferences   jsonb DEFAULT '{}',
    last_login_at timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_clerk_user_id_key UNIQUE (clerk_user_id),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT valid_email
        CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'),
    CONSTRAINT valid_margin_value CHECK (margin_value >= 0)
);
CREATE INDEX idx_users_clerk_user_id ON users (clerk_user_id);
CREATE INDEX idx_users_email ON users (email);
CREATE INDEX idx_users_role ON users (role);
CREATE INDEX idx_users_last_login_at ON users (last_login_at DESC NULLS LAST);
CREATE INDEX idx_users_phone ON users (phone) WHERE phone IS NOT NULL;
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
