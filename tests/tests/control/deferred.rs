//! Foreign keys of unified that are looked at when the transaction ends, as all of Django's are: where the unified half
//! alone breaks one, that is recorded, set aside and tried again like any other failure of a row.

use crossfade_tests::twin::{Case, ENHANCED_USER, Twin, answer};
use rewrite_rules::Phase;

/// Orders come before the customers that they refer to, and refer to each other.
const ORDERS: Case = Case {
    name: "orders",
    rules: r#"
[migration]
name = "orders"
phase = "legacy_only"

[[table]]
legacy = "public.orders"
unified = "public.purchases"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
customer_id = { type = "integer", unified = "client_id" }
first_id = "integer"
[table.constraints]
orders_customer_fk = "purchases_client_fk"
orders_first_fk = "purchases_first_fk"

[[table]]
legacy = "public.customers"
unified = "public.clients"
key = ["id"]
[table.columns]
id = "integer NOT NULL"
name = "text NOT NULL"
"#,
    tables: 2,
    also: &[],
    server: "",
    legacy: "CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
        CREATE TABLE orders (id integer PRIMARY KEY,
          customer_id integer CONSTRAINT orders_customer_fk REFERENCES customers DEFERRABLE INITIALLY DEFERRED,
          first_id integer CONSTRAINT orders_first_fk REFERENCES orders DEFERRABLE INITIALLY DEFERRED);
        CREATE INDEX ON orders (customer_id);
        CREATE INDEX ON orders (first_id);
        INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 120) AS n;
        INSERT INTO orders SELECT n, n, CASE WHEN n % 7 = 0 THEN 121 - n END FROM generate_series(1, 120) AS n",
    unified: "CREATE TABLE clients (id integer PRIMARY KEY, name text NOT NULL CONSTRAINT no_x CHECK (name <> 'x'));
        CREATE TABLE purchases (id integer PRIMARY KEY,
          client_id integer CONSTRAINT purchases_client_fk REFERENCES clients DEFERRABLE INITIALLY DEFERRED,
          first_id integer CONSTRAINT purchases_first_fk REFERENCES purchases DEFERRABLE INITIALLY DEFERRED);
        CREATE INDEX ON purchases (client_id);
        CREATE INDEX ON purchases (first_id)",
};

const LEDGER: &str =
    "SELECT legacy_table, key::text, sqlstate FROM crossfade.divergence ORDER BY 1, 2";

async fn in_dual_write() -> Twin {
    let twin = Twin::start(ORDERS).await.unwrap();
    twin.prepare().await.unwrap();
    twin.advance(Phase::DualWrite).await.unwrap();
    twin
}

#[tokio::test]
async fn what_a_deferred_foreign_key_of_unified_refuses_is_recorded_and_the_legacy_write_stands() {
    let twin = in_dual_write().await;
    let operator = twin.superuser().await.unwrap();
    // Nothing has been copied yet.
    for sql in [
        "INSERT INTO orders (id, customer_id) VALUES (3001, 1), (3002, NULL)",
        "BEGIN",
        "INSERT INTO orders (id, customer_id) VALUES (3003, 2)",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "COMMIT",
        "UPDATE orders SET customer_id = 3 WHERE id = 3002",
        // A customer of its own.
        "BEGIN",
        "INSERT INTO customers VALUES (4000, 'new')",
        "INSERT INTO orders (id, customer_id) VALUES (4000, 4000)",
        "COMMIT",
        // Legacy's own foreign key decides as ever.
        "INSERT INTO orders (id, customer_id) VALUES (3004, 77777)",
    ] {
        twin.same(sql).await.unwrap();
    }
    twin.equal("orders", "orders").await.unwrap();
    let entries = "\"public\".\"orders\"|[\"3001\"]|23503\n\"public\".\"orders\"|[\"3002\"]|23503\n\"public\".\"orders\"|[\"3003\"]|23503";
    assert_eq!(
        answer(&operator, LEDGER).await,
        format!("(legacy_table, key, sqlstate)\n{entries}\ndone 3")
    );
    let there = "SELECT id, client_id FROM purchases ORDER BY id";
    assert_eq!(
        answer(&twin.direct, there).await,
        "(id, client_id)\n3002|∅\n4000|4000\ndone 2"
    );
    // A unified row that only unified knows refers to what legacy deletes.
    let only = "INSERT INTO purchases (id, client_id) VALUES (5000, 4000)";
    operator.batch_execute(only).await.unwrap();
    for sql in [
        "DELETE FROM orders WHERE id = 4000",
        "DELETE FROM customers WHERE id = 4000",
    ] {
        twin.same(sql).await.unwrap();
    }
    assert!(
        answer(&operator, LEDGER)
            .await
            .contains("\"public\".\"customers\"|[\"4000\"]|23503")
    );
    operator
        .batch_execute("DELETE FROM purchases WHERE id = 5000")
        .await
        .unwrap();
    for command in ["backfill", "verify --repair", "backfill"] {
        twin.crossfade(command).await.unwrap();
    }
    assert!(!answer(&operator, LEDGER).await.contains("23503"));
    twin.verified(2).await;
}

