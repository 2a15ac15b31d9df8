# ActiveRecord and ruby-pg: migrations, models, transactions, batches, raw results.
require 'active_record'
require_relative 'transcript'

ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL').sub('postgres:', 'postgresql:'))
ActiveRecord::Base.logger = nil
ActiveRecord::Migration.verbose = false

class CreateShop < ActiveRecord::Migration[6.1]
  def change
    create_table :countries, id: false do |t|
      t.string :code, limit: 2, null: false, primary_key: true
      t.string :name
    end
    create_table :customers, id: false do |t|
      t.bigint :id, null: false, primary_key: true
      t.string :name, null: false, limit: 40, index: true
      t.string :country_code
      t.date :born
      t.datetime :seen
      t.decimal :balance, precision: 12, scale: 2, default: 0
      t.float :rate
      t.boolean :active, default: true
      t.uuid :token
      t.binary :photo
      t.text :tags, array: true, default: []
      t.jsonb :data, default: {}
      t.integer :lock_version, default: 0
      t.timestamps
    end
    create_table :orders, id: false do |t|
      t.bigint :id, null: false
      t.bigint :customer_id, null: false
      t.string :item
      t.decimal :amount, precision: 10, scale: 2
      t.index %i[customer_id id], unique: true
    end
    create_table :notes do |t|
      t.text :body
      t.timestamps
    end
    add_column :customers, :extra, :integer
    change_column_default :customers, :extra, from: nil, to: 5
  end
end

class AddCheck < ActiveRecord::Migration[6.1]
  disable_ddl_transaction!
  def change
    add_check_constraint :customers, 'balance >= 0', name: 'not_negative'
    add_index :orders, :item, algorithm: :concurrently
  end
end

class Country < ActiveRecord::Base
  self.primary_key = 'code'
end

class Customer < ActiveRecord::Base
  has_many :orders
  belongs_to :country, foreign_key: 'country_code', optional: true
  validates :name, presence: true
end

class Order < ActiveRecord::Base
  belongs_to :customer
end

class Note < ActiveRecord::Base
end

TABLES = 'orders, customers, countries, notes, schema_migrations, ar_internal_metadata'

def clean
  ActiveRecord::Base.connection.execute("DROP TABLE IF EXISTS #{TABLES} CASCADE")
end

def customer(key)
  { id: key, name: "name #{key}", country_code: key.odd? ? 'de' : 'fr', born: Date.new(1980, 1, key),
    seen: Time.utc(2024, 1, key, 10, 0, 0.5), balance: BigDecimal(key) / 4, rate: key / 3.0, active: key.even?,
    token: format('%08d-0000-4000-8000-000000000000', key), photo: [0, key, 255].pack('C*'), tags: ['a', "b\"#{key}"],
    data: { 'k' => key, 'list' => [nil, 1] } }
end

attempt('clean') { clean }
attempt('migrations') do
  [CreateShop, AddCheck].each_with_index do |migration, number|
    proxy = ActiveRecord::MigrationProxy.new(migration.name, number + 1, '', '')
    proxy.instance_variable_set(:@migration, migration.new(migration.name, number + 1))
    schema = ActiveRecord::Base.connection.schema_migration
    schema = ActiveRecord::SchemaMigration if schema.nil?
    ActiveRecord::Migrator.new(:up, [proxy], schema).migrate
  end
  [Country, Customer, Order, Note].each(&:reset_column_information)
  say 'tables', ActiveRecord::Base.connection.tables.sort
  say 'columns', Customer.columns.map { |c| [c.name, c.sql_type, c.null, c.default] }
  say 'indexes', ActiveRecord::Base.connection.indexes('orders').map { |i| [i.name, i.columns, i.unique] }.sort
end
attempt('schema dump') do
  connection = ActiveRecord::Base.connection
  connection.execute <<~SQL
    ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers ON DELETE CASCADE;
    COMMENT ON TABLE notes IS 'what was said'; COMMENT ON COLUMN notes.body IS 'in full';
    CREATE INDEX upper_name ON customers (upper(name)) WHERE active
  SQL
  ActiveRecord::SchemaDumper.ignore_tables = ['neighbours']
  dump = StringIO.new
  ActiveRecord::SchemaDumper.dump(connection, dump)
  say 'dump', dump.string
  connection.execute("DROP TABLE #{TABLES} CASCADE")
  ActiveRecord::Schema.verbose = false
  # The sharded tables' keys are not of the names that the dump takes for granted.
  eval(dump.string)
  again = StringIO.new
  ActiveRecord::SchemaDumper.dump(connection, again)
  say 'loaded', again.string == dump.string
