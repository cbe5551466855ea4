-- A broker's agents and all that hangs on them, behind row level security.
CREATE TYPE user_role AS ENUM ('sales_rep', 'admin', 'customer', 'operator', 'iso_agent');
CREATE TYPE margin_type AS ENUM ('percentage', 'fixed');
CREATE TYPE request_status AS ENUM ('draft', 'pending', 'analyzing', 'completed', 'failed', 'cancelled');
CREATE TYPE quote_status AS ENUM ('pending', 'received', 'analyzed', 'accepted', 'rejected', 'expired');
CREATE SCHEMA auth;
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS
  $$ SELECT coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $$;
-- Two databases are compared: the clock is the same in both.
CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at = coalesce(nullif(current_setting('test.now', true), '')::timestamptz, now()); RETURN NEW; END $$;

CREATE TABLE iso_agents (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), clerk_user_id text NOT NULL UNIQUE, email text NOT NULL UNIQUE,
  full_name text NOT NULL, role user_role NOT NULL DEFAULT 'iso_agent', margin_type margin_type DEFAULT 'percentage',
  margin_value numeric(10,2) DEFAULT 0.00, is_active boolean DEFAULT true, metadata jsonb DEFAULT '{}',
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
  CONSTRAINT valid_email CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'),
  CONSTRAINT valid_margin_value CHECK (margin_value >= 0));
CREATE TABLE client_profiles (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), iso_agent_id uuid NOT NULL REFERENCES iso_agents ON DELETE CASCADE,
  company_name text NOT NULL, contact_name text NOT NULL,
  email text NOT NULL CONSTRAINT valid_client_email CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'),
  phone text, preferences jsonb DEFAULT '{}', notes text, is_active boolean DEFAULT true,
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE INDEX idx_client_profiles_iso_agent_id ON client_profiles (iso_agent_id);
CREATE TABLE requests (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), iso_agent_id uuid NOT NULL REFERENCES iso_agents ON DELETE CASCADE,
  client_profile_id uuid REFERENCES client_profiles ON DELETE SET NULL, departure_airport text NOT NULL,
  arrival_airport text NOT NULL, departure_date timestamptz NOT NULL, return_date timestamptz,
  passengers integer NOT NULL CHECK (passengers BETWEEN 1 AND 100), aircraft_type text, budget numeric(12,2) CHECK (budget > 0),
  special_requirements text, status request_status NOT NULL DEFAULT 'draft', metadata jsonb DEFAULT '{}',
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE quotes (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), request_id uuid NOT NULL REFERENCES requests ON DELETE CASCADE,
  operator_id text NOT NULL, operator_name text NOT NULL, total_price numeric(12,2) NOT NULL CHECK (total_price > 0),
  score numeric(5,2), ranking integer, status quote_status NOT NULL DEFAULT 'pending',
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE workflow_states (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), request_id uuid NOT NULL REFERENCES requests ON DELETE CASCADE,
  current_state request_status NOT NULL, retry_count integer DEFAULT 0);
CREATE TABLE agent_executions (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), request_id uuid REFERENCES requests ON DELETE CASCADE,
  agent_id text NOT NULL, input_data jsonb);
CREATE TABLE proposals (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), request_id uuid NOT NULL REFERENCES requests ON DELETE CASCADE,
  iso_agent_id uuid NOT NULL REFERENCES iso_agents ON DELETE CASCADE, proposal_number text NOT NULL UNIQUE,
  title text NOT NULL, view_count integer DEFAULT 0, updated_at timestamptz DEFAULT now());
CREATE TRIGGER update_iso_agents_updated_at BEFORE UPDATE ON iso_agents FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_client_profiles_updated_at BEFORE UPDATE ON client_profiles FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_requests_updated_at BEFORE UPDATE ON requests FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, metadata, created_at, updated_at)
SELECT md5('a' || n)::uuid, 'user_' || n, 'agent.' || n || '@example.com', 'Agent ' || n,
  CASE n WHEN 1 THEN 'admin' WHEN 2 THEN 'operator' ELSE 'iso_agent' END::user_role,
  CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '{"timezone": "", "phone": "+1 555"}' ELSE '{"timezone": "UTC"}' END::jsonb,
  '2024-01-01'::timestamptz + n * interval '1 day', '2024-02-01' FROM generate_series(1, 40) AS n;
INSERT INTO client_profiles (id, iso_agent_id, company_name, contact_name, email, created_at, updated_at)
SELECT md5('c' || n)::uuid, md5('a' || 1 + n % 20)::uuid, 'Company ' || n, 'Contact ' || n, 'c' || n || '@example.com', '2024-03-01', '2024-03-02'
FROM generate_series(1, 60) AS n;
INSERT INTO requests (id, iso_agent_id, client_profile_id, departure_airport, arrival_airport, departure_date, passengers, created_at, updated_at)
SELECT md5('r' || n)::uuid, md5('a' || 1 + n % 20)::uuid, md5('c' || n)::uuid, 'KTEB', 'EGGW',
  CASE n WHEN 7 THEN '2024-05-01' ELSE '2099-05-01' END::timestamptz + n * interval '1 hour', 1 + n % 12,
  '2024-03-03'::timestamptz + n * interval '1 minute', '2024-03-04' FROM generate_series(1, 60) AS n;
