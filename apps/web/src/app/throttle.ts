export interface Throttle {
  (): void;
  cancel: () => void;
}

/** Calls `run` at once, and then at most once in each `ms`, however often it is asked for; the last wish counts. */
export function throttle(run: () => void, ms: number): Throttle {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let isWanted = false;

  function call(): void {
    isWanted = false;
    run();
    timer = setTimeout(() => {
      timer = null;
      if (isWanted) call();
    }, ms);
  }

  function ask(): void {
    if (timer === null) call();
    else isWanted = true;
  }

  return Object.assign(ask, {
    cancel: () => {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      isWanted = false;
    },
  });
}
