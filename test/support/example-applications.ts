/** What one of the example configurations is for, as statements. */
export interface ExampleApplication {
  /** In config/, without `.yaml`. */
  readonly name: string;
  /** Run through the proxy and on the oracle: tables and rows. */
  readonly schema: readonly string[];
  /** Give the same answer on both, in this order. */
  readonly same: readonly string[];
  /** Statements that go to the one shard named, as ROUTE of the console says. */
  readonly routes: Readonly<Record<string, string>>;
  /** Statements that a lookup leads to one shard, or none, once it has been filled. */
  readonly byLookup?: readonly string[];
  /** Statements that the example refuses. */
  readonly refused?: readonly string[];
  /** INSERTs that leave the ids to the proxy; they return one bigint each. */
  readonly ids?: readonly string[];
}

const eCommerce: ExampleApplication = {
  name: 'e-commerce',
  schema: [
    'CREATE TABLE suppliers (id int PRIMARY KEY, name text)',
    'CREATE TABLE stock (sku text PRIMARY KEY, pieces int CHECK (pieces >= 0))',
    'CREATE TABLE categories (id int PRIMARY KEY, name text)',
    `CREATE TABLE products (sku text PRIMARY KEY, name text, price numeric,
      category_id int REFERENCES categories)`,
    'CREATE TABLE customers (customer_id bigint PRIMARY KEY, email text UNIQUE, name text)',
    `CREATE TABLE orders (customer_id bigint REFERENCES customers, order_id bigint,
      placed date, PRIMARY KEY (customer_id, order_id))`,
    `CREATE TABLE order_items (customer_id bigint, order_id bigint, sku text REFERENCES products,
      quantity int, PRIMARY KEY (customer_id, order_id, sku),
      FOREIGN KEY (customer_id, order_id) REFERENCES orders (customer_id, order_id))`,
    'CREATE TABLE carts (customer_id bigint, sku text, quantity int, PRIMARY KEY (customer_id, sku))',
    "INSERT INTO categories VALUES (1, 'cups'), (2, 'pots')",
    "INSERT INTO products VALUES ('c1', 'small cup', 4.50, 1), ('p1', 'tea pot', 30, 2)",
    "INSERT INTO stock VALUES ('c1', 100), ('p1', 7)",
    "INSERT INTO customers SELECT i, 'c' || i || '@example.com', 'c' || i FROM generate_series(1, 24) i",
    "INSERT INTO orders SELECT i, 1000 + i, date '2026-01-01' + i::int FROM generate_series(1, 24) i",
    `INSERT INTO order_items SELECT i, 1000 + i, CASE WHEN i % 3 = 0 THEN 'p1' ELSE 'c1' END, i
      FROM generate_series(1, 24) i`,
    "INSERT INTO carts VALUES (7, 'c1', 3)",
  ],
  same: [
    `SELECT o.order_id, p.name, i.quantity * p.price FROM orders o
      JOIN order_items i USING (customer_id, order_id) JOIN products p USING (sku)
      WHERE o.customer_id = 6`,
    'SELECT sku, sum(quantity), count(*) FROM order_items GROUP BY sku ORDER BY sku',
    "SELECT name FROM customers WHERE email = 'c9@example.com'",
    'SELECT placed FROM orders WHERE order_id = 1011',
    `SELECT c.name, sum(i.quantity * p.price) AS paid FROM customers c
      JOIN order_items i USING (customer_id) JOIN products p USING (sku)
      GROUP BY c.customer_id, c.name ORDER BY paid DESC, c.name LIMIT 5`,
    'BEGIN',
    "UPDATE stock SET pieces = pieces - 3 WHERE sku = 'c1' RETURNING pieces",
    "INSERT INTO orders VALUES (7, 2000, '2026-05-01') RETURNING *",
    `INSERT INTO order_items SELECT customer_id, 2000, sku, quantity FROM carts
      WHERE customer_id = 7`,
    'DELETE FROM carts WHERE customer_id = 7 RETURNING sku',
    'COMMIT',
    'SELECT * FROM order_items WHERE customer_id = 7 ORDER BY order_id',
    "SELECT pieces FROM stock WHERE sku = 'c1'",
  ],
  routes: {
    // What PostgreSQL's hash makes of these numbers.
    [`SELECT * FROM orders JOIN order_items USING (customer_id, order_id)
      JOIN products USING (sku) WHERE customer_id = 1`]: 's3',
    'DELETE FROM carts WHERE customer_id = 1': 's3',
  },
  byLookup: [
    "SELECT name FROM customers WHERE email = 'c9@example.com'",
    'SELECT placed FROM orders WHERE order_id = 1011',
  ],
  ids: [
    "INSERT INTO customers (email, name) VALUES ('new@example.com', 'new') RETURNING customer_id",
    "INSERT INTO orders (customer_id, placed) VALUES (5, '2026-06-01') RETURNING order_id",
  ],
};