-- A check on the clock: a request of the past can be neither updated nor inserted anew.
ALTER TABLE requests ADD CONSTRAINT valid_dates
  CHECK (departure_date > now() AND (return_date IS NULL OR return_date > departure_date)) NOT VALID;
INSERT INTO quotes (id, request_id, operator_id, operator_name, total_price, score, created_at)
SELECT md5('q' || n)::uuid, md5('r' || n)::uuid, 'op' || n % 3, 'Operator', 1000 + n, n % 100, '2024-03-05' FROM generate_series(1, 60) AS n;
INSERT INTO workflow_states (id, request_id, current_state) SELECT md5('w' || n)::uuid, md5('r' || n)::uuid, 'draft' FROM generate_series(1, 60) AS n;
INSERT INTO agent_executions (id, request_id, agent_id)
SELECT md5('e' || n)::uuid, CASE WHEN n % 10 > 0 THEN md5('r' || n)::uuid END, 'orchestrator' FROM generate_series(1, 60) AS n;
INSERT INTO proposals (id, request_id, iso_agent_id, proposal_number, title, updated_at)
SELECT md5('p' || n)::uuid, md5('r' || n)::uuid, md5('a' || 1 + n % 20)::uuid, 'PROP-2024-' || n, 'Proposal ' || n, '2024-03-06'
FROM generate_series(1, 60) AS n;

CREATE FUNCTION get_current_iso_agent_id() RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS
  $$ BEGIN RETURN (SELECT id FROM iso_agents WHERE clerk_user_id = auth.jwt()->>'sub'); END $$;
CREATE FUNCTION is_admin() RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS
  $$ BEGIN RETURN (SELECT role = 'admin' FROM iso_agents WHERE clerk_user_id = auth.jwt()->>'sub'); END $$;
CREATE FUNCTION owns_resource(resource_agent_id uuid) RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS
  $$ BEGIN RETURN resource_agent_id = get_current_iso_agent_id() OR is_admin(); END $$;

GRANT USAGE ON SCHEMA public, auth TO anon, authenticated, service_role;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO authenticated;
GRANT ALL ON ALL TABLES IN SCHEMA public TO service_role;

DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['iso_agents', 'client_profiles', 'requests', 'quotes', 'workflow_states', 'agent_executions', 'proposals'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
  END LOOP;
END $$;
CREATE POLICY s ON iso_agents FOR SELECT USING (clerk_user_id = auth.jwt()->>'sub' OR is_admin());
CREATE POLICY i ON iso_agents FOR INSERT WITH CHECK (false);
CREATE POLICY u ON iso_agents FOR UPDATE USING (clerk_user_id = auth.jwt()->>'sub' OR is_admin());
CREATE POLICY d ON iso_agents FOR DELETE USING (is_admin());
CREATE POLICY s ON client_profiles FOR SELECT USING (owns_resource(iso_agent_id));
CREATE POLICY i ON client_profiles FOR INSERT WITH CHECK (iso_agent_id = get_current_iso_agent_id());
CREATE POLICY u ON client_profiles FOR UPDATE USING (owns_resource(iso_agent_id)) WITH CHECK (iso_agent_id = get_current_iso_agent_id());
CREATE POLICY d ON client_profiles FOR DELETE USING (owns_resource(iso_agent_id));
CREATE POLICY s ON requests FOR SELECT USING (owns_resource(iso_agent_id));
CREATE POLICY i ON requests FOR INSERT WITH CHECK (iso_agent_id = get_current_iso_agent_id());
CREATE POLICY u ON requests FOR UPDATE USING (owns_resource(iso_agent_id)) WITH CHECK (iso_agent_id = get_current_iso_agent_id());
CREATE POLICY d ON requests FOR DELETE USING (owns_resource(iso_agent_id));
CREATE POLICY s ON quotes FOR SELECT USING (EXISTS (SELECT FROM requests r WHERE r.id = request_id AND owns_resource(r.iso_agent_id)));
CREATE POLICY i ON quotes FOR INSERT WITH CHECK (false);
CREATE POLICY u ON quotes FOR UPDATE USING (EXISTS (SELECT FROM requests r WHERE r.id = request_id AND owns_resource(r.iso_agent_id)));
CREATE POLICY d ON quotes FOR DELETE USING (EXISTS (SELECT FROM requests r WHERE r.id = request_id AND owns_resource(r.iso_agent_id)));
CREATE POLICY s ON workflow_states FOR SELECT USING (EXISTS (SELECT FROM requests r WHERE r.id = request_id AND owns_resource(r.iso_agent_id)));
CREATE POLICY s ON agent_executions FOR SELECT
  USING (request_id IS NULL OR EXISTS (SELECT FROM requests r WHERE r.id = request_id AND owns_resource(r.iso_agent_id)));
CREATE POLICY s ON proposals FOR SELECT USING (iso_agent_id = get_current_iso_agent_id() OR is_admin());
CREATE POLICY i ON proposals FOR INSERT WITH CHECK (iso_agent_id = get_current_iso_agent_id());
CREATE POLICY u ON proposals FOR UPDATE USING (iso_agent_id = get_current_iso_agent_id() OR is_admin());
CREATE POLICY d ON proposals FOR DELETE USING (is_admin());
