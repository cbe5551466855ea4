//! The programs that make the steps, each on the tables of one migration: what those are, and what an
//! operator does to them by hand on the way.

use crossfade_tests::twin::{
    Case, ENHANCED_USER, STUDIO_CUSTOMERS, TENANT_SCHEMAS, Twin, USER_SETTINGS,
};
use crossfade_tests::{Transcript, node, python};

/// Organisations are kept in step with tenants by whoever keeps the new application.
const ORGANISATIONS_FOLLOW: &str = "
CREATE FUNCTION organisation_follows() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.organizations (id, name) VALUES (NEW.id, NEW.name); RETURN NULL; END $$;
CREATE TRIGGER organisation_follows AFTER INSERT ON tenants_tenant FOR EACH ROW EXECUTE FUNCTION organisation_follows();";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Django,
    SqlAlchemy,
    Prisma,
    DjangoTenants,
}

impl Program {
    pub fn script(self) -> &'static str {
        match self {
            Program::Django => "orms/django_users.py",
            Program::SqlAlchemy => "orms/sqlalchemy_settings.py",
            Program::Prisma => "orms/prisma_studios.mjs",
            Program::DjangoTenants => "orms/django_tenants_hrms.py",
        }
    }

    pub async fn run(self, args: &[&str]) -> anyhow::Result<Transcript> {
        match self {
            Program::Django | Program::SqlAlchemy | Program::DjangoTenants => {
                python(self.script(), args).await
            }
            Program::Prisma => node(self.script(), args).await,
        }
    }

    /// The legacy tables of its application.
    pub fn tables(self) -> &'static [&'static str] {
        match self {
            Program::Django => &[
                "main_enhanceduser",
                "main_enhanceduser_groups",
                "main_enhanceduser_user_permissions",
            ],
            Program::SqlAlchemy => &["user_settings"],
            Program::Prisma => &[
                "studio_owners",
                "customers",
                "accounts",
                "sessions",
                "bookings",
                "\"_CustomerFavorites\"",
            ],
            Program::DjangoTenants => &[
                "acme_corp.employees_department",
                "acme_corp.employees_employee",
                "acme_corp.attendance_attendancerecord",
                "acme_corp.leave_holiday_locations",
                "globex_inc.employees_department",
                "globex_inc.employees_employee",
                "globex_inc.attendance_attendancerecord",
                "globex_inc.leave_holiday_locations",
            ],
        }
    }

    /// Both databases with the tables of its application, which it may make itself if it has to.
    pub async fn start(self) -> anyhow::Result<Twin> {
        let case = self.case().await;
        match self {
            Program::Django | Program::SqlAlchemy | Program::Prisma => Twin::start(case).await,
            Program::DjangoTenants => Twin::start_as_owner(case).await,
        }
    }

    /// Whether its steps make tables that are migrated: those of a tenant.
    pub fn makes_tables(self) -> bool {
        match self {
            Program::Django | Program::SqlAlchemy | Program::Prisma => false,
            Program::DjangoTenants => true,
        }
    }

    async fn case(self) -> Case {
        match self {
            Program::SqlAlchemy => USER_SETTINGS,
            Program::Prisma => Case {
                legacy: concat!(
                    include_str!("../../../data/lens/studio_customers_legacy.sql"),
                    // What an owner and a customer of one e-mail tell differently is lost, as the rule file says.
                    "UPDATE customers c SET name = o.name, password = o.password, image = o.image, \
                       \"emailVerified\" = o.\"emailVerified\", \"createdAt\" = o.\"createdAt\", \"updatedAt\" = o.\"updatedAt\" \
                     FROM studio_owners o WHERE o.email = c.email;"
                ),
                ..STUDIO_CUSTOMERS
            },
            Program::DjangoTenants => Case {
                legacy: leaked(
                    TENANT_SCHEMAS.legacy.to_owned()
                        + include_str!("../../../drivers/orms/django_tenants_hrms.sql"),
                ),
                // A tenant that is made has its organisation at once.
                unified: leaked(TENANT_SCHEMAS.unified.to_owned() + ORGANISATIONS_FOLLOW),
                ..TENANT_SCHEMAS
            },
            Program::Django => {
                let tables = python(self.script(), &["tables"]).await.unwrap();
                assert!(tables.succeeded, "{}", tables.errors);
                let rows = include_str!("../../../drivers/orms/django_users.sql");
                Case {
                    legacy: leaked(tables.output + rows),
                    ..ENHANCED_USER
                }
            }
        }
    }

    /// What an operator does when the legacy tables go, as the rule files say.
    pub fn drop_tables(self) -> &'static str {
        match self {
            Program::Django => {
                "BEGIN; \
                 CREATE OR REPLACE VIEW enhanced_user_seen AS SELECT NULL::bigint AS id, \
                   NULL::varchar(150) AS username, NULL::varchar(254) AS email WHERE false; \
                 CREATE TEMP TABLE next AS SELECT s.name, \
                   pg_sequence_last_value(('main_enhanceduser' || s.name || '_id_seq')::regclass) AS last \
                   FROM (VALUES (''), ('_groups'), ('_user_permissions')) AS s (name); \
                 DROP TABLE main_enhanceduser_groups, main_enhanceduser_user_permissions, main_enhanceduser; \
                 DO $$ DECLARE s record; BEGIN FOR s IN SELECT * FROM next LOOP \
                   EXECUTE format('CREATE SEQUENCE main_enhanceduser%s_id_seq START %s', s.name, s.last + 1); \
                 END LOOP; END $$; \
                 GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO PUBLIC; COMMIT"
            }
            Program::SqlAlchemy => {
                "BEGIN; ALTER TABLE settings ALTER id DROP DEFAULT; \
                 CREATE TEMP TABLE next AS SELECT last_value FROM user_settings_id_seq; \
                 DROP TABLE user_settings; CREATE SEQUENCE user_settings_id_seq; \
                 SELECT setval('user_settings_id_seq', last_value) FROM next; \
                 ALTER TABLE settings ALTER id SET DEFAULT nextval('user_settings_id_seq'); \
                 GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO PUBLIC; COMMIT"
            }
            Program::Prisma => {
                "DROP TABLE \"_CustomerFavorites\", bookings, sessions, accounts, customers, studio_owners"
            }
            // Ids go on being drawn from each tenant's sequence.
            Program::DjangoTenants => {
                "DO $$ DECLARE t text; next bigint; BEGIN FOREACH t IN ARRAY ARRAY['acme_corp', 'globex_inc'] LOOP \
                   next := nextval(format('%I.leave_holiday_locations_id_seq', t)); \
                   EXECUTE format('DROP SCHEMA %I CASCADE', t); EXECUTE format('CREATE SCHEMA %I', t); \
                   EXECUTE format('CREATE SEQUENCE %I.leave_holiday_locations_id_seq START %s', t, next); \
                   EXECUTE format('GRANT USAGE ON SCHEMA %I TO PUBLIC', t); \
                   EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO PUBLIC', t); \
                 END LOOP; END $$"
            }
        }
    }

    /// What an operator does before legacy goes stale: foreign keys turn.
    pub fn turn_references(self) -> &'static str {
        match self {
            Program::Django | Program::SqlAlchemy | Program::DjangoTenants => "",
            Program::Prisma => {
                "ALTER TABLE studios DROP CONSTRAINT \"studios_ownerId_fkey\", ADD CONSTRAINT \"studios_ownerId_fkey\" \
                 FOREIGN KEY (\"ownerId\") REFERENCES user_role_assignments (\"ownerId\") ON DELETE CASCADE ON UPDATE CASCADE"
            }
        }
    }
}

/// A text that lives as long as the test.
fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
