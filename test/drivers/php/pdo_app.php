<?php
// PDO and the pgsql extension: what applications do with them.
declare(strict_types=1);

$failed = false;

function say(string $label, mixed $value): void
{
    echo $label, ': ', json_encode($value, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_PARTIAL_OUTPUT_ON_ERROR), "\n";
}

/** A step that fails says so, and the script goes on with the next one. */
function attempt(string $label, callable $step): void
{
    global $failed;
    if (in_array($label, explode(',', (string) getenv('SKIPPED_STEPS')), true)) {
        return;
    }
    try {
        $step();
    } catch (Throwable $error) {
        $failed = true;
        say("$label failed", $error->getMessage());
    }
}

function connect(array $options = []): PDO
{
    $dsn = sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'));
    return new PDO($dsn, getenv('PGUSER'), '', $options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function fails(PDO $db, string $label, string $sql, array $values = []): void
{
    try {
        $statement = $db->prepare($sql);
        $statement->execute($values);
        say($label, $statement->fetchAll(PDO::FETCH_NUM));
    } catch (PDOException $error) {
        say($label, [$error->getCode(), explode("\n", $error->getMessage())[0]]);
    }
}

const SCHEMA = [
    'DROP TABLE IF EXISTS orders, customers, countries, notes',
    'CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)',
    'CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries,
       born date, balance numeric(12,2), rate float8, active boolean, photo bytea, data jsonb, tags text[])',
    'CREATE TABLE orders (id bigint, customer_id bigint REFERENCES customers, amount numeric(10,2),
       PRIMARY KEY (customer_id, id))',
    'CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)',
];

function crud(PDO $db): void
{
    foreach (SCHEMA as $sql) {
        $db->exec($sql);
    }
    say('countries', $db->exec("INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')"));
    $insert = $db->prepare('INSERT INTO customers VALUES (:id, :name, :country, :born, :balance, :rate, :active, :photo, :data, :tags)');
    for ($key = 1; $key <= 12; $key++) {
        $insert->bindValue('id', $key, PDO::PARAM_INT);
        $insert->bindValue('name', "name $key 'ø\\");
        $insert->bindValue('country', $key % 2 ? 'de' : 'fr');
        $insert->bindValue('born', $key === 3 ? null : "1990-01-$key");
        $insert->bindValue('balance', (string) ($key * 1.25));
        $insert->bindValue('rate', $key / 3);
        $insert->bindValue('active', $key % 2 === 0, PDO::PARAM_BOOL);
        $photo = fopen('php://memory', 'r+');
        fwrite($photo, "\0\xff" . chr($key));
        rewind($photo);
        $insert->bindValue('photo', $photo, PDO::PARAM_LOB);
        $insert->bindValue('data', json_encode(['k' => $key]));
        $insert->bindValue('tags', '{a,NULL,"b c"}');
        $insert->execute();
    }
    say('inserted', $insert->rowCount());
    $one = $db->prepare('SELECT * FROM customers WHERE id = ?');
    foreach ([3, 4, 99] as $key) {
        $one->execute([$key]);
        $row = $one->fetch(PDO::FETCH_ASSOC);
        if ($row !== false) {
            $row['photo'] = bin2hex(stream_get_contents($row['photo']));
        }
        say("one $key", $row);
    }
    for ($i = 0; $i < $one->columnCount(); $i++) {
        $meta = $one->getColumnMeta($i);
        say('column', [$meta['name'], $meta['native_type'], $meta['len'], $meta['precision'], $meta['pdo_type']]);
    }
    say('all', $db->query('SELECT id, name, balance, active FROM customers ORDER BY id DESC')->fetchAll(PDO::FETCH_NUM));
    say('pairs', $db->query('SELECT country, sum(balance) FROM customers GROUP BY country ORDER BY 1')->fetchAll(PDO::FETCH_KEY_PAIR));
    $some = $db->prepare('SELECT id FROM customers WHERE id IN (?, ?, ?) ORDER BY id');
    $some->execute([1, 5, 9]);
    say('in', $some->fetchAll(PDO::FETCH_COLUMN));
    $update = $db->prepare('UPDATE customers SET rate = ? WHERE country = ?');
    $update->execute([1.5, 'de']);
    say('updated', $update->rowCount());
}

function identities(PDO $db): void
{
    $db->prepare('INSERT INTO notes (body) VALUES (?)')->execute(['first']);
    say('last id', [$db->lastInsertId(), $db->lastInsertId('notes_id_seq')]);
    say('own process', $db->pgsqlGetPid() === $db->query('SELECT pg_backend_pid()')->fetchColumn());
    $returning = $db->prepare('INSERT INTO notes (body) VALUES (?) RETURNING id');
    $returning->execute(['second']);
    say('returning', $returning->fetchColumn());
}