#[tokio::test]
async fn what_other_statements_have_deferred_is_no_failure_of_the_one_that_comes_behind() {
    let twin = in_dual_write().await;
    twin.crossfade("backfill").await.unwrap();
    let operator = twin.superuser().await.unwrap();
    // An invoice of the new application's, which may come before what it refers to.
    let more = "CREATE TABLE invoices (id integer PRIMARY KEY, \
          client_id integer CONSTRAINT invoices_client_fk REFERENCES clients DEFERRABLE INITIALLY DEFERRED, \
          payer_id integer CONSTRAINT invoices_payer_fk REFERENCES clients DEFERRABLE); \
        GRANT ALL ON invoices TO PUBLIC";
    operator.batch_execute(more).await.unwrap();
    for sql in [
        "BEGIN",
        "INSERT INTO invoices VALUES (1, 7000, NULL)",
        "UPDATE customers SET name = 'other' WHERE id = 5",
        "INSERT INTO orders (id, customer_id) VALUES (7001, 6)",
        "INSERT INTO customers VALUES (7000, 'new')",
        "COMMIT",
        // What the client has deferred stays so.
        "BEGIN",
        "SET CONSTRAINTS invoices_payer_fk DEFERRED",
        "UPDATE customers SET name = 'another' WHERE id = 5",
        "INSERT INTO invoices VALUES (2, NULL, 7002)",
        "UPDATE customers SET name = 'the last' WHERE id = 5",
        "INSERT INTO customers VALUES (7002, 'new')",
        "COMMIT",
    ] {
        let told = answer(&twin.proxied, sql).await;
        assert!(told.starts_with("done"), "{sql}: {told}");
    }
    assert_eq!(
        answer(&operator, LEDGER).await,
        "(legacy_table, key, sqlstate)\ndone 0"
    );
    twin.verified(2).await;
    // It is told as it would be anyhow.
    for sql in [
        "BEGIN",
        "INSERT INTO invoices VALUES (3, 7003, NULL)",
        "UPDATE customers SET name = 'lost' WHERE id = 5",
    ] {
        let told = answer(&twin.proxied, sql).await;
        assert!(told.starts_with("done"), "{sql}: {told}");
    }
    let told = answer(&twin.proxied, "COMMIT").await;
    assert!(
        told.starts_with("23503") && told.contains("invoices_client_fk"),
        "{told}"
    );
    twin.verified(2).await;
}

#[tokio::test]
async fn a_backfill_sets_aside_what_refers_to_a_row_that_was_set_aside_and_goes_on() {
    let twin = in_dual_write().await;
    let operator = twin.superuser().await.unwrap();
    let (spoil, mend) = (
        "UPDATE customers SET name = 'x' WHERE id = 40",
        "UPDATE customers SET name = 'y' WHERE id = 40",
    );
    twin.same(spoil).await.unwrap();
    let said = twin.crossfade("backfill").await.unwrap();
    assert!(said.contains("complete"), "{said}");
    assert_eq!(
        answer(&operator, LEDGER).await,
        "(legacy_table, key, sqlstate)\n\"public\".\"customers\"|[\"40\"]|23514\n\"public\".\"orders\"|[\"40\"]|23503\ndone 2"
    );
    let status = twin.crossfade("status").await.unwrap();
    assert_eq!(status.matches("1 set aside").count(), 2, "{status}");
    assert_eq!(status.matches(": complete").count(), 2, "{status}");
    twin.same(mend).await.unwrap();
    twin.crossfade("backfill").await.unwrap();
    let status = twin.crossfade("status").await.unwrap();
    assert_eq!(status.matches("0 set aside").count(), 2, "{status}");
    twin.verified(2).await;
}

