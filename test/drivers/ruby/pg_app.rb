# ruby-pg by itself: parameters, formats, prepared statements, single rows, COPY, pipelines, notifications, cancels.
require 'pg'
require_relative 'transcript'

ADDRESS = { host: ENV.fetch('PGHOST'), port: ENV.fetch('PGPORT'), dbname: ENV.fetch('PGDATABASE'), user: ENV.fetch('PGUSER') }.freeze
$db = PG.connect(**ADDRESS)
$db.set_notice_processor { |_| nil }

def fails(label)
  say label, yield
rescue PG::Error => e
  fields = %i[PG_DIAG_SQLSTATE PG_DIAG_MESSAGE_PRIMARY PG_DIAG_TABLE_NAME PG_DIAG_CONSTRAINT_NAME PG_DIAG_MESSAGE_DETAIL]
  say label, [e.class.name, *fields.map { |field| e.result&.error_field(PG::Result.const_get(field)) }]
end

attempt('schema') do
  $db.exec('DROP TABLE IF EXISTS orders, customers, countries, notes')
  $db.exec('CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL, n int, tags text[], photo bytea)')
  $db.exec('CREATE TABLE orders (id bigint, customer_id bigint, amount numeric, PRIMARY KEY (customer_id, id))')
end
attempt('rows') do
  insert = 'INSERT INTO customers VALUES ($1, $2, $3, $4, $5)'
  (1..12).each do |key|
    photo = { value: [0, 255, key].pack('C*'), format: 1 }
    $db.exec_params(insert, [key, "name #{key} ñ'\\", key % 3, '{a,NULL,"b c"}', photo])
  end
  one = $db.exec_params('SELECT id, name, n, photo FROM customers WHERE id = $1', [3])
  say 'one', [one.values, one.fields, one.nfields.times.map { |i| [one.ftype(i), one.fmod(i), one.fsize(i), one.ftablecol(i)] }]
  say 'status', [one.cmd_status, one.cmd_tuples, one.result_status]
  numbers = { value: [1].pack('N'), format: 1, type: 23 }
  say 'binary', $db.exec_params('SELECT id, n, photo FROM customers WHERE n = $1 ORDER BY id', [numbers], 1).values
  say 'ordered', $db.exec('SELECT id, name FROM customers ORDER BY id DESC LIMIT 3').to_a
  say 'several', $db.exec('SELECT 1 AS a; SELECT count(*) FROM customers').values
  say 'grouped', $db.exec('SELECT n, count(*), array_agg(id ORDER BY id) FROM customers GROUP BY n ORDER BY n').column_values(2)
end
attempt('prepared') do
  $db.prepare('by key', 'SELECT name, n FROM customers WHERE id = $1')
  say 'prepared', [1, 5, 99].map { |key| $db.exec_prepared('by key', [key]).values }
  described = $db.describe_prepared('by key')
  say 'described', [described.nparams, described.paramtype(0), described.fields]
  $db.prepare('page', 'SELECT id FROM customers WHERE n = $1 ORDER BY id LIMIT $2')
  say 'page', [[0, 2], [1, 1], [2, 9]].map { |values| $db.exec_prepared('page', values).column_values(0) }
  $db.exec('DEALLOCATE "by key"')
end
attempt('single rows') do
  $db.send_query('SELECT id FROM customers ORDER BY id')
  $db.set_single_row_mode
  pieces = []
  while (result = $db.get_result)
    result.check
    pieces << result.values
  end
  say 'single', pieces
end
attempt('type maps') do
  $db.type_map_for_results = PG::BasicTypeMapForResults.new($db)
  say 'typed', $db.exec("SELECT id, n, tags, photo, now() IS NULL, 1.5::numeric, '{\"a\":1}'::json FROM customers WHERE id = 2").values
  $db.type_map_for_results = PG::TypeMapAllStrings.new
  $db.type_map_for_queries = PG::BasicTypeMapForQueries.new($db)
  say 'queries', $db.exec_params('SELECT $1, $2::text[], $3', [1, %w[a b], true]).values
  $db.type_map_for_queries = PG::TypeMapAllStrings.new
end
attempt('copy') do
  $db.copy_data('COPY customers (id, name) FROM STDIN') { (100..119).each { |key| $db.put_copy_data("#{key}\tcopied\n") } }
  encoder = PG::TextEncoder::CopyRow.new
  $db.copy_data('COPY customers (id, name) FROM STDIN', encoder) { $db.put_copy_data([120, "a\tb\\"]) }
  lines = []
  decoder = PG::TextDecoder::CopyRow.new
  $db.copy_data('COPY customers (id, name) TO STDOUT', decoder) { while (row = $db.get_copy_data) do lines << row end }
  say 'copied', lines.sort.last(9)
  fails('double') { $db.copy_data('COPY customers (id, name) FROM STDIN') { $db.put_copy_data("1\tx\n") } }
  say 'removed', $db.exec('DELETE FROM customers WHERE id >= 100').cmd_tuples
end
attempt('transactions') do
  fails('rolled back') do
    $db.transaction do |inside|
      inside.exec('DELETE FROM customers')
      inside.exec('SELECT 1 / 0')
    end
  end
  say 'kept', $db.transaction { |inside| inside.exec("UPDATE customers SET name = 'new' WHERE id < 4").cmd_tuples }
  say 'state', [$db.transaction_status, $db.exec("SELECT count(*) FROM customers WHERE name = 'new'").getvalue(0, 0)]
end
attempt('pipeline') do
  $db.enter_pipeline_mode
  $db.send_query_params('SELECT name FROM customers WHERE id = $1', [5])
  $db.send_query_params('INSERT INTO orders VALUES (1, $1, 2.5) RETURNING amount', [5])
  $db.send_query_params('SELECT count(*) FROM customers', [])
  $db.pipeline_sync
  seen = []
  until seen.last == PG::PGRES_PIPELINE_SYNC
    result = $db.get_result
    next if result.nil?

    seen << result.values if result.ntuples.positive?
    seen << result.result_status
  end
  $db.exit_pipeline_mode
  say 'pipeline', seen
end
attempt('notifications') do
  $db.exec('LISTEN news')
  $db.exec("NOTIFY news, 'hello'")
  $db.wait_for_notify(5) { |channel, pid, payload| say 'heard', [channel, pid == $db.backend_pid, payload] }
  $db.exec('UNLISTEN *')
end
attempt('processes') do
  say 'own', $db.exec('SELECT pg_backend_pid()').getvalue(0, 0).to_i == $db.backend_pid
  $db.send_query('SELECT count(*), pg_sleep(20) FROM customers')
  sleep 0.3
  $db.cancel
  fails('cancelled') { $db.get_last_result.values }
  other = PG.connect(**ADDRESS)
  say 'terminated', $db.exec_params('SELECT pg_terminate_backend($1)', [other.backend_pid]).values
  sleep 0.3
  fails('gone') { other.exec('SELECT 1').values }
end
attempt('errors') do
  fails('unique') { $db.exec("INSERT INTO customers VALUES (1, 'x')") }
  fails('null') { $db.exec('INSERT INTO customers (id) VALUES (50)') }
  fails('table') { $db.exec('SELECT * FROM nowhere') }
  fails('syntax') { $db.exec('SELEC 1') }
  fails('division') { $db.exec('SELECT 1 / (id - 4) FROM customers ORDER BY id') }
  $db.reset
  say 'again', $db.exec('SELECT count(*) FROM customers').values
end

$db.exec('DROP TABLE orders, customers')
$db.close
exit($failed ? 1 : 0)
