// @ts-check
import { join } from 'node:path';
import { projectRoot } from '../project.mjs';
import { ProxyChild } from '../proxy-child.mjs';
import { configFile, logFolder } from './state.mjs';

/**
 * Starts the built proxy with the local cluster's configuration.
 * @param {string} url that clients connect to
 */
export function startProxyProcess(url) {
  return new ProxyChild({
    name: 'the proxy',
    program: process.execPath,
    args: ['dist/main.js', '--config', configFile],
    cwd: projectRoot,
    logFile: join(logFolder, 'shardgate.log'),
    url,
  });
}
