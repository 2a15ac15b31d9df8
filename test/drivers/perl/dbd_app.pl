# DBD::Pg: what applications do with it.
use strict;
use warnings;
use DBI qw(:sql_types);
use DBD::Pg qw(:pg_types :async);
use Data::Dumper;
use Time::HiRes qw(sleep);

$Data::Dumper::Indent = 0;
$Data::Dumper::Terse = 1;
$Data::Dumper::Sortkeys = 1;
$Data::Dumper::Useqq = 1;
$| = 1;
my $failed = 0;

sub say_ { my ($label, $value) = @_; print "$label: ", Dumper($value), "\n"; }

# A step that fails says so, and the script goes on with the next one.
sub attempt {
    my ($label, $step) = @_;
    return if eval { $step->(); 1 };
    $failed = 1;
    say_("$label failed", $@);
}

my $db = DBI->connect("dbi:Pg:dbname=$ENV{PGDATABASE};host=$ENV{PGHOST};port=$ENV{PGPORT}", $ENV{PGUSER}, '',
    { RaiseError => 1, PrintError => 0, AutoCommit => 1 });

sub fails {
    my ($label, $sql, @values) = @_;
    my $rows = eval { $db->selectall_arrayref($sql, undef, @values) };
    say_($label, defined $rows ? $rows : [$db->state, (split /\n/, $db->errstr)[0]]);
}

attempt('schema', sub {
    $db->do($_) for (
        'DROP TABLE IF EXISTS orders, customers, countries, notes',
        'CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL)',
        'CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(40) NOT NULL, country text REFERENCES countries,
           born date, balance numeric(12,2), active boolean, photo bytea, tags text[], data jsonb)',
        'CREATE TABLE orders (id bigint, customer_id bigint REFERENCES customers, amount numeric(10,2),
           PRIMARY KEY (customer_id, id))',
        'CREATE TABLE notes (id serial PRIMARY KEY, body text UNIQUE)');
    say_('countries', $db->do("INSERT INTO countries VALUES ('de', 'Germany'), ('fr', 'France')"));
});
attempt('crud', sub {
    my $insert = $db->prepare('INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
    $insert->bind_param(7, undef, { pg_type => PG_BYTEA });
    for my $key (1 .. 12) {
        $insert->execute($key, "name $key", $key % 2 ? 'de' : 'fr', "1990-01-$key", $key * 1.25, $key % 2, "\0\xff$key",
            ['a', undef, $key], "{\"k\": $key}");
    }
    say_('one', $db->selectrow_hashref('SELECT * FROM customers WHERE id = ?', undef, 5));
    my $by_key = $db->prepare('SELECT id, name FROM customers WHERE id = ?');
    for my $key (1 .. 4) { $by_key->execute($key); say_("key $key", $by_key->fetchall_arrayref); }
    say_('names', [$by_key->{NAME}, $by_key->{TYPE}, $by_key->{PRECISION}, $by_key->{NULLABLE}]);
    say_('ordered', $db->selectall_arrayref('SELECT id, balance FROM customers ORDER BY balance DESC LIMIT 3'));
    say_('column', $db->selectcol_arrayref('SELECT id FROM customers WHERE id = ANY(?) ORDER BY id', undef, [2, 4]));
    say_('grouped', $db->selectall_arrayref('SELECT country, count(*), sum(balance) FROM customers GROUP BY country ORDER BY 1'));
    say_('updated', $db->do('UPDATE customers SET active = true WHERE id > ?', undef, 6));
    say_('none', $db->do('DELETE FROM customers WHERE id = 999'));
    say_('serial', $db->selectrow_arrayref('INSERT INTO notes (body) VALUES (?) RETURNING id', undef, 'first'));
    say_('last id', $db->last_insert_id(undef, undef, 'notes', undef));
    say_('own process', $db->selectrow_array('SELECT pg_backend_pid()') == $db->{pg_pid});
});
attempt('batch', sub {
    my $insert = $db->prepare('INSERT INTO orders VALUES (?, ?, ?)');
    my @status;
    say_('execute_array', scalar $insert->execute_array({ ArrayTupleStatus => \@status }, [(1) x 12], [1 .. 12], [1 .. 12]));
    say_('sum', $db->selectrow_arrayref('SELECT count(*), sum(amount) FROM orders'));
});
attempt('transactions', sub {
    $db->begin_work;
    $db->do('UPDATE customers SET name = ? WHERE id = ?', undef, 'x', $_) for 1 .. 3;
    $db->pg_savepoint('a');
    $db->do('DELETE FROM orders');
    $db->pg_rollback_to('a');
    $db->commit;
    say_('kept', $db->selectrow_arrayref("SELECT (SELECT count(*) FROM orders), count(*) FROM customers WHERE name = 'x'"));
    fails('unique', 'INSERT INTO customers (id, name) VALUES (?, ?)', 1, 'x');
    fails('null', 'INSERT INTO customers (id) VALUES (?)', 50);
    fails('syntax', 'SELEC 1');
    fails('table', 'SELECT * FROM nowhere');
    fails('number', 'SELECT * FROM customers WHERE id = ?', 'x');
    fails('division', 'SELECT 1 / (id - 4) FROM customers ORDER BY id');
    say_('ping', [$db->ping > 0, $db->{pg_server_version} > 0]);
});
attempt('async', sub {
    $db->do('SELECT pg_sleep(0.1), count(*) FROM customers', { pg_async => PG_ASYNC });
    sleep 0.05 until $db->pg_ready;
    say_('result', $db->pg_result);
    $db->do('SELECT pg_sleep(10)', { pg_async => PG_ASYNC });
    sleep 0.2;
    say_('cancelled', $db->pg_cancel);
    say_('usable', $db->selectrow_arrayref('SELECT 1'));
});
attempt('copy', sub {
    $db->do('COPY customers (id, name) FROM STDIN');
    $db->pg_putcopydata("$_\tcopied\n") for 100 .. 150;
    $db->pg_putcopyend;
    $db->do('COPY (SELECT id, name FROM customers WHERE id = 120) TO STDOUT');
    my @lines;
    my $line;
    push @lines, $line while $db->pg_getcopydata($line) >= 0;
    say_('copied', \@lines);
});
attempt('catalog', sub {
    say_('tables', [grep { /customers|orders|notes|countries/ } sort map { $_->[2] } @{ $db->table_info('', 'public', '%', 'TABLE')->fetchall_arrayref }]);
    say_('columns', [map { [@$_[3, 5]] } @{ $db->column_info('', 'public', 'orders', '%')->fetchall_arrayref }]);
    say_('key', [$db->primary_key('', 'public', 'orders')]);
});
attempt('clean', sub { $db->do('DROP TABLE orders, customers, countries, notes') });
$db->disconnect;
exit $failed;