#[tokio::test]
async fn a_backfill_that_nobody_is_at_any_more_is_told_as_interrupted() {
    let twin = in_dual_write().await;
    twin.crossfade("backfill").await.unwrap();
    let operator = twin.superuser().await.unwrap();
    let killed = "UPDATE crossfade.backfill SET state = 'running'";
    operator.batch_execute(killed).await.unwrap();
    let status = twin.crossfade("status").await.unwrap();
    assert_eq!(status.matches(": interrupted").count(), 2, "{status}");
}

#[tokio::test]
async fn check_tells_what_a_foreign_key_or_a_trigger_does_on_one_side_alone() {
    let twin = Twin::start(ORDERS).await.unwrap();
    let operator = twin.superuser().await.unwrap();
    let acts = "ALTER TABLE orders DROP CONSTRAINT orders_customer_fk, ADD CONSTRAINT orders_customer_fk \
          FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE; \
        CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS \
          $$ BEGIN UPDATE customers SET name = name WHERE id = new.id; RETURN NULL; END $$; \
        CREATE TRIGGER counts AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION counts()";
    operator.batch_execute(acts).await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    let line = |of: &str| {
        said.lines()
            .any(|line| line.starts_with("warning") && line.contains(of))
    };
    assert!(
        line(
            "orders_customer_fk says ON DELETE CASCADE ON UPDATE NO ACTION NOT DEFERRABLE, and purchases_client_fk on \
             public.purchases, which stands for it, ON DELETE NO ACTION ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED"
        ),
        "{said}"
    );
    assert!(line("trigger counts of customers"), "{said}");
    assert!(said.contains("reaches legacy alone"), "{said}");
}

#[tokio::test]
async fn check_compares_the_foreign_keys_of_a_written_lens_with_the_table() {
    let twin = Twin::start(ENHANCED_USER).await.unwrap();
    twin.prepare().await.unwrap();
    let said = twin.crossfade("check").await.unwrap();
    assert!(
        said.contains("0 errors") && !said.contains("does not repeat"),
        "{said}"
    );
    let operator = twin.superuser().await.unwrap();
    let other = "ALTER TABLE main_enhanceduser DROP CONSTRAINT main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id, \
        ADD CONSTRAINT main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id FOREIGN KEY (manager_id) REFERENCES main_enhanceduser ON DELETE SET NULL; \
        ALTER TABLE main_enhanceduser_groups DROP CONSTRAINT main_enhanceduser_gr_enhanceduser_id_b3f68b6d_fk_main_enha; \
        ALTER TABLE main_customuser ADD CONSTRAINT of_unified CHECK (true), DROP CONSTRAINT main_customuser_technician_id_fkey; \
        ALTER TABLE main_enhanceduser_user_permissions ADD CONSTRAINT again FOREIGN KEY (permission_id) REFERENCES auth_permission";
    operator.batch_execute(other).await.unwrap();
    let said = format!("{:#}", twin.crossfade("check").await.unwrap_err());
    for found in [
        "main_enhanceduser_manager_id_5ff6ed83_fk_main_enhanceduser_id is FOREIGN KEY (manager_id) REFERENCES main_enhanceduser(id) ON DELETE SET NULL",
        "the table has no foreign key main_enhanceduser_gr_enhanceduser_id_b3f68b6d_fk_main_enha",
        "no unified table has the constraint main_customuser_technician_id_fkey",
        "the rule file does not repeat again",
    ] {
        assert!(said.contains(found), "{found}: {said}");
    }
}
