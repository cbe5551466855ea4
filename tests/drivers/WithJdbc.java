// JDBC: prints what it was answered, on ordinary tables or as the old version of the application.

import java.io.StringReader;
import java.io.StringWriter;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.Arrays;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class WithJdbc {
    static final String COLUMNS =
        "clerk_user_id, email, full_name, role, margin_type, margin_value, is_active, metadata";

    interface Act {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        URI uri = new URI(args[1]);
        String[] user = uri.getUserInfo().split(":");
        String url = "jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath();
        // The server's own failure to encrypt is no part of this; the zone is the server's.
        System.setProperty("user.timezone", "UTC");
        try (Connection db = DriverManager.getConnection(url + "?sslmode=disable", user[0], user[1])) {
            if (args[0].equals("ordinary")) ordinary(db);
            else managed(db);
        }
    }

    static void show(String what, ResultSet rows) throws SQLException {
        ResultSetMetaData meta = rows.getMetaData();
        StringBuilder text = new StringBuilder(what);
        for (int n = 1; n <= meta.getColumnCount(); n++)
            text.append(' ').append(meta.getColumnName(n)).append(':').append(meta.getColumnTypeName(n));
        while (rows.next()) {
            text.append("\n   ");
            for (int n = 1; n <= meta.getColumnCount(); n++) text.append(' ').append(rows.getString(n));
        }
        System.out.println(text);
    }

    static void fails(String what, Act act) throws Exception {
        try {
            act.run();
            System.out.println(what + " did not fail");
        } catch (SQLException error) {
            System.out.println(what + " " + error.getSQLState() + " " + error.getMessage());
        }
    }

    static void ordinary(Connection db) throws Exception {
        Statement plain = db.createStatement();
        show("simple", plain.executeQuery("SELECT 1 AS one, 'ä' AS two, NULL AS three"));
        plain.execute("CREATE TEMP TABLE things (id int PRIMARY KEY, name text, price numeric(8,2))");
        boolean more = plain.execute("SELECT 1 AS a; INSERT INTO things VALUES (1, 'one'); SELECT 2 AS b");
        for (; more || plain.getUpdateCount() != -1; more = plain.getMoreResults()) {
            if (more) show("several", plain.getResultSet());
            else System.out.println("several " + plain.getUpdateCount());
        }
        // From the fifth time on the driver uses a named statement, then binary results.
        try (PreparedStatement next = db.prepareStatement("SELECT ?::int + 1 AS next, ?::text AS text")) {
            for (int n = 0; n < 8; n++) {
                next.setInt(1, n);
                next.setString(2, "t" + n);
                show("prepared", next.executeQuery());
            }
        }
        try (PreparedStatement insert = db.prepareStatement(
                "INSERT INTO things (id, name) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int n = 10; n < 40; n++) {
                insert.setInt(1, n);
                insert.setString(2, "n" + n);
                insert.addBatch();
            }
            System.out.println("batch " + Arrays.toString(insert.executeBatch()));
            show("keys", insert.getGeneratedKeys());
            insert.setInt(1, 100);
            insert.setString(2, "x");
            insert.addBatch();
            insert.setInt(1, 10);
            insert.addBatch();
            fails("batch", insert::executeBatch);
        }
        fails("syntax", () -> plain.execute("SELEC 1"));
        fails("unknown", () -> db.prepareStatement("SELECT * FROM nowhere WHERE a = ?").getMetaData());
        plain.execute("DO $$ BEGIN RAISE WARNING 'noticed'; END $$");
        System.out.println("warning " + plain.getWarnings().getMessage());

        db.setAutoCommit(false);
        try (Statement portal = db.createStatement()) {
            portal.setFetchSize(7);
            show("fetched", portal.executeQuery("SELECT id FROM things ORDER BY id"));
        }
        Savepoint savepoint = db.setSavepoint();
        fails("duplicate", () -> plain.execute("INSERT INTO things VALUES (1)"));
        fails("in a failed transaction", () -> plain.execute("SELECT 1"));
        db.rollback(savepoint);
        show("goes on", plain.executeQuery("SELECT count(*) FROM things"));
        db.commit();
        db.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        show("isolation", plain.executeQuery("SHOW transaction_isolation"));
        db.rollback();
        db.setAutoCommit(true);

        PGConnection own = db.unwrap(PGConnection.class);
        CopyManager copies = own.getCopyAPI();
        StringBuilder lines = new StringBuilder();
        for (int n = 200; n < 2200; n++) lines.append(n).append("\tcopied\t\\N\n");
        System.out.println("copied " + copies.copyIn("COPY things FROM STDIN", new StringReader(lines.toString())));
        StringWriter out = new StringWriter();
        copies.copyOut("COPY (SELECT * FROM things WHERE id < 13 ORDER BY id) TO STDOUT (FORMAT csv)", out);
        System.out.println("out " + out);
        fails("copy", () -> copies.copyIn("COPY things FROM STDIN", new StringReader("wrong\n")));

        plain.execute("LISTEN news");
        plain.execute("NOTIFY news, 'hello'");
        for (var notification : own.getNotifications(5000))
            System.out.println("heard " + notification.getName() + " " + notification.getParameter());
        // The driver cancels what takes too long, by a connection of its own.
        plain.setQueryTimeout(1);
        fails("cancelled", () -> plain.executeQuery("SELECT pg_sleep(600)"));
        plain.setQueryTimeout(0);
        show("after it", plain.executeQuery("SELECT 'here' AS a"));
        show("tables", db.getMetaData().getTables(null, "public", "iso%", null));
        show("columns", db.getMetaData().getColumns(null, "public", "client_profiles", "%"));
        // A plan that no longer fits: the driver prepares it again by itself.
        PreparedStatement all = db.prepareStatement("SELECT * FROM things WHERE id = 1");
        for (int n = 0; n < 6; n++) all.executeQuery();
        plain.execute("ALTER TABLE things ADD later int");
        show("changed", all.executeQuery());
    }

    static int insert(Connection db, int number, String role) throws SQLException {
        try (PreparedStatement insert = db.prepareStatement(
                "INSERT INTO iso_agents (id, clerk_user_id, email, full_name, role, metadata)"
                    + " VALUES (?, ?, ?, ?, ?::user_role, ?::jsonb)")) {
            insert.setObject(1, new UUID(0, number));
            insert.setString(2, "new_" + number);
            insert.setString(3, "new." + number + "@example.com");
            insert.setString(4, "New " + number);
            insert.setString(5, role);
            insert.setString(6, "{\"a\": [1, null]}");
            return insert.executeUpdate();
        }
    }

    static void managed(Connection db) throws Exception {
        Statement plain = db.createStatement();
        show("read", plain.executeQuery("SELECT " + COLUMNS + " FROM iso_agents ORDER BY email LIMIT 3"));
        try (PreparedStatement byUser = db.prepareStatement(
                "SELECT " + COLUMNS + " FROM iso_agents WHERE clerk_user_id = ?")) {
            for (int n = 1; n <= 8; n++) {
                byUser.setString(1, "user_" + n);
                show("prepared", byUser.executeQuery());
            }
        }
        System.out.println("insert " + insert(db, 1, "operator") + insert(db, 2, "iso_agent"));
        fails("duplicate", () -> insert(db, 2, "operator"));
        fails("role", () -> insert(db, 3, "no such role"));
        try (PreparedStatement insert = db.prepareStatement(
                "INSERT INTO iso_agents (clerk_user_id, email, full_name) VALUES (?, ?, 'Key')",
                new String[] {"clerk_user_id", "role"})) {
            insert.setString(1, "new_key");
            insert.setString(2, "new.key@example.com");
            System.out.println("keyed " + insert.executeUpdate());
            show("keys", insert.getGeneratedKeys());
        }
        try (PreparedStatement update = db.prepareStatement(
                "UPDATE iso_agents SET full_name = ?, margin_value = ? WHERE clerk_user_id = ?")) {
            for (int n = 1; n <= 20; n++) {
                update.setString(1, "Batch " + n);
                update.setBigDecimal(2, new java.math.BigDecimal(n));
                update.setString(3, "user_" + n);
                update.addBatch();
            }
            System.out.println("batch " + Arrays.toString(update.executeBatch()));
        }
        show("returning", plain.executeQuery(
            "UPDATE iso_agents SET role = 'admin' WHERE clerk_user_id = 'new_1' RETURNING role, margin_value"));
        db.setAutoCommit(false);
        try (Statement portal = db.createStatement()) {
            portal.setFetchSize(5);
            show("fetched", portal.executeQuery(
                "SELECT full_name, role FROM iso_agents WHERE full_name LIKE 'Batch%' ORDER BY email"));
        }
        fails("transaction", () -> insert(db, 1, "operator"));
        db.rollback();
        db.setAutoCommit(true);
        System.out.println("delete " + plain.executeUpdate("DELETE FROM iso_agents WHERE clerk_user_id = 'new_2'"));
        show("left", plain.executeQuery(
            "SELECT " + COLUMNS + " FROM iso_agents WHERE clerk_user_id LIKE 'new%' ORDER BY email"));
        show("sum", plain.executeQuery("SELECT count(*), sum(margin_value) FROM iso_agents"));
    }
}
