import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.io.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

/** JDBC: what applications do with it. One line a fact, equal wherever it runs. */
public final class App {
  private static final String URL = System.getenv("JDBC_URL");
  private static boolean failed = false;
  private static boolean simple = false;

  private interface Step {
    void run(Connection c) throws Exception;
  }

  private static void say(String label, Object value) {
    System.out.println(label + ": " + value);
  }

  /** A step that fails says so, and the program goes on with the next one. */
  private static void attempt(String label, Connection c, Step step) throws SQLException {
    try {
      step.run(c);
    } catch (Exception error) {
      failed = true;
      say(label + " failed", error);
    }
    if (!c.getAutoCommit()) {
      c.rollback();
      c.setAutoCommit(true);
    }
  }

  private static String rows(ResultSet set) throws SQLException {
    ResultSetMetaData meta = set.getMetaData();
    StringBuilder all = new StringBuilder();
    while (set.next()) {
      all.append('(');
      for (int i = 1; i <= meta.getColumnCount(); i++) {
        Object value = set.getObject(i);
        if (value instanceof byte[]) value = Arrays.toString((byte[]) value);
        if (value instanceof Array) value = Arrays.toString((Object[]) ((Array) value).getArray());
        all.append(i > 1 ? ", " : "").append(value);
      }
      all.append(')');
    }
    return all.toString();
  }

  private static String query(Connection c, String sql, Object... values) throws SQLException {
    try (PreparedStatement s = c.prepareStatement(sql)) {
      for (int i = 0; i < values.length; i++) s.setObject(i + 1, values[i]);
      try (ResultSet set = s.executeQuery()) {
        return rows(set);
      }
    }
  }

  private static void fails(Connection c, String label, String sql, Object... values) {
    try {
      say(label, query(c, sql, values));
    } catch (SQLException error) {
      say(label, error.getSQLState() + " " + error.getMessage().split("\n")[0]);
    }
  }

  private static void schema(Connection c) throws SQLException {
    try (Statement s = c.createStatement()) {
      s.execute("DROP TABLE IF EXISTS orders, customers, countries, notes");
      s.execute("CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)");
      s.execute(
          "CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL,"
              + " country text REFERENCES countries, born date, seen timestamptz, at timestamp,"
              + " balance numeric(12,2), rate float8, small float4, active boolean, token uuid,"
              + " photo bytea, tags text[], scores int[], data jsonb)");
      s.execute(
          "CREATE TABLE orders (id bigint, customer_id bigint REFERENCES customers,"
              + " item text, amount numeric(10,2), PRIMARY KEY (customer_id, id))");
      s.execute("CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)");
      say("script", s.execute("INSERT INTO countries VALUES ('de', 'Germany'); SELECT count(*) FROM countries"));
      s.getMoreResults();
      say("second", rows(s.getResultSet()));
    }
  }

