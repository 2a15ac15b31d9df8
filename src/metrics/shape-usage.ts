import { routeLabels, type RouteKind } from './kinds.js';

/** Shapes that are told apart; an application has hundreds. */
const SHAPES_MAX = 5000;
/** What is left after shapes were forgotten for want of room. */
const SHAPES_KEPT = 4000;
/** Longer shapes are told apart by their beginning and length. */
const SHAPE_LENGTH_MAX = 1000;

/** What statements of one shape have cost. Its plans hold it, so that counting is an addition. */
export class ShapeUsage {
  /** The text with one byte for each literal (sql/scanner.ts), as latin1; the beginning of long ones. */
  readonly shape: string;
  calls = 0;
  /** Those among them whose time and rows are known: of statements that share a pipeline they are not. */
  timed = 0;
  micros = 0;
  microsMax = 0;
  /** Of their command tags. */
  rows = 0;
  /** Shards of all calls, added up. */
  shards = 0;
  /** A bit for each `RouteKind` that they took. */
  private routeBits = 0;
  /** `calls` when room was made last. */
  callsBefore = 0;

  constructor(shape: string) {
    this.shape = shape;
  }

  count(route: RouteKind, shards: number): void {
    this.calls++;
    this.shards += shards;
    this.routeBits |= 1 << route;
  }

  took(micros: number): void {
    this.timed++;
    this.micros += micros;
    if (micros > this.microsMax) this.microsMax = micros;
  }

  /** Labels of the ways that they took. */
  get routes(): readonly string[] {
    return routeLabels.filter((_label, route) => (this.routeBits & (1 << route)) !== 0);
  }
}

/** What statements have cost, by their shapes; a bounded number of them. */
export class ShapeUsages {
  private readonly known = new Map<string, ShapeUsage>();

  /** That of a shape, for the plans that are made of it. */
  of(shape: string): ShapeUsage {
    const key = keyOf(shape);
    const known = this.known.get(key);
    if (known !== undefined) return known;
    if (this.known.size >= SHAPES_MAX) this.makeRoom();
    const usage = new ShapeUsage(key);
    this.known.set(key, usage);
    return usage;
  }

  all(): Iterable<ShapeUsage> {
    return this.known.values();
  }

  /** Those go that were asked for least since this was done last. */
  private makeRoom(): void {
    const recent = ({ calls, callsBefore }: ShapeUsage): number => calls - callsBefore;
    const ranked = [...this.known].sort(([, a], [, b]) => recent(b) - recent(a));
    for (const [key] of ranked.slice(SHAPES_KEPT)) this.known.delete(key);
    for (const usage of this.known.values()) usage.callsBefore = usage.calls;
  }
}

/** A copy: what is cut out of a long string would keep all of it. */
function keyOf(shape: string): string {
  if (shape.length <= SHAPE_LENGTH_MAX) return shape;
  const beginning = Buffer.from(shape.slice(0, SHAPE_LENGTH_MAX), 'latin1').toString('latin1');
  return `${beginning}... (${shape.length} bytes)`;
}

/** The shape for people: literals are `?`, comments are left out. */
export function shapeText({ shape }: Pick<ShapeUsage, 'shape'>): string {
  const text = Buffer.from(shape, 'latin1').toString('utf8');
  return (
    text
      // Marker bytes (sql/literals.ts): 16 is a comment.
      .replace(/\x10/g, '')
      .replace(/[\x01-\x08\x0e\x0f\x11\x12]/g, '?')
      .replace(/\s+/g, ' ')
      .trim()
  );
}
