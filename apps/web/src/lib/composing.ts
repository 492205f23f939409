import type { KeyboardEvent } from "react";

/** Whether a key belongs to a word that is being composed, in Japanese for one; Safari says so by the code only. */
export function isComposing(event: KeyboardEvent): boolean {
  return event.nativeEvent.isComposing || event.keyCode === 229;
}
