/** Cancel requests on their way: until they are delivered the backend must run nothing else. */
export class PendingCancels {
  private inFlight = 0;
  private afterwards: (() => void)[] = [];

  /** `delivered` settles when the server has got the request; it never rejects. */
  send(delivered: Promise<void>): void {
    this.inFlight++;
    void delivered.then(() => {
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