end
attempt('crud') do
  Country.create!([{ code: 'de', name: 'Germany' }, { code: 'fr', name: 'France' }])
  (1..12).each { |key| Customer.create!(customer(key)) }
  one = Customer.find(5)
  say 'one', one.attributes.except('created_at', 'updated_at')
  say 'times', [one.created_at.class, one.created_at == one.updated_at]
  one.update!(name: 'changed', tags: ['x'])
  say 'version', [one.lock_version, one.reload.tags]
  one.touch
  say 'where', Customer.where(id: [1, 2, 3]).order(:id).pluck(:name)
  say 'count', [Customer.count, Customer.where(active: true).sum(:balance), Customer.average(:balance), Customer.maximum(:born)]
  say 'group', Customer.group(:country_code).count
  say 'page', Customer.order(born: :desc).offset(2).limit(3).ids
  say 'exists', [Customer.exists?(3), Customer.exists?(99)]
  say 'first', [Customer.first.id, Customer.last.id, Customer.find_by(name: 'name 7')&.id]
  say 'update_all', Customer.where('balance > ?', 1).update_all('rate = rate + 1')
  say 'json', Customer.where("data->>'k' = ?", '4').pluck(:id)
  say 'array', Customer.where("'x' = ANY(tags)").pluck(:id)
end
attempt('bulk') do
  rows = (1..12).flat_map { |c| [1, 2].map { |n| { id: n, customer_id: c, item: "item #{n}", amount: n } } }
  Order.insert_all(rows, returning: false)
  Order.insert_all(rows, returning: false)
  Order.upsert_all(rows.first(4).map { |r| r.merge(item: 'upserted') }, unique_by: %i[customer_id id], returning: false)
  say 'orders', Order.group(:item).order(:item).count
  say 'joins', Customer.joins(:orders).where(orders: { item: 'upserted' }).distinct.order(:id).ids
  say 'includes', Customer.includes(:orders, :country).order(:id).limit(3).map { |c| [c.id, c.country.name, c.orders.map(&:item).sort] }
  seen = []
  Customer.find_each(batch_size: 5) { |c| seen << c.id }
  Customer.in_batches(of: 5) { |batch| seen << batch.count }
  say 'batches', seen
  say 'deleted', Order.where(customer_id: 12).delete_all
end
attempt('bulk returning') do
  say 'rows', Order.insert_all((1..6).map { |c| { id: 30, customer_id: c } }, returning: %w[customer_id]).rows.sort
end
attempt('serial') do
  notes = %w[a b].map { |body| Note.create!(body: body) }
  say 'ids', notes.map(&:id)
  say 'insert_all', Note.insert_all([{ body: 'c', created_at: Time.now, updated_at: Time.now }]).rows
end
attempt('transactions') do
  Customer.transaction do
    Customer.find(1).update!(name: 'inside')
    Customer.find(2).update!(name: 'inside')
    Customer.transaction(requires_new: true) do
      Customer.update_all(name: 'nobody')
      raise ActiveRecord::Rollback
    end
    say 'inside', Customer.where(name: 'inside').count
  end
  begin
    Customer.transaction { Customer.create!(customer(3)) }
  rescue ActiveRecord::RecordNotUnique => e
    say 'unique', [e.cause.class, e.cause.result.error_field(PG::Result::PG_DIAG_SQLSTATE)]
  end
  stale = Customer.find(4)
  Customer.find(4).update!(name: 'first')
  begin
    stale.update!(name: 'second')
  rescue ActiveRecord::StaleObjectError
    say 'stale', Customer.find(4).name
  end
  Customer.transaction { say 'locked', Customer.lock.find(6).name }
  begin
    Customer.find(6).update!(balance: -1)
  rescue ActiveRecord::StatementInvalid => e
    say 'check', e.cause.class
  end
  Customer.transaction(isolation: :repeatable_read) { say 'isolation', Customer.find(7).name }
end
attempt('raw') do
  raw = ActiveRecord::Base.connection.raw_connection
  result = raw.exec_params('SELECT id, name FROM customers WHERE id = $1', [3])
  say 'raw', [result.values, result.fields, result.ftype(0), result.cmd_tuples]
  say 'binary', raw.exec_params('SELECT id, balance FROM customers WHERE id = $1', [3], 1).values
  raw.prepare('by key', 'SELECT name FROM customers WHERE id = $1')
  say 'prepared', (1..4).map { |key| raw.exec_prepared('by key', [key]).values }
  say 'described', raw.describe_prepared('by key').paramtype(0)
  raw.exec('DEALLOCATE "by key"')
  raw.send_query('SELECT id FROM customers ORDER BY id')
  raw.set_single_row_mode
  rows = []
  while (part = raw.get_result)
    part.check
    part.each_row { |row| rows << row }
  end
  say 'single rows', rows
  raw.copy_data('COPY customers (id, name, created_at, updated_at) FROM STDIN') do
    (100..130).each { |n| raw.put_copy_data("#{n}\tcopied\t2024-01-01\t2024-01-01\n") }
  end
  lines = []
  raw.copy_data('COPY (SELECT id FROM customers WHERE id > 99) TO STDOUT') do
    while (line = raw.get_copy_data)
      lines << line
    end
  end
  say 'copied', lines.sort
  begin
    raw.exec('SELECT nope')
  rescue PG::UndefinedColumn => e
    say 'column', e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)
  end
  say 'escape', raw.exec("SELECT #{raw.escape_literal("it's")} AS #{raw.quote_ident('a"b')}").to_a
end
attempt('threads') do
  names = (1..8).map do |key|
    Thread.new do
      Thread.current.report_on_exception = false
      ActiveRecord::Base.connection_pool.with_connection { Customer.find(key).name }
    end
  end
  say 'threads', names.map(&:value)
end
attempt('clean') { clean }
exit($failed ? 1 : 0)
