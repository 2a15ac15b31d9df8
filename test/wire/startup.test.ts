import { cancelRequest, query, startRequest, startup } from '../support/frontend-bytes.js';
import { frame, int32 } from '../support/wire-messages.js';
import {
  asks,
  byte,
  cancel,
  closed,
  connection,
  pause,
  ready,
  run,
  send,
  story,
  vanish,
  type Step,
} from './kit/story.js';
import { tell } from './kit/tell.js';

const DATABASE = 'wire_startup';
const V3_0 = 3 << 16;
const V3_2 = V3_0 | 2;
const SSL = startRequest(80_877_103);
const GSS = startRequest(80_877_104);
/** What everybody says who wants to come in. */
const ME = ['user', 'postgres', 'database', DATABASE] as const;

function logsIn(version: number, ...parameters: readonly string[]): Step {
  return send(startup(version, ...ME, ...parameters));
}

tell(DATABASE, [
  // Versions
  connection('protocol 3.0: fifteen parameters, a key of four bytes, ready', [
    logsIn(V3_0),
    ready(),
  ]),
  connection('protocol 3.1', [logsIn(V3_0 | 1), ready()]),
  connection('protocol 3.2: a key of 32 bytes', [logsIn(V3_2), ready()]),
  connection('protocol 3.9999 is negotiated down', [logsIn(V3_0 | 9999), ready()]),
  connection('protocol 3.0 with an option that nobody knows', [
    logsIn(V3_0, '_pq_.foo', 'x'),
    ready(),
  ]),
  connection('protocol 3.3 with two options that nobody knows', [
    logsIn(V3_0 | 3, '_pq_.foo', 'x', '_pq_.bar', 'y'),
    ready(),
  ]),
  connection('protocol 4.0', [logsIn(4 << 16), closed]),
  connection('protocol 2.0', [logsIn(2 << 16), closed]),
  connection('protocol 1.0', [logsIn(1 << 16), closed]),
  connection('protocol 0.0', [logsIn(0), closed]),
  connection('protocol 1234.0', [logsIn(1234 << 16), closed]),

  // Encryption
  connection('SSLRequest is answered, and the login goes on in plain text', [
    send(SSL),
    byte,
    logsIn(V3_0),
    ready(),
  ]),
  connection('GSSENCRequest is answered', [send(GSS), byte, logsIn(V3_0), ready()]),
  connection('SSLRequest behind GSSENCRequest', [
    send(GSS),
    byte,
    send(SSL),
    byte,
    logsIn(V3_0),
    ready(),
  ]),
  connection('GSSENCRequest behind SSLRequest', [
    send(SSL),
    byte,
    send(GSS),
    byte,
    logsIn(V3_0),
    ready(),
  ]),
  connection('SSLRequest and GSSENCRequest in turns', [
    ...[SSL, GSS].flatMap((request) => [send(request), byte]),
    send(SSL),
    closed,
  ]),
  connection('SSLRequest twice', [send(SSL), byte, send(SSL), closed]),
  connection('GSSENCRequest twice', [send(GSS), byte, send(GSS), closed]),
  connection(
    'a startup message stuffed behind SSLRequest',
    [send(Buffer.concat([SSL, startup(V3_0, ...ME)])), byte, closed],
    { deliveries: ['coalesced'] },
  ),
  connection(
    'a startup message stuffed behind GSSENCRequest',
    [send(Buffer.concat([GSS, startup(V3_0, ...ME)])), byte, closed],
    { deliveries: ['coalesced'] },
  ),
  connection('a TLS handshake without SSLRequest where TLS is off', [
    send(Buffer.from('160301007a010000760303', 'hex')),
    closed,
  ]),

  // What is no startup packet
  ...(
    [
      ['a length of 0', int32(0)],
      ['a length of 4', int32(4)],
      ['a length of 7', Buffer.concat([int32(7), Buffer.alloc(3)])],
      ['a negative length', int32(-1)],
      ['a length of 10,005', Buffer.concat([int32(10_005), int32(V3_0)])],
      ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
      ['TLS in a length', Buffer.from('\x16\x03\x01\x00\xff', 'latin1')],
    ] as const
  ).map(([what, bytes]) =>
    connection(`${what} instead of a startup message`, [send(bytes), closed]),
  ),
  connection('a length of 8: no parameters at all', [send(frame('', int32(V3_0))), closed]),
  connection('a startup message without its last zero', [
    send(frame('', int32(V3_0), 'user', 'postgres', 'database', DATABASE)),
    closed,
  ]),
  connection('a startup message with a name without a value', [
    send(frame('', int32(V3_0), ...ME, 'work_mem', Buffer.from([0]))),
    closed,
  ]),
  connection('a startup message with bytes behind its last zero', [
    send(frame('', int32(V3_0), ...ME, Buffer.from([0, 0]))),
    closed,
  ]),
  connection(
    'a long value in the startup message',
    [logsIn(V3_0, 'application_name', 'x'.repeat(60) + 'éé'), ready()],
    { deliveries: ['whole'] },
  ),
  connection('no user', [send(startup(V3_0, 'database', DATABASE)), closed]),
  connection('an empty user', [send(startup(V3_0, 'user', '', 'database', DATABASE)), closed]),
  connection(
    'no database: that of the user',
    [send(startup(V3_0, 'user', 'nobody_of_this_name')), closed],
    { codesOnly: true },
  ),
  connection(
    'an unknown database',
    [send(startup(V3_0, 'user', 'postgres', 'database', 'nowhere')), closed],
    { codesOnly: true },
  ),
  connection('a name of an application beyond ASCII', [
    logsIn(V3_0, 'application_name', 'café 日本'),
    ready(),
    asks('SHOW application_name', 'RESET application_name', 'SHOW application_name'),
  ]),
  connection('gone in the middle of the startup message', [
    send(startup(V3_0, ...ME).subarray(0, 20)),
    vanish,
  ]),

  // Settings
  connection('settings of the startup message are reported as they are', [
    logsIn(V3_0, 'DateStyle', 'German', 'TimeZone', 'Europe/Berlin', 'application_name', 'me'),
    ready(),
    asks('SHOW datestyle', 'SHOW timezone', 'SHOW application_name', 'RESET ALL', 'SHOW datestyle'),
  ]),
  connection('options, with escapes', [
    logsIn(
      V3_0,
      'options',
      '-c work_mem=3MB --statement-timeout=7s -c search_path=a\\\\b,\\ public -capplication_name=x',
    ),
    ready(),
    asks('SHOW work_mem', 'SHOW statement_timeout', 'SHOW search_path', 'SHOW application_name'),
  ]),
  connection('a setting beats the same one in options', [
    logsIn(V3_0, 'options', '-c work_mem=3MB', 'work_mem', '5MB'),
    ready(),
    asks('SHOW work_mem'),
  ]),
  connection('the same setting twice', [
    logsIn(V3_0, 'work_mem', '3MB', 'work_mem', '5MB'),
    ready(),
    asks('SHOW work_mem'),
  ]),
  connection('a setting of a name with a dot', [
    logsIn(V3_0, 'my.own', 'x'),
    ready(),
    asks('SHOW my.own'),
  ]),
  ...(
    [
      ['nonsense', '1'],
      ['options', '-c nonsense=1'],
      ['work_mem', 'much'],
      ['work_mem', '1'],
      ['DateStyle', 'Martian'],
      ['TimeZone', 'Nowhere/Land'],
      ['server_version', '19'],
      ['shared_buffers', '1GB'],
      ['search_path', 'a,,b'],
      ['options', '-c=1'],
      ['options', '-c work_mem'],
    ] as const
  ).map(([name, value]) =>
    connection(`${name}=${value} refuses the login`, [logsIn(V3_0, name, value), closed]),
  ),

  // Our hint says what is taken, Postgres's to ask `postgres --help`.
  ...['-c', '-x', 'word', '-c a.b=1 word'].map((options) =>
    connection(`options ${options}`, [logsIn(V3_0, 'options', options), closed], {
      codesOnly: true,
    }),
  ),

  // Cancel requests
  story('a cancel request ends the query, not the session', [
    send(query('SELECT pg_sleep(20)')),
    pause(120),
    cancel(),
    ready(),
    asks('SELECT 1'),
  ]),
  story(
    'a cancel request in pieces',
    [send(query('SELECT pg_sleep(20)')), pause(120), cancel('in pieces'), ready()],
    { deliveries: ['whole'] },
  ),
  story(
    'a cancel request for a wrong secret, a wrong process, and half a one',
    [
      send(query('SELECT pg_sleep(0.3)')),
      pause(50),
      cancel('wrong secret'),
      cancel('wrong pid'),
      cancel('cut short'),
      ready(),
    ],
    { deliveries: ['whole'] },
  ),
  story('a cancel request while nothing runs', [cancel(), pause(50), asks('SELECT 1')], {
    deliveries: ['whole'],
  }),
  story(
    'a cancel request in a transaction',
    [
      asks('BEGIN', 'SELECT name FROM items WHERE id = 3'),
      send(query('SELECT pg_sleep(20) FROM items WHERE id = 3')),
      pause(120),
      cancel(),
      ready(),
      asks('SELECT 1', 'ROLLBACK'),
    ],
    { deliveries: ['whole'] },
  ),
  story(
    'a cancel request in a pipeline',
    [
      send(
        ...run('SELECT 1'),
        ...run('SELECT pg_sleep(20) FROM items WHERE id = 4'),
        ...run('SELECT 2'),
      ),
      pause(120),
      send(frame('S')),
      cancel(),
      ready(),
      asks('SELECT 3'),
    ],
    { deliveries: ['whole'] },
  ),
  story(
    'a cancel request for a statement on all shards',
    [
      send(query('SELECT pg_sleep(5), id FROM items')),
      pause(120),
      cancel(),
      ready(),
      asks('SELECT 3'),
    ],
    { deliveries: ['whole'] },
  ),
  connection('a cancel request behind SSLRequest and GSSENCRequest', [
    send(SSL),
    byte,
    send(GSS),
    byte,
    send(cancelRequest(Buffer.alloc(8))),
    closed,
  ]),
  ...[0, 3, 4, 7, 261].map((bytes) =>
    connection(`a cancel request with ${bytes} bytes behind its code`, [
      send(cancelRequest(Buffer.alloc(bytes))),
      closed,
    ]),
  ),
]);
