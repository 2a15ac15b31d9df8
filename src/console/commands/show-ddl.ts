import type { JobPart } from '../../executor/ddl-jobs/ddl-job.js';
import type { JobRow } from '../../executor/ddl-jobs/ddl-jobs.js';
import { showCommand } from '../show.js';

/** One shard's part of a statement. */
interface PartRow {
  readonly job: JobRow;
  readonly shard: string;
  readonly part: JobPart;
}

export const showDdl = showCommand<PartRow>({
  name: 'DDL',
  help: 'DDL that shards commit one by one, and how far each has come',
  columns: [
    { name: 'statement', type: 'text', of: ({ job }) => job.statement },
    { name: 'state', type: 'text', of: ({ job }) => job.state },
    { name: 'shard', type: 'text', of: ({ shard }) => shard },
    { name: 'shard_state', type: 'text', of: ({ part }) => part.state },
    { name: 'progress', type: 'text', of: ({ job, shard }) => job.progress.get(shard) ?? null },
    { name: 'error', type: 'text', of: ({ part }) => part.error ?? null },
    { name: 'since', type: 'text', of: ({ part }) => part.at ?? null },
    { name: 'begun', type: 'text', of: ({ job }) => job.begunAt },
    { name: 'ended', type: 'text', of: ({ job }) => job.endedAt },
  ],
  items: async ({ proxy }) => {
    const jobs = await proxy.ddlJobs.list();
    return jobs.flatMap((job) =>
      Object.entries(job.shards).map(([shard, part]) => ({ job, shard, part })),
    );
  },
});
