const descriptions: Readonly<Record<string, string>> = {
  '/metrics': 'Counters, gauges and latency histograms for Prometheus',
  '/healthz': '200 while the process is alive',
  '/readyz': '200 once every shard is reachable, else the reasons why not',
};

/**
 * The page at `/`: a list of the others. `paths` are fixed names of this program, so nothing needs
 * escaping.
 */
export function startPage(paths: readonly string[]): string {
  const items = paths
    .filter((path) => path !== '/')
    .map((path) => `<li><a href="${path}">${path}</a> ${descriptions[path] ?? ''}</li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Shardgate</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 40rem; padding: 0 1rem }
</style>
<h1>Shardgate</h1>
<ul>
${items.join('\n')}
</ul>
</html>
`;
}
