/** An answer that says no, as `application/problem+json` or otherwise; its message is for people. */
export class ProblemError extends Error {
  readonly status: number;
  /** Seconds after which the server wants to be asked again, where it said so. */
  readonly retryAfter: number | null;

  constructor(status: number, message: string, retryAfter: number | null = null) {
    super(message);
    this.name = "ProblemError";
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Whether the same request may succeed later: the network is away, or the server says that it is busy. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof ProblemError) return RETRYABLE.has(error.status);
  return error instanceof TypeError || isTimeout(error);
}

/** What `AbortSignal.timeout` says. */
function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

export async function toProblem(response: Response): Promise<ProblemError> {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ProblemError(
    response.status,
    (await detailOf(response)) ?? plainWords(response.status),
    Number.isNaN(retryAfter) ? null : retryAfter,
  );
}

async function detailOf(response: Response): Promise<string | null> {
  try {
    const body: unknown = await response.json();
    if (typeof body !== "object" || body === null) return null;
    const { detail, title } = body as { detail?: unknown; title?: unknown };
    return [detail, title].find((text) => typeof text === "string" && text !== "") as string | null;
  } catch {
    return null;
  }
}

function plainWords(status: number): string {
  if (status === 401 || status === 403) return "You are not allowed to do this any more. Please ask again.";
  if (status === 413) return "That is too long.";
  if (status === 429) return "Too many requests at once. Please wait a moment.";
  return status >= 500 ? "The server cannot be reached right now." : `The server refused this (${status}).`;
}

/** Reads the body of an answer that says yes; what stands before the service may have put its own in its place. */
export async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw error instanceof SyntaxError ? unreadable(response) : error;
  }
}

/** The problem of an answer that says yes, but not what was asked. */
export function unreadable({ status }: Response): ProblemError {
  return new ProblemError(status, "The server's answer cannot be understood.");
}

/** What a person is told of an error. */
export function messageOf(error: unknown): string {
  if (error instanceof ProblemError) return error.message;
  if (error instanceof TypeError) return "The server cannot be reached. Please check your connection.";
  if (isTimeout(error)) return "The server did not answer in time.";
  return error instanceof Error ? error.message : String(error);
}
