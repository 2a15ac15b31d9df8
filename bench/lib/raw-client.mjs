// @ts-check
import { once } from 'node:events';
import net from 'node:net';
import { StepError } from '../../scripts/lib/project.mjs';

const PROTOCOL_3_0 = 196_608;
const READ_BYTES = 256 * 1024;
/** Enough for a login's messages or one row. */
const SMALL_READ_BYTES = 4 * 1024;
/** ReadyForQuery, outside a transaction: the end of every answer. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const ERROR = 0x45;

/**
 * A client that takes bytes off the socket and looks at the last six only, so that hardly anything
 * of what is measured is its own work.
 */
export class RawClient {
  /**
   * Logs in without a password.
   * @param {import('./shardgate.mjs').Target} target
   * @param {{ small?: boolean }} [options] `small`: little memory, for thousands of clients
   */
  static async connect(target, { small = false } = {}) {
    const client = new RawClient(target.port, small ? SMALL_READ_BYTES : READ_BYTES);
    const ready = client.untilReady();
    client.socket.write(startup(target.database));
    await ready;
    return client;
  }

  /**
   * @private
   * @param {number} port
   * @param {number} readBytes
   */
  constructor(port, readBytes) {
    /** Of the answer that is being read. */
    this.bytes = 0;
    /** @private */
    this.tail = Buffer.alloc(READY.length);
    /** @private */
    this.failure = '';
    /** @private @type {{ resolve: () => void, reject: (error: Error) => void } | null} */
    this.waiting = null;
    /** Called with every chunk's length. @type {((length: number) => void) | null} */
    this.onChunk = null;
    const callback = (/** @type {number} */ length, /** @type {Uint8Array} */ buffer) => {
      this.take(buffer, length);
      return true;
    };
    this.socket = net.connect({
      host: '127.0.0.1',
      port,
      noDelay: true,
      onread: { buffer: Buffer.allocUnsafeSlow(readBytes), callback },
    });
    this.socket.on('error', (error) => this.fail(error.message));
    this.socket.on('close', () => this.fail('the connection was closed'));
  }

  /**
   * Runs a simple query and reads its answer to the end.
   * @param {string} sql
   * @returns {Promise<number>} bytes of the answer
   */
  async query(sql) {
    const done = this.untilReady();
    this.socket.write(message(0x51, `${sql}\0`));
    await done;
    return this.bytes;
  }

  async end() {
    this.socket.end(message(0x58, ''));
    if (!this.socket.destroyed) await once(this.socket, 'close');
  }

  /** @private */
  untilReady() {
    this.bytes = 0;
    return new Promise((/** @type {(value?: undefined) => void} */ resolve, reject) => {
      this.waiting = { resolve: () => resolve(), reject };
    });
  }

  /**
   * @private
   * @param {Uint8Array} buffer
   * @param {number} length
   */
  take(buffer, length) {
    if (this.bytes === 0 && buffer[0] === ERROR) {
      this.failure = Buffer.from(buffer.subarray(5, length)).toString().replaceAll('\0', ' ');
    }
    this.bytes += length;
    const { tail } = this;
    const kept = Math.max(0, READY.length - length);
    tail.copyWithin(0, READY.length - kept);
    tail.set(buffer.subarray(Math.max(0, length - READY.length), length), kept);
    this.onChunk?.(length);
    if (!tail.equals(READY)) return;
    if (this.failure !== '') this.fail(this.failure);
    const { waiting } = this;
    this.waiting = null;
    waiting?.resolve();
  }

  /**
   * @private
   * @param {string} reason
   */
  fail(reason) {
    const { waiting } = this;
    this.waiting = null;
    waiting?.reject(new StepError(`a raw client failed: ${reason}`));
  }
}

/** @param {string} database */
function startup(database) {
  const parameters = Buffer.from(`user\0postgres\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + parameters.length, 0);
  head.writeInt32BE(PROTOCOL_3_0, 4);
  return Buffer.concat([head, parameters]);
}

/**
 * @param {number} type
 * @param {string} body
 */
function message(type, body) {
  const payload = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.writeUInt8(type, 0);
  head.writeInt32BE(4 + payload.length, 1);
  return Buffer.concat([head, payload]);
}