  private static void inserts(Connection c) throws SQLException {
    String marks = String.join(", ", Collections.nCopies(15, "?"));
    try (PreparedStatement s = c.prepareStatement("INSERT INTO customers VALUES (" + marks + ")")) {
      for (long key = 1; key <= 20; key++) {
        s.setLong(1, key);
        s.setString(2, "name " + key + " ß");
        s.setString(3, "de");
        s.setObject(4, LocalDate.of(1990, 1, (int) key));
        s.setObject(5, OffsetDateTime.of(2024, 2, 29, 12, 0, (int) key, 0, ZoneOffset.UTC));
        s.setObject(6, LocalDateTime.of(2024, 2, 29, 12, 0, (int) key, 123456000));
        s.setBigDecimal(7, new BigDecimal("1.25").multiply(BigDecimal.valueOf(key)));
        s.setDouble(8, key / 3.0);
        s.setFloat(9, key / 3f);
        s.setBoolean(10, key % 2 == 0);
        s.setObject(11, new UUID(key, key));
        // The driver has no text form of bytes for simple queries.
        if (simple) s.setNull(12, Types.BINARY);
        else s.setBytes(12, new byte[] {0, (byte) key, -1});
        s.setArray(13, c.createArrayOf("text", new String[] {"a", null, "c\"d"}));
        s.setArray(14, c.createArrayOf("int4", new Integer[] {(int) key, null}));
        s.setObject(15, "{\"k\": " + key + "}", Types.OTHER);
        if (key <= 3) say("insert", s.executeUpdate());
        else s.addBatch();
      }
      say("batch", Arrays.toString(s.executeBatch()));
    }
    try (PreparedStatement s =
        c.prepareStatement("INSERT INTO orders (id, customer_id, item, amount) VALUES (?, ?, ?, ?)")) {
      c.setAutoCommit(false);
      for (int key = 1; key <= 20; key++) {
        for (int n = 1; n <= 3; n++) {
          s.setInt(1, n);
          s.setInt(2, key);
          s.setString(3, null);
          s.setObject(4, new BigDecimal(n));
          s.addBatch();
        }
      }
      say("orders", Arrays.stream(s.executeBatch()).sum());
      c.commit();
      c.setAutoCommit(true);
    }
    try (PreparedStatement s =
        c.prepareStatement("INSERT INTO notes (body) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
      s.setString(1, "first");
      s.executeUpdate();
      say("generated", rows(s.getGeneratedKeys()));
    }
    try (PreparedStatement s =
        c.prepareStatement("INSERT INTO orders VALUES (?, ?, 'x', 1)", new String[] {"customer_id"})) {
      s.setInt(1, 50);
      s.setInt(2, 7);
      s.executeUpdate();
      say("named key", rows(s.getGeneratedKeys()));
    }
  }

  private static void described(Connection c) throws SQLException {
    try (PreparedStatement s = c.prepareStatement("SELECT * FROM customers WHERE id = ?")) {
      ResultSetMetaData meta = s.getMetaData();
      for (int i = 1; i <= meta.getColumnCount(); i++) {
        say("column", meta.getColumnName(i) + " " + meta.getColumnTypeName(i) + " " + meta.getPrecision(i)
            + " " + meta.getScale(i) + " " + meta.isNullable(i) + " " + meta.getColumnClassName(i));
      }
      say("parameter", s.getParameterMetaData().getParameterTypeName(1));
    }
  }

  private static void reads(Connection c) throws SQLException {
    for (int i = 0; i < 8; i++) {
      say("one " + i, query(c, "SELECT * FROM customers WHERE id = ?", 3L + i));
    }
    if (!simple) described(c);
    for (int i = 0; i < 7; i++) {
      say("ordered", query(c, "SELECT id, name, balance FROM customers WHERE id > ? ORDER BY name DESC, id LIMIT 3", 4 + i));
      say("grouped", query(c, "SELECT country, count(*), sum(balance), avg(rate) > 0 FROM customers GROUP BY country"));
    }
    say("any", query(c, "SELECT id FROM customers WHERE id = ANY(?) ORDER BY id",
        c.createArrayOf("int8", new Long[] {2L, 4L, 6L})));
    say("join", query(c, "SELECT c.id, o.id FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.amount > ? ORDER BY 1, 2 LIMIT 5", 2));
    say("date", query(c, "SELECT id FROM customers WHERE born > ? ORDER BY id", java.sql.Date.valueOf("1990-01-18")));
    say("timestamp", query(c, "SELECT id FROM customers WHERE at > ? ORDER BY id", Timestamp.valueOf("2024-02-29 12:00:18")));
    say("exists", query(c, "SELECT k.name FROM countries k WHERE EXISTS (SELECT 1 FROM customers c WHERE c.country = k.code)"));
    say("updated", c.createStatement().executeUpdate("UPDATE customers SET rate = 1 WHERE active"));
    say("no rows", query(c, "SELECT * FROM orders WHERE customer_id = ?", 999));
    DatabaseMetaData meta = c.getMetaData();
    say("keys", rows(meta.getPrimaryKeys(null, "public", "orders")).replaceAll("postgres|w8", "db"));
    try (ResultSet tables = meta.getTables(null, "public", "%", new String[] {"TABLE"})) {
      List<String> names = new ArrayList<>();
      while (tables.next()) names.add(tables.getString("TABLE_NAME"));
      names.retainAll(List.of("customers", "orders", "countries", "notes"));
      say("tables", names);
    }
  }

  private static void fetching(Connection c, String sql) throws SQLException {
    c.setAutoCommit(false);
    try (PreparedStatement s = c.prepareStatement(sql)) {
      s.setFetchSize(4);
      try (ResultSet set = s.executeQuery()) {
        say("fetched", rows(set));
      }
      s.setFetchSize(0);
      s.setMaxRows(2);
      try (ResultSet set = s.executeQuery()) {
        say("max rows", rows(set));
      }
    }
    c.commit();
  }

  private static void updatable(Connection c) throws SQLException {
    try (Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
        ResultSet set = s.executeQuery("SELECT id, name FROM customers WHERE id = 9")) {
      set.first();
      set.updateString("name", "updated in place");
      set.updateRow();
      say("updatable", query(c, "SELECT name FROM customers WHERE id = 9"));
    }
  }

  private static void errors(Connection c) throws SQLException {
    fails(c, "unique", "INSERT INTO customers (id, name) VALUES (?, 'x')", 1);
    fails(c, "null", "INSERT INTO customers (id) VALUES (?)", 100);
    fails(c, "foreign", "INSERT INTO customers (id, name, country) VALUES (?, 'x', 'xx')", 100);
    fails(c, "syntax", "SELEC 1");
    fails(c, "table", "SELECT * FROM nowhere");
    fails(c, "division", "SELECT 1 / (id - ?) FROM customers ORDER BY id", 4);
    fails(c, "number", "SELECT id FROM customers WHERE id = ?::int8", "x");
    try (PreparedStatement s = c.prepareStatement("INSERT INTO orders (id, customer_id) VALUES (?, ?)")) {
      for (int n : new int[] {60, 61, 60}) {
        s.setInt(1, n);
        s.setInt(2, 5);
        s.addBatch();
      }
      s.executeBatch();
    } catch (BatchUpdateException error) {
      say("batch error", error.getSQLState() + Arrays.toString(error.getUpdateCounts()));
    }
    say("after it", query(c, "SELECT count(*) FROM orders WHERE customer_id = 5"));
  }

  private static void transactions(Connection c) throws Exception {
    c.setAutoCommit(false);
    c.createStatement().executeUpdate("UPDATE customers SET name = 'one' WHERE id = 1");
    Savepoint point = c.setSavepoint("here");
    c.createStatement().executeUpdate("UPDATE customers SET name = 'all'");
    c.rollback(point);
    c.releaseSavepoint(c.setSavepoint());
    c.commit();
    say("names", query(c, "SELECT name, count(*) FROM customers WHERE name IN ('one', 'all') GROUP BY name"));
    c.commit();
    c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
    say("isolation", c.getTransactionIsolation() + query(c, "SELECT name FROM customers WHERE id = 1"));
    c.commit();
    c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
    c.setReadOnly(true);
    fails(c, "read only", "DELETE FROM customers WHERE id = 1 RETURNING id");
    c.rollback();
    c.setReadOnly(false);
    c.setAutoCommit(true);
    say("valid", c.isValid(2));
    try (Statement s = c.createStatement()) {
      s.setQueryTimeout(1);
      s.executeQuery("SELECT pg_sleep(10)");
    } catch (SQLException error) {
      say("timeout", error.getSQLState());
    }
    c.setSchema("pg_catalog");
    say("schema", c.getSchema());
    c.setSchema("public");
  }

  private static void copies(Connection c) throws Exception {
    CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
    StringBuilder lines = new StringBuilder();
    for (int n = 500; n < 600; n++) lines.append(n).append(",copied\n");
    say("copied", copy.copyIn("COPY customers (id, name) FROM STDIN (FORMAT csv)", new StringReader(lines.toString())));
    StringWriter out = new StringWriter();
    say("out", copy.copyOut("COPY (SELECT id, name FROM customers WHERE id = 550) TO STDOUT", out));
    say("text", out);
  }

  public static void main(String[] args) throws Exception {
    for (String mode : new String[] {"extended", "extendedForPrepared", "simple"}) {
      say("mode", mode);
      simple = mode.equals("simple");
      try (Connection c = DriverManager.getConnection(URL + "&preferQueryMode=" + mode)) {
        attempt("schema", c, App::schema);
        attempt("inserts", c, App::inserts);
        attempt("reads", c, App::reads);
        attempt("fetching by key", c, k -> fetching(k, "SELECT g FROM generate_series(1, 10) g, customers WHERE id = 1 ORDER BY g"));
        attempt("fetching", c, k -> fetching(k, "SELECT id, name FROM customers ORDER BY id"));
        attempt("updatable", c, App::updatable);
        attempt("errors", c, App::errors);
        attempt("transactions", c, App::transactions);
        attempt("copies", c, App::copies);
        c.createStatement().execute("DROP TABLE orders, customers, countries, notes");
      }
    }
    System.exit(failed ? 1 : 0);
  }
}
