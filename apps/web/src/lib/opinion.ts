import type { AssessmentInput } from "./client.js";

/** What a person thinks of one answer. */
export interface Opinion {
  thumbs: boolean | null;
  /** Belongs to the thumbs; empty where there is none. */
  comment: string;
  /** From 1 to 5, by dimension. */
  ratings: Readonly<Record<string, number>>;
}

export const NO_OPINION: Opinion = { thumbs: null, comment: "", ratings: {} };
export const THUMBS = "user_feedback";
export const HIGHEST_RATING = 5;
/** What is rated where the page does not say. */
export const DIMENSIONS = ["accuracy", "helpfulness", "relevance"] as const;

/** One request that brings the server nearer to what is wanted. */
export type Step =
  | { kind: "withdraw"; names: string[] }
  | { kind: "thumbs"; assessments: AssessmentInput[] }
  | { kind: "ratings"; assessments: AssessmentInput[]; metadata: Record<string, string> };

/**
 * Tells what is to be sent next, or null where nothing is.
 *
 * @param sent names that the server may have, also those whose acknowledgement never came.
 * @param unsure names of which the server may have something else than what is confirmed.
 */
export function nextStep(
  confirmed: Opinion,
  wanted: Opinion,
  sent: readonly string[],
  unsure: readonly string[],
): Step | null {
  const names = sent.filter((name) => !namesOf(wanted).includes(name));
  if (names.length > 0) return { kind: "withdraw", names };
  const { thumbs, comment } = wanted;
  const isSaid = thumbs === confirmed.thumbs && comment === confirmed.comment && !unsure.includes(THUMBS);
  if (thumbs !== null && !isSaid) {
    const rationale = comment === "" ? {} : { rationale: comment };
    return { kind: "thumbs", assessments: [{ name: THUMBS, value: thumbs, ...rationale }] };
  }
  const changed = Object.entries(wanted.ratings).filter(
    ([key, value]) => confirmed.ratings[key] !== value || unsure.includes(ratingName(key)),
  );
  if (changed.length === 0) return null;
  return {
    kind: "ratings",
    assessments: changed.map(([key, value]) => ({ name: ratingName(key), value: value / HIGHEST_RATING })),
    metadata: { scale: `1-${HIGHEST_RATING}` },
  };
}

/** Gives what the server has once it has acknowledged a step. */
export function afterStep(confirmed: Opinion, wanted: Opinion, step: Step): Opinion {
  switch (step.kind) {
    case "withdraw":
      return {
        ...(step.names.includes(THUMBS) ? NO_OPINION : confirmed),
        ratings: Object.fromEntries(
          Object.entries(confirmed.ratings).filter(([key]) => !step.names.includes(ratingName(key))),
        ),
      };
    case "thumbs":
      return { ...confirmed, thumbs: wanted.thumbs, comment: wanted.comment };
    case "ratings":
      return { ...confirmed, ratings: wanted.ratings };
  }
}

/** The names of the assessments that a step writes or takes back. */
export function namesIn(step: Step): string[] {
  return step.kind === "withdraw" ? step.names : step.assessments.map(({ name }) => name);
}

function namesOf(opinion: Opinion): string[] {
  const ratings = Object.keys(opinion.ratings).map(ratingName);
  return opinion.thumbs === null ? ratings : [THUMBS, ...ratings];
}

function ratingName(dimension: string): string {
  return `user_${dimension}`;
}
