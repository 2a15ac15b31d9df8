/**
 * Brings questions of many askers together: those that come in one turn of the event loop, or while a query runs, go
 * into the next one.
 */
export class Batcher<Question, Answer> {
  private readonly answer: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  private waiting: Asked<Question, Answer>[] = [];
  private running = false;

  /** `answer`: one for each question, in their order. Where it rejects, all askers hear that. */
  constructor(answer: (questions: readonly Question[]) => Promise<readonly Answer[]>) {
    this.answer = answer;
  }

  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ question, resolve, reject });
      if (this.waiting.length === 1 && !this.running) setImmediate(() => void this.run());
    });
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    this.running = true;
    while (this.waiting.length > 0) {
      const asked = this.waiting;
      this.waiting = [];
      try {
        const answers = await this.answer(asked.map(({ question }) => question));
        asked.forEach(({ resolve }, place) => resolve(answers[place]!));
      } catch (error) {
        for (const { reject } of asked) reject(error as Error);
      }
    }
    this.running = false;
  }
}

interface Asked<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}