const multiTenant: ExampleApplication = {
  name: 'multi-tenant',
  schema: [
    'CREATE TABLE tenants (tenant text PRIMARY KEY, plan text)',
    'CREATE TABLE invoices (id int PRIMARY KEY, tenant text REFERENCES tenants, amount numeric)',
    'CREATE TABLE plans (plan text PRIMARY KEY, seats int)',
    'CREATE TABLE members (tenant text, email text UNIQUE, name text, PRIMARY KEY (tenant, email))',
    'CREATE TABLE projects (tenant text, project_id int, name text, PRIMARY KEY (tenant, project_id))',
    `CREATE TABLE tasks (tenant text, task_id int, project_id int, done boolean DEFAULT false,
      PRIMARY KEY (tenant, task_id), FOREIGN KEY (tenant, project_id) REFERENCES projects (tenant, project_id))`,
    "INSERT INTO plans VALUES ('free', 3), ('team', 20)",
    `INSERT INTO tenants SELECT t, CASE WHEN t = 'acme' THEN 'team' ELSE 'free' END
      FROM unnest('{acme,bolt,corner,dune}'::text[]) t`,
    ...['acme', 'bolt', 'corner', 'dune'].flatMap((tenant) => [
      `INSERT INTO members VALUES ('${tenant}', 'ann@${tenant}.com', 'Ann')`,
      `INSERT INTO projects VALUES ('${tenant}', 1, 'first'), ('${tenant}', 2, 'second')`,
      `INSERT INTO tasks SELECT '${tenant}', i, 1 + i % 2 FROM generate_series(1, 9) i`,
    ]),
  ],
  same: [
    `SELECT p.name, count(*) FILTER (WHERE NOT done) AS open,
      rank() OVER (ORDER BY p.name) FROM tasks JOIN projects p USING (tenant, project_id)
      WHERE tenant = 'bolt' GROUP BY p.name ORDER BY p.name`,
    "UPDATE tasks SET done = true WHERE tenant = 'acme' AND task_id < 4 RETURNING task_id",
    "SELECT count(*) FROM tasks WHERE tenant IN ('acme', 'dune') AND NOT done",
    "SELECT tenant FROM members WHERE email = 'ann@corner.com'",
    'SELECT tenant, seats FROM tenants JOIN plans USING (plan) ORDER BY tenant',
    "INSERT INTO members VALUES ('dune', 'ann@bolt.com', 'Ann again')",
  ],
  routes: {
    "SELECT * FROM tasks JOIN projects USING (tenant, project_id) WHERE tenant = 'acme'": 'big0',
    "UPDATE members SET name = 'Bo' WHERE tenant = 'acme'": 'big0',
    // One of the others, by the hash of the name.
    "SELECT * FROM tasks WHERE tenant = 'bolt'": 's0',
  },
  byLookup: ["SELECT tenant FROM members WHERE email = 'ann@corner.com'"],
  refused: ['SELECT count(*) FROM tasks', 'SELECT name FROM projects', 'DELETE FROM members'],
};

