/** The one table of SQLSTATEs that Shardgate itself raises (PostgreSQL 18, Appendix A). */
export const sqlstates = {
  warning_no_active_transaction: {
    code: '25P01',
    when: 'COMMIT or SAVEPOINT outside a transaction block',
  },
  active_sql_transaction: {
    code: '25001',
    when: 'BEGIN, or a command that must stand alone, inside a transaction block',
  },
  read_only_sql_transaction: {
    code: '25006',
    when: 'nextval in a READ ONLY transaction',
  },
  in_failed_sql_transaction: { code: '25P02', when: 'A statement after an error, before ROLLBACK' },
  idle_in_transaction_session_timeout: {
    code: '25P03',
    when: 'A transaction stayed idle too long',
  },
  transaction_timeout: { code: '25P04', when: 'A transaction took too long' },
  idle_session_timeout: { code: '57P05', when: 'A session stayed idle too long' },
  connection_failure: {
    code: '08006',
    when: 'A shard closed the connection in the middle of a statement',
  },
  sqlclient_unable_to_establish: {
    code: '08001',
    when: 'A shard refused or did not answer a new connection',
  },
  transaction_resolution_unknown: {
    code: '08007',
    when: 'A shard was lost while it committed, or ran a write outside a transaction',
  },
  protocol_violation: { code: '08P01', when: 'Bytes that do not follow the wire protocol' },
  feature_not_supported: {
    code: '0A000',
    when: 'A statement that cannot be answered exactly over several shards',
  },
  invalid_authorization_specification: {
    code: '28000',
    when: 'No user name, no rule that lets the client in, no certificate of the user, or SCRAM over another channel',
  },
  invalid_password: { code: '28P01', when: 'Wrong or expired password, or unknown user' },
  invalid_catalog_name: { code: '3D000', when: 'The database is not the configured one' },
  invalid_sql_statement_name: { code: '26000', when: 'A prepared statement that does not exist' },
  invalid_cursor_name: { code: '34000', when: 'A portal that does not exist' },
  duplicate_prepared_statement: { code: '42P05', when: 'A prepared statement that exists already' },
  duplicate_cursor: { code: '42P03', when: 'A portal that exists already' },
  syntax_error: { code: '42601', when: 'Text that the PostgreSQL grammar does not accept' },
  insufficient_privilege: {
    code: '42501',
    when: 'A statement that names the schema shardgate, which is not for clients; a database that is not for the user',
  },
  generated_always: { code: '428C9', when: 'A value for a GENERATED ALWAYS column' },
  undefined_table: { code: '42P01', when: 'A table that does not exist' },
  undefined_column: { code: '42703', when: 'A column that a list of the console does not have' },
  undefined_function: { code: '42883', when: 'A FunctionCall of a function that does not exist' },
  invalid_name: { code: '42602', when: 'A setting of Shardgate that does not exist' },
  undefined_parameter: { code: '42P02', when: 'A parameter that does not exist' },
  undefined_object: { code: '42704', when: 'A setting that does not exist' },
  invalid_parameter_value: {
    code: '22023',
    when: 'A value that a setting or format code cannot take',
  },
  sequence_generator_limit_exceeded: {
    code: '2200H',
    when: 'A sequence from which ids are taken has come to its end',
  },
  invalid_row_count_in_limit_clause: { code: '2201W', when: 'A negative LIMIT' },
  invalid_row_count_in_result_offset_clause: { code: '2201X', when: 'A negative OFFSET' },
  character_not_in_repertoire: { code: '22021', when: 'Text that is not valid in its encoding' },
  invalid_escape_sequence: { code: '22025', when: 'A Unicode escape that is cut short' },
  nonstandard_use_of_escape_character: {
    code: '22P06',
    when: 'A backslash escape that PostgreSQL holds for unsafe',
  },
  string_data_right_truncation: {
    code: '22001',
    when: 'A shard key value that is longer than its column',
  },
  numeric_value_out_of_range: {
    code: '22003',
    when: 'A shard key value beyond the range of its type',
  },
  invalid_datetime_format: { code: '22007', when: 'A shard key value that is no date or time' },
  datetime_field_overflow: {
    code: '22008',
    when: 'A shard key value that names a day or time that does not exist',
  },
  invalid_time_zone_displacement_value: {
    code: '22009',
    when: 'A shard key value with a time zone that does not exist',
  },
  invalid_text_representation: { code: '22P02', when: 'A shard key value that is not of its type' },
  invalid_binary_representation: {
    code: '22P03',
    when: 'A shard key value in binary format that is not of its type',
  },
  bad_copy_file_format: { code: '22P04', when: 'COPY data that does not follow its format' },
  invalid_savepoint_specification: { code: '3B001', when: 'A savepoint that does not exist' },
  query_canceled: { code: '57014', when: 'Cancelled by the client or by a timeout' },
  deadlock_detected: { code: '40P01', when: 'Transactions wait for each other on several shards' },
  admin_shutdown: { code: '57P01', when: 'Shardgate is stopping' },
  cannot_connect_now: { code: '57P03', when: 'Shardgate is starting or stopping' },
  too_many_connections: { code: '53300', when: 'limits.max_clients is reached' },
  insufficient_resources: {
    code: '53000',
    when: 'No backend became free within pool.queue_timeout; every machine number of snowflake ids is in use',
  },
  out_of_memory: {
    code: '53200',
    when: 'A statement would bring together more rows than limits.gather_memory or limits.gather_rows',
  },
  object_not_in_prerequisite_state: {
    code: '55000',
    when: 'A portal that cannot be run again, a cursor that cannot go where it is sent, a view that cannot be written, currval before nextval, a shard key whose rows are being moved, REPAIR while a lookup is being built, a write to a table whose lookup another proxy keeps otherwise',
  },
  program_limit_exceeded: {
    code: '54000',
    when: 'A message or answer above a configured limit, or limits.gather_timeout is over',
  },
  statement_too_complex: {
    code: '54001',
    when: 'A statement that is nested too deeply or too large to parse in time',
  },
  config_file_error: { code: 'F0000', when: 'RELOAD of a configuration that cannot be used' },
  internal_error: { code: 'XX000', when: 'A fault in Shardgate; the session ends' },
} as const satisfies Record<string, { code: string; when: string }>;

export type SqlStateName = keyof typeof sqlstates;
