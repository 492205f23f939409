import { newId } from "./ids.js";
import { jsonOf, toProblem, unreadable } from "./problem.js";

/** One answer of the chat, and what is needed to give feedback on it. */
export interface Answer {
  traceId: string;
  clientRequestId: string;
  feedbackToken: string | null;
}

/** An answer whose ids may not have come yet. */
export type PartialAnswer = { [Key in keyof Answer]: Answer[Key] | null };

/** Gives an answer once it has its ids. */
export function completed(answer: PartialAnswer | null): Answer | null {
  const { traceId, clientRequestId, feedbackToken = null } = answer ?? {};
  return traceId && clientRequestId ? { traceId, clientRequestId, feedbackToken } : null;
}

export interface AssessmentInput {
  name: string;
  value: boolean | number | string;
  rationale?: string;
}

export interface FeedbackInput {
  answer: Answer;
  /** Stands for the user where nobody is signed in: the same one makes a second click an edit. */
  feedbackId?: string | undefined;
  /** The same key for the same feedback: a repeat is not a second event. */
  idempotencyKey: string;
}

export interface ClientOptions {
  /** Where the chat service is, without a slash at the end; the page's own origin by default. */
  baseUrl?: string;
  /** The signed-in user; without one, each answer gets a feedback id of its own. */
  userId?: string;
  /** Headers of one's own for each request, for example a bearer token. */
  headers?: () => Record<string, string>;
  fetch?: typeof globalThis.fetch;
}

export interface ChatClient {
  readonly userId: string | undefined;
  /** Begins a conversation: what is asked from now on is another session in MLflow. */
  newSession(): void;
  chat(message: string, requestId: string, signal?: AbortSignal): Promise<{ response: string } & Answer>;
  chatStream(message: string, requestId: string, lastEventId: string, signal: AbortSignal): Promise<Response>;
  submit(
    input: FeedbackInput & { assessments: AssessmentInput[]; metadata?: Record<string, string> },
  ): Promise<void>;
  withdraw(input: FeedbackInput & { names: string[] }): Promise<void>;
}

const SESSION = "feedback.session";

/** How long the service may take for feedback; Kafka has ten seconds of it. */
const LONGEST_MS = 30_000;

interface ChatBody {
  response: string;
  trace_id: string;
  client_request_id: string;
  feedback_token: string | null;
}

function isChatBody(body: unknown): body is ChatBody {
  const { response, trace_id, client_request_id } = (body ?? {}) as Partial<ChatBody>;
  return [response, trace_id, client_request_id].every((text) => typeof text === "string");
}

/** Makes a client of the chat service; it keeps the ids of this tab's session and of the visitor. */
export function createClient(options: ClientOptions = {}): ChatClient {
  const { baseUrl = "", userId } = options;
  let sessionId = kept("sessionStorage", SESSION, newId);
  let visitor = kept("localStorage", "feedback.visitor", () => "");

  async function send(
    method: string,
    path: string,
    body: unknown,
    more: RequestInit = {},
  ): Promise<Response> {
    const send = options.fetch ?? globalThis.fetch;
    const response = await send(`${baseUrl}${path}`, {
      ...more,
      method,
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", ...options.headers?.(), ...headersOf(more) },
    });
    if (!response.ok) throw await toProblem(response);
    return response;
  }

  async function ask(path: string, message: string, requestId: string, more: RequestInit): Promise<Response> {
    const user = userId ?? visitor;
    const response = await send(
      "POST",
      path,
      { message },
      {
        ...more,
        headers: {
          "X-Request-ID": requestId,
          "X-Session-ID": sessionId,
          ...(user && { "X-User-ID": user }),
          ...headersOf(more),
        },
      },
    );
    // The server makes an id for a visitor who has none; the conversation goes on under it.
    visitor = response.headers.get("X-User-ID") ?? visitor;
    if (userId === undefined) keep("localStorage", "feedback.visitor", visitor);
    return response;
  }

  function about({ answer, feedbackId }: FeedbackInput): Record<string, string> {
    return {
      client_request_id: answer.clientRequestId,
      trace_id: answer.traceId,
      ...(feedbackId !== undefined && { feedback_id: feedbackId }),
    };
  }

  function trust({ answer, idempotencyKey }: FeedbackInput): RequestInit {
    return {
      headers: {
        "Idempotency-Key": idempotencyKey,
        ...(answer.feedbackToken && { "X-Feedback-Token": answer.feedbackToken }),
        ...(userId && { "X-User-ID": userId }),
      },
      // A request that hangs would hold up all later clicks.
      signal: AbortSignal.timeout(LONGEST_MS),
      // A person may leave the page right after a click.
      keepalive: true,
    };
  }

  return {
    userId,
    newSession() {
      sessionId = newId();
      keep("sessionStorage", SESSION, sessionId);
    },
    async chat(message, requestId, signal) {
      const response = await ask("/chat", message, requestId, signal ? { signal } : {});
      const body = await jsonOf(response);
      if (!isChatBody(body)) throw unreadable(response);
      return {
        response: body.response,
        traceId: body.trace_id,
        clientRequestId: body.client_request_id,
        feedbackToken: body.feedback_token,
      };
    },
    chatStream(message, requestId, lastEventId, signal) {
      const headers = { Accept: "text/event-stream", ...(lastEventId && { "Last-Event-ID": lastEventId }) };
      return ask("/chat/stream", message, requestId, { signal, headers });
    },
    async submit({ assessments, metadata, ...input }) {
      const body = { ...about(input), ...(metadata && { metadata }), assessments };
      await send("POST", "/v1/feedback", body, trust(input));
    },
    async withdraw({ names, ...input }) {
      await send("DELETE", "/v1/feedback", { ...about(input), names }, trust(input));
    },
  };
}

function headersOf(init: RequestInit): Record<string, string> {
  return (init.headers ?? {}) as Record<string, string>;
}

type Store = "sessionStorage" | "localStorage";

/** Reads what was kept; a browser may refuse storage, and then nothing is kept. */
function kept(store: Store, key: string, make: () => string): string {
  try {
    const found = globalThis[store].getItem(key) ?? make();
    keep(store, key, found);
    return found;
  } catch {
    return make();
  }
}

function keep(store: Store, key: string, value: string): void {
  try {
    if (value) globalThis[store].setItem(key, value);
  } catch {
    // Nothing is kept, then.
  }
}