const timeSeries: ExampleApplication = {
  name: 'time-series',
  schema: [
    'CREATE TABLE alerts (id int PRIMARY KEY, device_id int, message text)',
    'CREATE TABLE devices (device_id int PRIMARY KEY, place text)',
    `CREATE TABLE readings (at timestamptz, device_id int REFERENCES devices, value int,
      PRIMARY KEY (at, device_id))`,
    'CREATE TABLE events (at timestamptz, device_id int, kind text)',
    'CREATE TABLE device_state (device_id int PRIMARY KEY, seen timestamptz, value int)',
    "INSERT INTO devices SELECT i, 'place ' || i % 2 FROM generate_series(1, 4) i",
    `INSERT INTO readings
      SELECT moment, device, extract(epoch FROM moment)::bigint / 3600 % 97 + device
      FROM generate_series('2025-12-28Z'::timestamptz, '2026-01-06Z', '6 hours') moment,
        generate_series(1, 4) device`,
    "INSERT INTO device_state SELECT i, '2026-01-06Z', i FROM generate_series(1, 4) i",
    "INSERT INTO events VALUES ('2025-12-31 23:59:59Z', 1, 'off'), ('2026-01-01 00:00:00Z', 1, 'on')",
  ],
  same: [
    "SELECT avg(value) FROM readings WHERE at >= '2026-01-03 00:00:00Z' AND at < '2026-01-04 00:00:00Z'",
    `SELECT date_trunc('day', at, 'UTC') AS day, place, min(value), max(value), avg(value)
      FROM readings JOIN devices USING (device_id)
      WHERE at BETWEEN '2025-12-30 00:00:00Z' AND '2026-01-02 00:00:00Z' GROUP BY 1, 2 ORDER BY 1, 2`,
    'SELECT at, device_id, value FROM readings ORDER BY value DESC, at, device_id LIMIT 7',
    `INSERT INTO device_state VALUES (2, '2026-01-06 00:01Z', 55)
      ON CONFLICT (device_id) DO UPDATE SET seen = excluded.seen, value = excluded.value`,
    'SELECT * FROM device_state ORDER BY device_id',
    'SELECT at, kind FROM events ORDER BY at',
    "DELETE FROM readings WHERE at < '2025-12-29 00:00:00Z'",
    'SELECT count(*), min(at) FROM readings',
  ],
  routes: {
    // From 2026 on days take turns on the new shards.
    "SELECT * FROM readings WHERE at >= '2025-12-30 00:00:00Z' AND at < '2025-12-31 00:00:00Z'":
      'old1',
    "SELECT * FROM readings WHERE at >= '2026-01-01 00:00:00Z' AND at < '2026-01-02 00:00:00Z'":
      'new0',
    "SELECT * FROM readings WHERE at >= '2026-01-02 00:00:00Z' AND at < '2026-01-03 00:00:00Z'":
      'new1',
    'SELECT * FROM device_state WHERE device_id = 1': 'new1',
  },
};

const geography: ExampleApplication = {
  name: 'geography',
  schema: [
    'CREATE TABLE exchange_rates (currency text PRIMARY KEY, rate numeric)',
    'CREATE TABLE countries (country text PRIMARY KEY, name text)',
    `CREATE TABLE customers (country text, customer_id int, name text,
      PRIMARY KEY (country, customer_id))`,
    `CREATE TABLE orders (country text, customer_id int, id int, amount int,
      PRIMARY KEY (country, customer_id, id),
      FOREIGN KEY (country, customer_id) REFERENCES customers (country, customer_id))`,
    'CREATE TABLE warehouses (country text, city text, PRIMARY KEY (country, city))',
    "INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France'), ('us', 'United States'), ('jp', 'Japan')",
    `INSERT INTO customers SELECT country, i, country || i
      FROM unnest('{de,fr,us,jp}'::text[]) country, generate_series(1, 8) i`,
    `INSERT INTO orders SELECT country, i, n, i * n
      FROM unnest('{de,fr,us,jp}'::text[]) country, generate_series(1, 8) i, generate_series(1, 2) n`,
    "INSERT INTO warehouses VALUES ('de', 'Kassel'), ('fr', 'Lyon'), ('us', 'Reno'), ('jp', 'Kobe')",
  ],
  same: [
    `SELECT c.name, o.id, o.amount FROM customers c JOIN orders o USING (country, customer_id)
      WHERE country = 'de' AND customer_id = 3 ORDER BY o.id`,
    "SELECT count(*), sum(amount) FROM orders WHERE country IN ('de', 'fr')",
    `SELECT n.name, count(*), sum(o.amount) FROM orders o JOIN countries n USING (country)
      GROUP BY n.name ORDER BY n.name`,
    "UPDATE customers SET name = upper(name) WHERE country = 'us' AND customer_id = 2 RETURNING *",
    "SELECT city FROM warehouses WHERE country = 'fr'",
    'SELECT name FROM customers ORDER BY name',
  ],
  routes: {
    "SELECT * FROM customers WHERE country = 'us'": 'us0',
    "SELECT * FROM orders WHERE country = 'jp' AND amount > 3": 'asia0',
    "SELECT * FROM customers JOIN orders USING (country, customer_id) WHERE country = 'de' AND customer_id = 3":
      'eu1',
    "SELECT city FROM warehouses WHERE country = 'fr'": 'eu0',
    "SELECT * FROM warehouses WHERE country = 'us'": 'us0',
  },
  refused: ["INSERT INTO customers VALUES ('aq', 1, 'Nobody')"],
};

