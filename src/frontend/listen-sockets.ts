import { unlinkSync } from 'node:fs';
import net from 'node:net';
import type { ListenConfig } from '../config/config.js';
import { errorField, type Logger } from '../util/logger.js';

/** An idle client is asked for a sign of life after this long. */
const KEEP_ALIVE_MS = 60_000;
/** Connections that the kernel keeps while the event loop is busy. */
const BACKLOG = 4096;

/** A client has connected; `local`: by the Unix socket. The socket is paused. */
type OnSocket = (socket: net.Socket, local: boolean) => void;

/** The sockets that clients connect to: one for each address, and a Unix socket. */
export class ListenSockets {
  private readonly servers: net.Server[] = [];
  private readonly onSocket: OnSocket;
  private readonly logger: Logger;

  constructor(onSocket: OnSocket, logger: Logger) {
    this.onSocket = onSocket;
    this.logger = logger;
  }

  /** Resolves to the port in use. Rejects, and listens nowhere, where an address cannot be had. */
  async open({ hosts, port, unixSocket, unixSocketMode }: ListenConfig): Promise<number> {
    let used = port;
    try {
      for (const host of hosts) {
        // Each for itself, so that 0.0.0.0 and :: may stand beside each other; alone, :: is both.
        const where = host === '*' ? {} : { host, ipv6Only: hosts.length > 1 };
        const server = await this.listen(false, { ...where, port: used, backlog: BACKLOG });
        used = (server.address() as net.AddressInfo).port;
      }
      if (unixSocket !== null) {
        await this.listenOnPath(`${unixSocket}/.s.PGSQL.${used}`, unixSocketMode);
      }
    } catch (error) {
      this.close();
      throw error;
    }
    return used;
  }

  /** Accepts nobody any more; the file of the Unix socket goes. */
  close(): void {
    for (const server of this.servers) server.close();
  }

  private async listenOnPath(path: string, mode: number): Promise<void> {
    const open = async (): Promise<void> => {
      // The file is made with these permissions: nobody else comes in between.
      const before = process.umask(0o777 & ~mode);
      const listening = this.listen(true, { path, backlog: BACKLOG });
      process.umask(before);
      await listening;
    };
    try {
      await open();
    } catch (error) {
      const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!inUse || (await answers(path))) throw error;
      // Of a process that was killed.
      unlinkSync(path);
      await open();
    }
  }

  private listen(local: boolean, options: net.ListenOptions): Promise<net.Server> {
    const settings = {
      pauseOnConnect: true,
      noDelay: !local,
      // Who has vanished without a word is found out by the kernel.
      keepAlive: !local,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    };
    const server = net.createServer(settings, (socket) => {
      this.onSocket(socket, local);
    });
    return new Promise((resolve, reject) => {
      server.on('error', (error) => {
        if (!server.listening) reject(error);
        // No more files or memory for a connection: those that there are go on.
        else this.logger.error(errorField(error), 'cannot accept a client');
      });
      server.listen(options, () => {
        this.servers.push(server);
        resolve(server);
      });
    });
  }
}

/** Whether somebody listens to a Unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED');
    });
  });
}
