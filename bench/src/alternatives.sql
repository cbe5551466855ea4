-- What one would do inside PostgreSQL instead of a rewriting proxy: the same rows in tables of
-- their own, written by the same statements.

-- One table, as before the migration.
CREATE TABLE plain (LIKE iso_agents INCLUDING ALL);
INSERT INTO plain SELECT * FROM iso_agents;
CREATE TRIGGER touch BEFORE UPDATE ON plain
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

-- An AFTER trigger carries each row over.
CREATE TABLE triggered (LIKE iso_agents INCLUDING ALL);
CREATE TABLE triggered_users (LIKE users INCLUDING ALL);
INSERT INTO triggered SELECT * FROM iso_agents;
INSERT INTO triggered_users SELECT * FROM users;
CREATE TRIGGER touch BEFORE UPDATE ON triggered
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER touch BEFORE UPDATE ON triggered_users
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE FUNCTION carry_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO triggered_users (id, clerk_user_id, email, full_name, margin_type, margin_value,
                                 is_active, metadata, created_at, updated_at, role, phone, timezone)
    VALUES (NEW.id, NEW.clerk_user_id, NEW.email, NEW.full_name, NEW.margin_type,
            NEW.margin_value, NEW.is_active, NEW.metadata, NEW.created_at, NEW.updated_at,
            CASE NEW.role WHEN 'iso_agent' THEN 'sales_rep' ELSE NEW.role END,
            NEW.metadata->>'phone', coalesce(nullif(NEW.metadata->>'timezone', ''), 'UTC'))
    ON CONFLICT (id) DO UPDATE SET
        clerk_user_id = excluded.clerk_user_id, email = excluded.email,
        full_name = excluded.full_name, margin_type = excluded.margin_type,
        margin_value = excluded.margin_value, is_active = excluded.is_active,
        metadata = excluded.metadata, created_at = excluded.created_at,
        updated_at = excluded.updated_at, role = excluded.role;
    RETURN NULL;
END $$;
CREATE TRIGGER carry_over AFTER INSERT OR UPDATE ON triggered
    FOR EACH ROW EXECUTE FUNCTION carry_over();

-- A view under the table's name, whose INSTEAD OF trigger writes both.
CREATE TABLE viewed_agents (LIKE iso_agents INCLUDING ALL);
CREATE TABLE viewed_users (LIKE users INCLUDING ALL);
INSERT INTO viewed_agents SELECT * FROM iso_agents;
INSERT INTO viewed_users SELECT * FROM users;
CREATE TRIGGER touch BEFORE UPDATE ON viewed_agents
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER touch BEFORE UPDATE ON viewed_users
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE VIEW viewed AS SELECT * FROM viewed_agents;
ALTER VIEW viewed
    ALTER id SET DEFAULT gen_random_uuid(),
    ALTER role SET DEFAULT 'iso_agent',
    ALTER margin_type SET DEFAULT 'percentage',
    ALTER margin_value SET DEFAULT 0.00,
    ALTER is_active SET DEFAULT true,
    ALTER metadata SET DEFAULT '{}',
    ALTER created_at SET DEFAULT now(),
    ALTER updated_at SET DEFAULT now();

CREATE FUNCTION write_both() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO viewed_agents SELECT (NEW).*;
        INSERT INTO viewed_users (id, clerk_user_id, email, full_name, margin_type, margin_value,
                                  is_active, metadata, created_at, updated_at, role, phone,
                                  timezone)
        VALUES (NEW.id, NEW.clerk_user_id, NEW.email, NEW.full_name, NEW.margin_type,
                NEW.margin_value, NEW.is_active, NEW.metadata, NEW.created_at, NEW.updated_at,
                CASE NEW.role WHEN 'iso_agent' THEN 'sales_rep' ELSE NEW.role END,
                NEW.metadata->>'phone', coalesce(nullif(NEW.metadata->>'timezone', ''), 'UTC'));
    ELSE
        UPDATE viewed_agents SET
            clerk_user_id = NEW.clerk_user_id, email = NEW.email, full_name = NEW.full_name,
            role = NEW.role, margin_type = NEW.margin_type, margin_value = NEW.margin_value,
            is_active = NEW.is_active, metadata = NEW.metadata
        WHERE id = OLD.id;
        UPDATE viewed_users SET
            clerk_user_id = NEW.clerk_user_id, email = NEW.email, full_name = NEW.full_name,
            role = CASE NEW.role WHEN 'iso_agent' THEN 'sales_rep' ELSE NEW.role END,
            margin_type = NEW.margin_type, margin_value = NEW.margin_value,
            is_active = NEW.is_active, metadata = NEW.metadata
        WHERE id = OLD.id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER write_both INSTEAD OF INSERT OR UPDATE ON viewed
    FOR EACH ROW EXECUTE FUNCTION write_both();

ANALYZE;