const socialMedia: ExampleApplication = {
  name: 'social-media',
  schema: [
    'CREATE TABLE reports (id int PRIMARY KEY, post_id bigint, reason text)',
    'CREATE TABLE topics (topic text PRIMARY KEY, title text)',
    'CREATE TABLE people (person_id bigint PRIMARY KEY, handle text UNIQUE)',
    'CREATE TABLE follows (person_id bigint, followee_id bigint, PRIMARY KEY (person_id, followee_id))',
    `CREATE TABLE posts (author_id bigint, post_id bigint, topic text REFERENCES topics, body text,
      PRIMARY KEY (author_id, post_id))`,
    `CREATE TABLE comments (author_id bigint, post_id bigint, comment_id int, body text,
      PRIMARY KEY (author_id, post_id, comment_id), FOREIGN KEY (author_id, post_id) REFERENCES posts (author_id, post_id))`,
    'CREATE TABLE likes (author_id bigint, post_id bigint, person_id bigint)',
    'CREATE TABLE conversations (conversation_id bigint PRIMARY KEY, title text)',
    `CREATE TABLE messages (conversation_id bigint REFERENCES conversations, n int, sender bigint,
      body text, PRIMARY KEY (conversation_id, n))`,
    "INSERT INTO topics VALUES ('tea', 'All about tea'), ('sea', 'Far away')",
    "INSERT INTO people SELECT i, 'h' || i FROM generate_series(1, 12) i",
    'INSERT INTO follows SELECT i, 1 + (i * k) % 12 FROM generate_series(1, 12) i, generate_series(1, 3) k ON CONFLICT DO NOTHING',
    `INSERT INTO posts SELECT 1 + i % 12, i, CASE WHEN i % 2 = 0 THEN 'tea' ELSE 'sea' END, 'post ' || i
      FROM generate_series(1, 36) i`,
    "INSERT INTO comments SELECT 1 + i % 12, i, 1, 'yes ' || i FROM generate_series(1, 36, 3) i",
    'INSERT INTO likes SELECT 1 + i % 12, i, p FROM generate_series(1, 36) i, generate_series(1, 4) p WHERE i % p = 0',
    "INSERT INTO conversations SELECT i, 'talk ' || i FROM generate_series(1, 6) i",
    "INSERT INTO messages SELECT 1 + i % 6, i, i % 12, 'hi ' || i FROM generate_series(1, 30) i",
  ],
  same: [
    'SELECT post_id, body FROM posts WHERE author_id = 4 ORDER BY post_id DESC LIMIT 2',
    "SELECT person_id FROM people WHERE handle = 'h5'",
    'SELECT body, title FROM posts JOIN topics USING (topic) WHERE post_id = 17',
    `SELECT p.post_id, p.body FROM follows f JOIN posts p ON p.author_id = f.followee_id
      WHERE f.person_id = 3 ORDER BY p.post_id DESC LIMIT 5`,
    `SELECT h.handle, count(*) FROM likes l JOIN people h ON h.person_id = l.author_id
      GROUP BY h.handle ORDER BY 2 DESC, 1 LIMIT 5`,
    `SELECT p.body, c.body FROM posts p LEFT JOIN comments c USING (author_id, post_id)
      WHERE author_id = 5 ORDER BY post_id`,
    'SELECT n, body FROM messages WHERE conversation_id = 2 ORDER BY n',
    "INSERT INTO people VALUES (99, 'h5')",
  ],
  routes: {
    'SELECT * FROM posts WHERE author_id = 4 ORDER BY post_id DESC LIMIT 20': 'posts2',
    'SELECT * FROM posts JOIN comments USING (author_id, post_id) WHERE author_id = 4': 'posts2',
    'SELECT * FROM follows WHERE person_id = 3': 'people1',
    'SELECT * FROM messages WHERE conversation_id = 2': 'messages1',
  },
  byLookup: [
    "SELECT person_id FROM people WHERE handle = 'h5'",
    'SELECT body, title FROM posts JOIN topics USING (topic) WHERE post_id = 17',
  ],
  refused: ['SELECT count(*) FROM messages'],
  ids: [
    "INSERT INTO people (handle) VALUES ('new') RETURNING person_id",
    "INSERT INTO posts (author_id, body) VALUES (3, 'new') RETURNING post_id",
  ],
};

/** All of config/ that stands for an application. */
export const exampleApplications: readonly ExampleApplication[] = [
  eCommerce,
  multiTenant,
  timeSeries,
  geography,
  socialMedia,
];