function transactions(PDO $db): void
{
    $db->beginTransaction();
    foreach ([1, 2, 3] as $key) {
        $db->prepare('INSERT INTO orders VALUES (1, ?, ?)')->execute([$key, $key * 10]);
    }
    say('inside', $db->query('SELECT count(*) FROM orders')->fetchColumn());
    $db->rollBack();
    say('outside', $db->query('SELECT count(*) FROM orders')->fetchColumn());
    $db->beginTransaction();
    $db->exec('INSERT INTO orders SELECT g, 4, g FROM generate_series(1, 5) g');
    $db->exec('SAVEPOINT a');
    fails($db, 'double', 'INSERT INTO orders VALUES (1, 4, 1)');
    $db->exec('ROLLBACK TO a');
    $db->commit();
    say('kept', $db->query('SELECT sum(amount) FROM orders')->fetchColumn());
    fails($db, 'unique', 'INSERT INTO customers (id, name) VALUES (?, ?)', [1, 'x']);
    fails($db, 'foreign', 'INSERT INTO customers (id, name, country) VALUES (?, ?, ?)', [50, 'x', 'xx']);
    fails($db, 'syntax', 'SELEC 1');
    fails($db, 'table', 'SELECT * FROM nowhere WHERE id = ?', [1]);
    fails($db, 'number', 'SELECT * FROM customers WHERE id = ?', ['x']);
    fails($db, 'division', 'SELECT 1 / (id - 4) FROM customers ORDER BY id');
    $db->exec("SET statement_timeout = '200ms'");
    fails($db, 'timeout', 'SELECT pg_sleep(5)');
    $db->exec('RESET statement_timeout');
}

function copies(PDO $db): void
{
    say('copied', $db->pgsqlCopyFromArray('customers', ["100\tcopied", "101\tcopied"], "\t", '\\\\N', 'id, name'));
    $lines = $db->pgsqlCopyToArray('customers', "\t", '\\\\N', 'id, name');
    sort($lines);
    say('out', count($lines) . $lines[0]);
}

function emulated(): void
{
    $db = connect([PDO::ATTR_EMULATE_PREPARES => true]);
    $one = $db->prepare('SELECT id, name FROM customers WHERE id = ? OR name = ?');
    $one->execute([5, "it's"]);
    say('emulated', $one->fetchAll(PDO::FETCH_NUM));
    $db = connect([PDO::PGSQL_ATTR_DISABLE_PREPARES => true, PDO::ATTR_PERSISTENT => true]);
    $one = $db->prepare('SELECT id, name FROM customers WHERE id = ?');
    foreach ([5, 6] as $key) {
        $one->execute([$key]);
        say('unnamed', $one->fetchAll(PDO::FETCH_NUM));
    }
}

function cursors(PDO $db): void
{
    $db->beginTransaction();
    $cursor = $db->prepare('SELECT id FROM customers ORDER BY id', [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
    $cursor->execute();
    say('scroll', [$cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_NEXT), $cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_LAST),
        $cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_PRIOR), $cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 2)]);
    $db->commit();
}

function extension(): void
{
    $c = pg_connect(sprintf('host=%s port=%s dbname=%s user=%s', getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'), getenv('PGUSER')));
    say('params', pg_fetch_all(pg_query_params($c, 'SELECT id, name FROM customers WHERE id = $1', [7])));
    pg_prepare($c, 'by key', 'SELECT name FROM customers WHERE id = $1');
    foreach ([1, 2, 3] as $key) {
        say('prepared', pg_fetch_row(pg_execute($c, 'by key', [$key])));
    }
    say('affected', pg_affected_rows(pg_query($c, 'UPDATE customers SET rate = 2 WHERE id < 5')));
    say('insert', pg_insert($c, 'notes', ['body' => 'third']) !== false);
    say('select', pg_select($c, 'customers', ['id' => '8']) [0]['name'] ?? null);
    say('meta', array_keys(pg_meta_data($c, 'orders')));
    pg_send_query($c, 'SELECT 1 AS a; SELECT count(*) AS b FROM customers');
    while ($result = pg_get_result($c)) {
        say('sent', pg_fetch_all($result));
    }
    pg_copy_from($c, 'orders', ["9\t9\t9\n"]);
    say('copy', count(pg_copy_to($c, 'orders')));
    $result = @pg_query($c, 'SELECT nope');
    say('error', $result === false);
    say('status', pg_transaction_status($c));
    pg_close($c);
}

$db = connect();
attempt('crud', fn () => crud($db));
attempt('identities', fn () => identities($db));
attempt('transactions', fn () => transactions($db));
attempt('copies', fn () => copies($db));
attempt('emulated', fn () => emulated());
attempt('extension', fn () => extension());
attempt('cursors', fn () => cursors($db));
if ($db->inTransaction()) {
    $db->rollBack();
}
$db->exec('DROP TABLE orders, customers, countries, notes');
exit($failed ? 1 : 0);
