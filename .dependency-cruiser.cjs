/**
 * The layers, from the bottom up. A folder imports only from layers below its own, or from folders of its own layer
 * where `sameLayer` names the pair.
 */
const layers = [
  ['errors', 'util'],
  ['keyspace', 'protocol', 'metrics', 'net'],
  ['sql', 'vindex', 'merger'],
  ['config', 'planner', 'backend'],
  ['transaction'],
  ['executor', 'resharding'],
  ['frontend', 'admin'],
  ['console'],
];

/** [from, to] pairs that may meet within one layer. */
const sameLayer = [
  ['errors', 'util'],
  ['util', 'errors'],
  // Pools take their sizes and server addresses as the configuration types them.
  ['backend', 'config'],
  ['executor', 'resharding'],
];

const folders = layers.flat();

function allowedFrom(folder) {
  const depth = layers.findIndex((layer) => layer.includes(folder));
  const below = layers.slice(0, depth).flat();
  const beside = sameLayer.filter(([from]) => from === folder).map(([, to]) => to);
  return [folder, ...below, ...beside];
}

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...folders.map((folder) => ({
      name: `layer-${folder}`,
      comment: `src/${folder} may import only: ${allowedFrom(folder).join(', ')}`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: `^src/(${allowedFrom(folder).join('|')})/` },
    })),
    {
      name: 'known-folders-only',
      comment: 'A new folder under src/ needs a place in the layers of .dependency-cruiser.cjs.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${folders.join('|')})/` },
      to: {},
    },
    {
      name: 'planner-and-backend-never-meet',
      comment: 'Plan is their only contract.',
      severity: 'error',
      from: { path: '^src/(planner|backend)/' },
      to: { path: '^src/(planner|backend)/', pathNot: '^src/$1/' },
    },
    {
      name: 'no-circular',
      comment: 'Cycles of type imports are gone at run time; those of values are not.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      comment: 'A module that nothing imports is dead.',
      severity: 'error',
      from: { orphan: true, pathNot: '^src/main\\.ts$|\\.d\\.ts$' },
      to: {},
    },
    {
      name: 'production-dependencies-only',
      comment: 'What src/ imports must be among the dependencies of package.json.',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-optional', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
