import { message } from '../../protocol/messages.js';

/** Messages of a server, whole. */
export const replies = {
  parseComplete: message('1'),
  bindComplete: message('2'),
  closeComplete: message('3'),
  noData: message('n'),
  rowDescription: message('T', 1, 'a\0', Buffer.alloc(18)),
  parameterDescription: message('t', 0),
  emptyQuery: message('I'),
  portalSuspended: message('s'),
  copyDone: message('c'),
  copyIn: message('G', '\0', 0),
  copyOut: message('H', '\0', 0),
  row: (value: string | Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(value.length);
    return message('D', 1, length, value);
  },
  copyData: (value: string): Buffer => message('d', value),
  complete: (tag: string): Buffer => message('C', `${tag}\0`),
  error: (state: string, text = 'no'): Buffer => message('E', `SERROR\0C${state}\0M${text}\0\0`),
  notice: (text: string): Buffer => message('N', `SNOTICE\0C00000\0M${text}\0\0`),
  parameter: (name: string, value: string): Buffer => message('S', `${name}\0${value}\0`),
  notification: message('A', '\0\0\0\x01channel\0payload\0'),
  ready: (status = 'I'): Buffer => message('Z', status),
} as const;
