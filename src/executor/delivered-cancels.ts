import type { BackendConnection } from '../backend/postgres/connection.js';

/** One backend's part in a statement of several. */
interface Cancellable {
  readonly backend: BackendConnection;
  readonly cancelled: boolean;
}

/** Goes on when no cancel is on its way any more: it would hit the transaction's next statement. */
export function whenCancelsDelivered(branches: readonly Cancellable[], then: () => void): void {
  const cancelled = branches.filter((branch) => branch.cancelled);
  let open = cancelled.length;
  if (open === 0) then();
  for (const { backend } of cancelled) {
    backend.cancels.whenDelivered(() => {
      if (--open === 0) then();
    });
  }
}
