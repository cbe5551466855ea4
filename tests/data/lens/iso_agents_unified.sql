-- The table that agents move to, with the rights and policies of the one that they leave.
CREATE TABLE users (
  id uuid CONSTRAINT users_pkey PRIMARY KEY DEFAULT gen_random_uuid(), clerk_user_id text NOT NULL, email text NOT NULL,
  full_name text NOT NULL, margin_type margin_type DEFAULT 'percentage', margin_value numeric(10,2) DEFAULT 0.00,
  is_active boolean DEFAULT true, metadata jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now(), role user_role NOT NULL DEFAULT 'customer', avatar_url text, phone varchar(20),
  timezone varchar(50) DEFAULT 'UTC', preferences jsonb DEFAULT '{}', last_login_at timestamptz,
  CONSTRAINT users_clerk_user_id_key UNIQUE (clerk_user_id), CONSTRAINT users_email_key UNIQUE (email),
  CONSTRAINT valid_email CHECK (email ~* '^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$'),
  CONSTRAINT valid_margin_value CHECK (margin_value >= 0));
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
INSERT INTO users (clerk_user_id, email, full_name) VALUES ('customer_1', 'customer@example.com', 'A Customer');
CREATE FUNCTION get_current_user_id() RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS
  $$ BEGIN RETURN (SELECT id FROM users WHERE clerk_user_id = auth.jwt()->>'sub'); END $$;
GRANT SELECT ON users TO anon;
GRANT SELECT, INSERT, UPDATE, DELETE ON users TO authenticated;
GRANT ALL ON users TO service_role;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY s ON users FOR SELECT USING (clerk_user_id = auth.jwt()->>'sub' OR is_admin());
CREATE POLICY i ON users FOR INSERT WITH CHECK (false);
CREATE POLICY u ON users FOR UPDATE USING (clerk_user_id = auth.jwt()->>'sub' OR is_admin());
CREATE POLICY d ON users FOR DELETE USING (is_admin());
