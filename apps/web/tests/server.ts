import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, vi } from "vitest";

export interface Asked {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: Record<string, unknown>;
}

type Handler = (asked: Asked, response: ServerResponse) => void;

/** A real server on the loopback, of which each test says how it answers. */
export class TestServer {
  url = "";
  readonly asked: Asked[] = [];
  #handlers = new Map<string, Handler>();
  readonly #server = createServer((request, response) => void this.#take(request, response));

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  reset(): void {
    this.asked.length = 0;
    this.#handlers.clear();
  }

  on(route: string, handler: Handler): void {
    this.#handlers.set(route, handler);
  }

  to(route: string): Asked[] {
    return this.asked.filter(({ method, url }) => `${method} ${url}` === route);
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader("Access-Control-Allow-Origin", "*");
    response.setHeader("Access-Control-Allow-Headers", "*");
    response.setHeader("Access-Control-Allow-Methods", "*");
    response.setHeader("Access-Control-Expose-Headers", "*, X-User-ID, Retry-After");
    if (request.method === "OPTIONS") {
      response.end();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const { method = "", url = "", headers } = request;
    const asked = { method, url, headers, body: text ? (JSON.parse(text) as Record<string, unknown>) : {} };
    this.asked.push(asked);
    const handler = this.#handlers.get(`${method} ${url.split("?")[0]}`);
    if (handler) handler(asked, response);
    else response.writeHead(404).end();
  }
}

/** One server for the tests of a file. */
export function withServer(): TestServer {
  const server = new TestServer();
  beforeAll(() => server.start());
  beforeEach(() => server.reset());
  afterAll(() => server.stop());
  return server;
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, {
    "Content-Type": status < 400 ? "application/json" : "application/problem+json",
  });
  response.end(JSON.stringify(body));
}

/** One event as the service writes it. */
export function event(id: number, data: unknown): string {
  return `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
}

export function token(id: number, content: string): string {
  return event(id, { type: "token", content });
}

export function done(id: number, name = "1"): string {
  return event(id, {
    type: "done",
    trace_id: `tr-${name}`,
    client_request_id: `request-${name}`,
    feedback_token: `token-${name}`,
  });
}

export function openStream(response: ServerResponse, ...events: string[]): void {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  for (const text of events) response.write(text);
}

/** Ends a connection as a network does: without an end of the body. */
export function breakOff(response: ServerResponse): void {
  // What was written is on its way first.
  setTimeout(() => response.destroy(), 20);
}

/** Sends to it what a page fetches from where it is itself, until the globals are set back. */
export function fetchFrom(server: TestServer): void {
  const { fetch } = globalThis;
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => fetch(server.url + path, init));
}
