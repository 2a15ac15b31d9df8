/** Goes on when no cancel is on its way to any of these any more, whoever sent it. */
export function whenAllDelivered(
  backends: readonly { readonly cancels: PendingCancels }[],
  then: () => void,
): void {
  const pending = backends.filter(({ cancels }) => cancels.pending);
  let open = pending.length;
  if (open === 0) then();
  for (const { cancels } of pending) {
    cancels.whenDelivered(() => {
      if (--open === 0) then();
    });
  }
}

/** Cancel requests on their way: until they are delivered the backend must run nothing else. */
export class PendingCancels {
  private inFlight = 0;
  private afterwards: (() => void)[] = [];
  /** A request was given up, and may still come when somebody else has the backend. */
  mayComeLate = false;

  /** `delivered` settles when the server has got the request, or with false; it never rejects. */
  send(delivered: Promise<boolean>): void {
    this.inFlight++;
    void delivered.then((inTime) => {
      this.mayComeLate ||= !inTime;
      this.inFlight--;
      if (this.inFlight > 0) return;
      for (const then of this.afterwards.splice(0)) then();
    });
  }

  /** A request is on its way. */
  get pending(): boolean {
    return this.inFlight > 0;
  }

  whenDelivered(then: () => void): void {
    if (this.inFlight === 0) then();
    else this.afterwards.push(then);
  }
}
